//! Files that no command may write over: the ledger, the config with what it names, and the inputs of the same call. Compared by what they
//! are, not by how they are spelled: symbolic and hard links lead to the same file.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use crate::config::load::Sources;
use crate::config::{Config, ConfigRow, keys};
use crate::ledger;
use crate::telemetry::file;

/// What SQLite, and the process that serves, keep beside the ledger's file; they come and go.
const BESIDE_THE_LEDGER: [&str; 5] = ["", "-wal", "-shm", "-journal", ".lock"];
/// The ends of the keys whose values are paths of files.
const PATH_KEYS: [&str; 5] = ["_file", ".file", ".log", "certificate", ".key"];
const MORE_PATH_KEYS: [&str; 2] = [keys::TLS_CLIENT_CA, keys::CLIENT_KEY];

/// What each is, for the message, and where.
#[derive(Default)]
pub(super) struct KeptFiles(Vec<(String, PathBuf)>);

impl KeptFiles {
    /// The ledger's files, the config file and the files that it names.
    pub(super) fn of(sources: &Sources, config: &Config, rows: &[ConfigRow]) -> Self {
        // A file that the shell opened is an input like one that an argument names.
        let mut kept =
            Self(vec![("the standard input of this call".to_owned(), PathBuf::from("/dev/stdin"))]);
        kept.0.extend(sources.file.iter().map(|file| ("the config file".to_owned(), file.clone())));
        let url = config.ledger.as_ref().map(|ledger| ledger.url.reveal());
        let file = url.and_then(ledger::sqlite_file);
        // SQLite keeps its log beside the file that a link leads to.
        let linked = file.as_ref().and_then(|file| fs::canonicalize(file).ok());
        for file in file.into_iter().chain(linked) {
            let beside = |suffix: &&str| {
                let mut name = OsString::from(file.as_os_str());
                name.push(suffix);
                ("a file of the ledger".to_owned(), PathBuf::from(name))
            };
            kept.0.extend(BESIDE_THE_LEDGER.iter().map(beside));
        }
        let is_path =
            |key: &str| PATH_KEYS.iter().any(|end| key.ends_with(end)) || MORE_PATH_KEYS.contains(&key);
        let named = rows.iter().filter(|row| is_path(row.key) && !row.value.is_empty());
        kept.0.extend(
            named.map(|row| (format!("the file of {}", row.key), PathBuf::from(path_of(&row.value)))),
        );
        if let Some(log) = &config.shadow.log {
            let rotated = (1..=config.shadow.log_keep).map(|number| file::rotated(log, number));
            kept.0.extend(rotated.map(|file| (format!("an older file of {}", keys::SHADOW_LOG), file)));
        }
        kept
    }

    /// The same, with an input of the call.
    pub(super) fn and(mut self, flag: &str, file: Option<&Path>) -> Self {
        self.0.extend(file.map(|file| (format!("the input of {flag}"), file.to_owned())));
        self
    }

    /// The same, without the file of a key, which the option is for.
    pub(super) fn but(mut self, key: &str) -> Self {
        let what = format!("the file of {key}");
        self.0.retain(|(name, _)| *name != what);
        self
    }

    /// What a file is that must stay as it is; `None` for any other.
    pub(super) fn holds(&self, path: &Path) -> Option<&str> {
        let found = self.0.iter().find(|(_, kept)| are_same(kept, path));
        found.map(|(what, _)| what.as_str())
    }
}

/// Without the quotes that text is displayed in.
fn path_of(value: &str) -> &str {
    value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or(value)
}

fn are_same(one: &Path, other: &Path) -> bool {
    let identity = |path: &Path| fs::metadata(path).ok().filter(fs::Metadata::is_file);
    match (identity(one), identity(other)) {
        (Some(one), Some(other)) => (one.dev(), one.ino()) == (other.dev(), other.ino()),
        // One that is not there yet: where it would be.
        _ => place(one).is_some_and(|place_of_one| Some(place_of_one) == place(other)),
    }
}

/// The folder, without links, and the name in it.
fn place(path: &Path) -> Option<(PathBuf, OsString)> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    Some((fs::canonicalize(folder).ok()?, path.file_name()?.to_owned()))
}
