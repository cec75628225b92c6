//! The page's commands, run by a shell as they are printed, in each of the ways that the page offers. What is not on this machine (Docker,
//! Kubernetes, another user) is played by scripts that take the same arguments and do the same to the files of the test.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::page::Step;

/// Plays sudo, docker and kubectl: undoes what each puts around a command, and takes the paths of an installation to the test's.
const STAND_INS: &str = r##"#!/bin/sh
set -eu
refuse() { echo "$0 does not know: $*" >&2; exit 90; }
local_path() {
    printf %s "$1" | sed "s#/etc/conversion-shim/#$ROOT/trial/#g; s#/var/lib/conversion-shim/#$ROOT/trial/#g; s#^/usr/local/bin/##"
}
case "${0##*/} $*" in
"sudo install -m 0640 -g conversion-shim "*)
    shift 5; set -- cp "$@" ;;
"sudo mv "*) ;;
"sudo -u conversion-shim "*) shift 2 ;;
"docker compose -f deploy/compose.yaml exec -T proxy /usr/local/bin/conversion-shim "*) shift 6 ;;
"docker compose -f deploy/compose.yaml logs --no-log-prefix proxy")
    set -- sh -c 'cat /var/lib/conversion-shim/shadow.jsonl*' ;;
"kubectl -n conversion-shim get pods -l app.kubernetes.io/name=conversion-shim -o name")
    set -- echo pod/conversion-shim-a ;;
"kubectl -n conversion-shim exec -i deployment/conversion-shim -- /usr/local/bin/conversion-shim "*) shift 6 ;;
"kubectl -n conversion-shim exec pod/conversion-shim-a -- /usr/local/bin/conversion-shim "*) shift 5 ;;
"kubectl -n conversion-shim logs -l app.kubernetes.io/name=conversion-shim --tail=-1 --max-log-requests="*)
    set -- sh -c 'cat /var/lib/conversion-shim/shadow.jsonl*' ;;
"kubectl apply -k deploy/kubernetes")
    # A ConfigMap arrives in one step.
    if [ -e deploy/kubernetes/facts.toml ]; then cp deploy/kubernetes/facts.toml trial/; fi
    [ -e deploy/kubernetes/conversion-shim.toml ] || exit 0
    cp deploy/kubernetes/conversion-shim.toml trial/arriving
    set -- mv trial/arriving trial/conversion-shim.toml ;;
*) refuse "$@" ;;
esac
count=$#
while [ "$count" -gt 0 ]; do
    word=$(local_path "$1"); shift; set -- "$@" "$word"; count=$((count - 1))
done
exec "$@"
"##;

/// A folder like the top of the repository, with the config in force, and the stand-ins on the path.
pub(crate) struct Ways {
    root: tempfile::TempDir,
    /// What each way's words are.
    words: Vec<(String, String)>,
    /// The trial's variables: they keep every command of every way away from what is not there.
    variables: Vec<(String, String)>,
}

/// What a shell said.
#[derive(Debug)]
#[expect(dead_code, reason = "the way is printed where something is wrong")]
pub(crate) struct Said {
    pub(crate) way: String,
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ways {
    pub(crate) fn of(page: &str) -> Self {
        let root = tempfile::tempdir().unwrap();
        for folder in ["bin", "trial", "config", "deploy/kubernetes", "deploy/compose"] {
            std::fs::create_dir_all(root.path().join(folder)).unwrap();
        }
        symlink("../../trial", root.path().join("deploy/compose/config")).unwrap();
        symlink(env!("CARGO_BIN_EXE_conversion-shim"), root.path().join("bin/conversion-shim")).unwrap();
        for name in ["sudo", "docker", "kubectl"] {
            let path = root.path().join("bin").join(name);
            std::fs::write(&path, STAND_INS).unwrap();
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
        }
        let change = Step::under(page, "How to change the config").blocks("sh");
        let trial_blocks = Step::under(page, "Try it on the sandbox first").blocks("sh");
        let (exports, trial): (Vec<_>, Vec<_>) =
            trial_blocks[0].lines().partition(|line| line.starts_with("export "));
        let exports = exports.iter().flat_map(|line| line.split_whitespace().skip(1));
        let variables = exports.map(|set| set.split_once('=').unwrap());
        let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        let mut words: Vec<_> = ["systemd", "compose", "kubernetes"]
            .into_iter()
            .zip(change)
            .map(|(way, words)| (way.to_owned(), words.to_owned()))
            .collect();
        words.push(("trial".into(), trial.join("\n")));
        Self { root, words, variables }
    }

    pub(crate) fn root(&self) -> &Path {
        self.root.path()
    }

    /// The config in force.
    pub(crate) fn config(&self) -> PathBuf {
        self.root().join("trial/conversion-shim.toml")
    }

    /// The trial's variables.
    pub(crate) fn variables(&self) -> &[(String, String)] {
        &self.variables
    }

    /// One of them takes another value: ports that tests may not share.
    pub(crate) fn set(&mut self, name: &str, value: String) {
        let found = self.variables.iter_mut().find(|(known, _)| known == name);
        found.unwrap_or_else(|| panic!("the trial does not set {name}")).1 = value;
    }

    /// The trial's ledger and its id, as the page makes them.
    pub(crate) fn make_ledger(&mut self) {
        let trial = self.count() - 1;
        let said = self.run_in(trial, "conversion-shim ledger init --quiet --config \"$config\"", &[]);
        assert_eq!((said.code, said.err.as_str()), (Some(0), ""), "{said:?}");
        self.variables.push(("SHIM_LEDGER__ID".into(), said.out.trim_end().into()));
    }

    /// Runs commands in every way.
    pub(crate) fn run(&self, commands: &str, more: &[(&str, &str)]) -> Vec<Said> {
        (0..self.words.len()).map(|way| self.run_in(way, commands, more)).collect()
    }

    /// How many ways there are.
    pub(crate) fn count(&self) -> usize {
        self.words.len()
    }

    /// Runs commands in one way, as a person would: line after line, whatever the one before said, so the code is the last one's.
    pub(crate) fn run_in(&self, way: usize, commands: &str, more: &[(&str, &str)]) -> Said {
        let (name, words) = &self.words[way];
        let mut shell = Command::new("sh");
        shell.args(["-c", &format!("{words}\n{commands}")]).current_dir(self.root()).stdin(Stdio::null());
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("SHIM_")) {
            shell.env_remove(name);
        }
        let path = format!("{}:{}", self.root().join("bin").display(), std::env::var("PATH").unwrap());
        shell.env("PATH", path).env("ROOT", self.root()).envs(self.variables.iter().cloned());
        let output = shell.envs(more.iter().copied()).output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Said {
            way: name.clone(),
            code: output.status.code(),
            out: text(output.stdout),
            err: text(output.stderr),
        }
    }
}
