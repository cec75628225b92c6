//! A throwaway PostgreSQL cluster from the binaries on this machine.
//!
//! It listens on 127.0.0.1 and lives in a temporary directory. A watchdog stops and removes it when its owner is dropped or the test
//! process ends, whichever way that happens.

use std::ffi::OsStr;
use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

/// A running (or stopped) cluster of our own.
pub(crate) struct Postgres {
    binaries: PathBuf,
    directory: PathBuf,
    port: u16,
    user: Option<&'static str>,
    databases: AtomicU32,
    watchdog: Child,
}

impl Postgres {
    /// A new cluster, started; `None`, with a message, when this machine has no PostgreSQL. In CI (`CI` is set) that is a failure.
    pub(crate) fn start_new() -> Option<Self> {
        let Some(binaries) = find_binaries() else {
            assert!(std::env::var_os("CI").is_none(), "PostgreSQL's binaries are missing, and this is CI");
            eprintln!("skipped: no PostgreSQL binaries (initdb, pg_ctl) on this machine");
            return None;
        };
        Some(Self::create(binaries))
    }

    /// One cluster for the whole test binary. Take [`fresh_database`](Self::fresh_database)s on it; never stop it.
    pub(crate) fn shared() -> Option<&'static Self> {
        static SHARED: OnceLock<Option<Postgres>> = OnceLock::new();
        SHARED.get_or_init(Self::start_new).as_ref()
    }

    fn create(binaries: PathBuf) -> Self {
        let cluster = Self::empty(binaries);
        cluster.run("initdb", ["--auth=trust", "-N", "-U", "postgres", "--encoding=UTF8", "-D"], |initdb| {
            initdb.arg(cluster.data());
        });
        cluster.start();
        cluster
    }

    /// A cluster without data.
    fn empty(binaries: PathBuf) -> Self {
        let directory = tempfile::Builder::new().prefix("postgres-").tempdir_in("/tmp").unwrap().keep();
        let user = unprivileged_user(&directory);
        Self {
            watchdog: watchdog(&binaries, &directory, user),
            port: free_port(),
            databases: AtomicU32::new(0),
            binaries,
            directory,
            user,
        }
    }

    /// A running standby of this server. `name` is its `application_name`, for `synchronous_standby_names`.
    pub(crate) fn standby(&self, name: &str) -> Self {
        let standby = Self::empty(self.binaries.clone());
        let primary = format!("host=127.0.0.1 port={} user=postgres application_name={name}", self.port);
        standby.run("pg_basebackup", ["-X", "stream", "-c", "fast", "-R", "-d", &primary, "-D"], |backup| {
            backup.arg(standby.data());
        });
        standby.start();
        standby
    }

    /// Makes a primary of a standby, and returns when it accepts writes.
    pub(crate) fn promote(&self) {
        self.run("pg_ctl", ["promote", "-w", "-s", "-D"], |pg_ctl| {
            pg_ctl.arg(self.data());
        });
    }

    /// Copies the running server's data.
    pub(crate) fn base_backup(&self) {
        let server = format!("host=127.0.0.1 port={} user=postgres", self.port);
        self.run("pg_basebackup", ["-X", "stream", "-c", "fast", "-d", &server, "-D"], |backup| {
            backup.arg(self.directory.join("backup"));
        });
    }

    /// Puts the copy in the place of the stopped server's data.
    pub(crate) fn restore(&self) {
        fs::rename(self.data(), self.directory.join("lost")).unwrap();
        fs::rename(self.directory.join("backup"), self.data()).unwrap();
    }

    /// Makes the next start a recovery to the end of the write-ahead log, which begins a new timeline.
    pub(crate) fn recover_at_next_start(&self) {
        let signal = self.data().join("recovery.signal");
        fs::write(&signal, "").unwrap();
        self.hand_over(&signal);
        self.set("restore_command = 'false'");
    }

    /// Adds a line to the server's settings.
    pub(crate) fn set(&self, setting: &str) {
        use std::io::Write as _;
        let file = fs::File::options().append(true).open(self.data().join("postgresql.auto.conf"));
        writeln!(file.unwrap(), "{setting}").unwrap();
    }

    /// Reads the changed settings.
    pub(crate) fn reload(&self) {
        self.run("pg_ctl", ["reload", "-s", "-D"], |pg_ctl| {
            pg_ctl.arg(self.data());
        });
    }

    /// Makes a database with another encoding and returns its URL.
    pub(crate) fn database_in(&self, encoding: &str) -> String {
        let (port, name) = (self.port.to_string(), format!("in_{}", encoding.to_lowercase()));
        let common = ["-h", "127.0.0.1", "-U", "postgres", "-p", &port];
        let more = ["-T", "template0", "-E", encoding, "--locale=C", &name];
        self.run("createdb", common, |createdb| {
            createdb.args(more);
        });
        self.url_of(&name)
    }

    /// The port that the server listens on.
    pub(crate) const fn port(&self) -> u16 {
        self.port
    }

    /// The user who owns the cluster, where the tests run as root.
    pub(crate) const fn user(&self) -> Option<&'static str> {
        self.user
    }

    /// A command that runs as the server's user.
    pub(crate) fn command(&self, program: &str) -> Command {
        command_as(self.user, PathBuf::from(program))
    }

    fn url_of(&self, database: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{database}?sslmode=disable", self.port)
    }

    /// Starts the server (again, on the same port) and returns when it accepts connections.
    pub(crate) fn start(&self) {
        self.start_with("");
    }

    /// Starts the server with more settings, written like `-c fsync=off`.
    pub(crate) fn start_with(&self, settings: &str) {
        let options = format!(
            "-c listen_addresses=127.0.0.1 -c port={} -c unix_socket_directories={} {settings}",
            self.port,
            self.directory.display()
        );
        self.run("pg_ctl", ["start", "-w", "-s", "-o", &options, "-D"], |pg_ctl| {
            pg_ctl.arg(self.data()).arg("-l").arg(self.directory.join("log"));
        });
    }

    /// Kills the server: connections break, nothing is flushed, the next start recovers.
    pub(crate) fn stop(&self) {
        self.run("pg_ctl", ["stop", "-w", "-s", "-m", "immediate", "-D"], |pg_ctl| {
            pg_ctl.arg(self.data());
        });
    }

    /// Stops every process of the server where it stands: connections stay open, nothing is answered any more.
    pub(crate) fn freeze(&self) {
        // The parent first, so that no child is added meanwhile.
        let parent = self.parent();
        self.signal("STOP", &[parent]);
        self.signal("STOP", &children(parent));
    }

    /// Lets every process of the server go on.
    pub(crate) fn thaw(&self) {
        let parent = self.parent();
        self.signal("CONT", &children(parent));
        self.signal("CONT", &[parent]);
    }

    fn parent(&self) -> u32 {
        let file = fs::read_to_string(self.data().join("postmaster.pid")).unwrap();
        file.lines().next().unwrap().trim().parse().unwrap()
    }

    fn signal(&self, name: &str, processes: &[u32]) {
        let processes = processes.iter().map(u32::to_string);
        // One that has ended meanwhile is no failure.
        let _ =
            Command::new("kill").args(["-s", name]).args(processes).stderr(Stdio::null()).status().unwrap();
    }

    /// Makes an empty database and returns its URL.
    pub(crate) fn fresh_database(&self) -> String {
        let name = format!("test_{}", self.databases.fetch_add(1, Ordering::Relaxed));
        let port = self.port.to_string();
        self.run("createdb", ["-h", "127.0.0.1", "-U", "postgres", "-p", &port, &name], |_| {});
        self.url_of(&name)
    }

    /// The URL of the database that every cluster has.
    pub(crate) fn url(&self) -> String {
        self.url_of("postgres")
    }

    /// Where the server may read files from: its user owns it.
    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    /// Gives a file in [`directory`](Self::directory) to the server's user, closed to everyone else.
    pub(crate) fn hand_over(&self, file: &Path) {
        use std::os::unix::fs::PermissionsExt;
        let owner = fs::metadata(&self.directory).unwrap();
        fs::set_permissions(file, fs::Permissions::from_mode(0o600)).unwrap();
        chown(file, Some(owner.uid()), Some(owner.gid())).unwrap();
    }

    fn data(&self) -> PathBuf {
        self.directory.join("data")
    }

    fn run<const N: usize>(&self, program: &str, arguments: [&str; N], more: impl FnOnce(&mut Command)) {
        let mut command = command_as(self.user, self.binaries.join(program));
        command.args(arguments);
        more(&mut command);
        // Not piped: the server inherits them and would keep the pipe open.
        let errors = self.directory.join("errors");
        let status =
            command.stdout(Stdio::null()).stderr(fs::File::create(&errors).unwrap()).status().unwrap();
        let said = || {
            ["errors", "log"].map(|file| fs::read_to_string(self.directory.join(file)).unwrap_or_default())
        };
        assert!(status.success(), "{program} failed: {}", said().join("\n"));
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        drop(self.watchdog.stdin.take());
        let _ = self.watchdog.wait();
    }
}

/// Waits for the end of its input, which the operating system closes even if this process is killed; then cleans up.
fn watchdog(binaries: &Path, directory: &Path, user: Option<&str>) -> Child {
    let stop = command_as(user, binaries.join("pg_ctl"));
    let mut watchdog = Command::new("sh");
    watchdog
        .args(["-c", r#"trap '' INT TERM HUP; dir=$1; shift; cat; kill -CONT "$(head -n 1 "$dir/data/postmaster.pid")"; "$@" stop -m immediate -D "$dir/data"; rm -rf "$dir""#, "sh"])
        .arg(directory)
        .arg(stop.get_program())
        .args(stop.get_args());
    watchdog
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// The processes that this one started and that still run.
fn children(parent: u32) -> Vec<u32> {
    let listed = Command::new("ps").args(["-o", "pid=", "--ppid", &parent.to_string()]).output().unwrap();
    String::from_utf8(listed.stdout).unwrap().split_whitespace().map(|pid| pid.parse().unwrap()).collect()
}

/// PostgreSQL refuses to run as root: then an unprivileged user owns the cluster.
fn unprivileged_user(directory: &Path) -> Option<&'static str> {
    if fs::metadata(directory).unwrap().uid() != 0 {
        return None;
    }
    let accounts = fs::read_to_string("/etc/passwd").unwrap();
    let (user, uid, gid) = ["postgres", "nobody"]
        .into_iter()
        .find_map(|user| {
            let account = accounts.lines().find(|line| line.split(':').next() == Some(user))?;
            let mut ids = account.split(':').skip(2).map(|id| id.parse().ok());
            Some((user, ids.next()??, ids.next()??))
        })
        .expect("an unprivileged user to run PostgreSQL as");
    chown(directory, Some(uid), Some(gid)).unwrap();
    Some(user)
}

fn command_as(user: Option<&str>, program: PathBuf) -> Command {
    let mut command = match user {
        None => Command::new(program),
        Some(user) => {
            let mut command = Command::new("runuser");
            command.args(["-u", user, "--"]).arg(program);
            command
        }
    };
    // The user may not enter the directory that the tests run in.
    command.current_dir("/").stdin(Stdio::null());
    command
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn find_binaries() -> Option<PathBuf> {
    let debian = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut versions: Vec<PathBuf> = debian.map(|version| version.path()).collect();
    versions.sort_by_key(|path| path.file_name().and_then(OsStr::to_str)?.parse::<u32>().ok());
    let installed = versions.into_iter().rev().map(|version| version.join("bin"));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let on_path: Vec<PathBuf> = std::env::split_paths(&path).collect();
    installed.chain(on_path).chain(told_by_pg_config()).find(|directory| {
        ["initdb", "pg_ctl", "createdb"].iter().all(|program| directory.join(program).is_file())
    })
}

fn told_by_pg_config() -> Option<PathBuf> {
    let output = Command::new("pg_config").arg("--bindir").output().ok()?;
    Some(PathBuf::from(String::from_utf8(output.stdout).ok()?.trim()))
}
