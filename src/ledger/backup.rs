//! A copy of a SQLite ledger, made beside the process that serves with it, and checked. SQLite itself makes it (`VACUUM INTO`), from
//! one moment: a copy of the file alone may lack what is still in the write-ahead log.

#![allow(missing_docs, reason = "the docs of a type say what its fields are")]

use std::fs::{self, File, Permissions};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use sqlx::{ConnectOptions as _, Connection as _, SqliteConnection};

use super::Reader;
use super::connection::{Bind, Connection as _};
use super::error::{LedgerError, OpenError, cause};
use super::settings::{DatabaseUrl, MIGRATION_TIMEOUT, Settings, in_time};
use super::sqlite_file::{resolve, writing};

/// What the copy holds, read from the copy after it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backup {
    pub id: Option<String>,
    pub claims: u64,
    pub bytes: u64,
}

impl Backup {
    /// The name of a copy until it is checked.
    #[must_use]
    pub(crate) fn draft(file: &Path) -> PathBuf {
        PathBuf::from(format!("{}.partial", file.display()))
    }
}

/// Why there is no copy.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    #[error("the ledger is in PostgreSQL: back it up with the tools of that server, such as pg_basebackup")]
    NotAFile,
    /// A file is in the place of the copy.
    #[error("{} exists; a backup is never overwritten", .0.display())]
    Exists(PathBuf),
    /// The ledger cannot be opened, or is another one.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// It cannot be read or copied.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// SQLite cannot copy it, for example because the disk is full.
    #[error("the ledger cannot be copied to {}: {}", path.display(), cause(error))]
    Copy { path: PathBuf, error: sqlx::Error },
    /// The copy cannot be put in place.
    #[error("the copy {}: {source}", path.display())]
    File {
        path: PathBuf,
        /// The error of the operating system.
        source: std::io::Error,
    },
    /// The check of the copy failed; it was removed.
    #[error("the copy is not sound: {0}")]
    Unsound(String),
}

/// Copies a SQLite ledger to `file`, checks the copy, and only then gives it its name.
///
/// # Errors
/// [`BackupError`]; then there is no file of that name.
pub async fn back_up(settings: &Settings, file: &Path) -> Result<Backup, BackupError> {
    let DatabaseUrl::Sqlite(path) = settings.url.parse()? else { return Err(BackupError::NotAFile) };
    if file.exists() {
        return Err(BackupError::Exists(file.to_owned()));
    }
    let path = resolve(&path)?;
    // Compares the ledger with the one that the config names.
    let id = Reader::open(settings).await?.identified(None).await?.id;
    let draft = Backup::draft(file);
    // Left by a backup that was killed.
    let _ = fs::remove_file(&draft);
    // SQLite takes an empty file, and would not say which of two files it cannot open.
    let made = File::options().write(true).create_new(true).mode(0o600).open(&draft);
    made.map_err(|source| BackupError::File { path: draft.clone(), source })?;
    let outcome = in_time(MIGRATION_TIMEOUT, async { Ok(copy_and_check(&path, &draft, settings).await) });
    match outcome.await?.and_then(|claims| Ok((claims, put_in_place(&draft, file)?))) {
        Ok((claims, bytes)) => Ok(Backup { id, claims, bytes }),
        Err(error) => {
            let _ = fs::remove_file(&draft);
            Err(error)
        }
    }
}

async fn copy_and_check(path: &Path, draft: &Path, settings: &Settings) -> Result<u64, BackupError> {
    let mut ledger =
        writing(path, settings.timeout).create_if_missing(false).connect().await.map_err(failed)?;
    // Counted before the copy, so that a copy from an earlier moment shows.
    let before = claims(&mut ledger).await?;
    let draft_name = draft.display().to_string();
    let copied: sqlx::Result<Vec<(i64,)>> = ledger.rows("VACUUM INTO $1", &[Bind::Text(&draft_name)]).await;
    copied.map_err(|error| BackupError::Copy { path: draft.to_owned(), error })?;
    ledger.close().await.map_err(failed)?;
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(draft).read_only(true);
    let mut copy: SqliteConnection = options.connect().await.map_err(failed)?;
    let checked: Vec<(String,)> = copy.rows("PRAGMA integrity_check", &[]).await.map_err(failed)?;
    if checked != [("ok".to_owned(),)] {
        return Err(BackupError::Unsound("SQLite's integrity check found damage".into()));
    }
    let copied = claims(&mut copy).await?;
    copy.close().await.map_err(failed)?;
    // In the copy, so that whoever restores it must accept it first: claims made after the backup are not in it.
    hold(draft).await?;
    // Claims are never deleted, and more may have been made meanwhile.
    if copied < before {
        return Err(BackupError::Unsound(format!("it holds {copied} claims, and the ledger held {before}")));
    }
    Ok(copied)
}

/// A copy that is put in the ledger's place lacks the claims that were made after it, so it holds creates until `ledger accept`.
async fn hold(draft: &Path) -> Result<(), BackupError> {
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(draft).create_if_missing(false);
    let mut copy: SqliteConnection = options.connect().await.map_err(failed)?;
    let now = Timestamp::now();
    let why = format!("restored from the backup of {now:.0}, and later claims may be lost");
    let binds = [Bind::Text(&why), Bind::Number(now.as_microsecond())];
    let sql = "INSERT INTO ledger_settings (name, value, at_us) VALUES ('hold', $1, $2) ON CONFLICT (name) DO NOTHING RETURNING name";
    let _: Vec<(String,)> = copy.rows(sql, &binds).await.map_err(failed)?;
    copy.close().await.map_err(failed)
}

async fn claims(connection: &mut SqliteConnection) -> Result<u64, BackupError> {
    let rows: Vec<(i64,)> = connection.rows("SELECT COUNT(*) FROM ref_claims", &[]).await.map_err(failed)?;
    Ok(rows.first().map_or(0, |(count,)| count.unsigned_abs()))
}

/// Makes the copy durable, then gives it its name.
fn put_in_place(draft: &Path, file: &Path) -> Result<u64, BackupError> {
    let at = |path: &Path| {
        let path = path.to_owned();
        move |source| BackupError::File { path, source }
    };
    let copy = File::open(draft).map_err(at(draft))?;
    copy.set_permissions(Permissions::from_mode(0o600)).map_err(at(draft))?;
    // The content before the name: a crash must not leave a name that leads to an empty file.
    copy.sync_all().map_err(at(draft))?;
    let bytes = copy.metadata().map_err(at(draft))?.len();
    // Unlike a rename it replaces nothing.
    fs::hard_link(draft, file).map_err(at(file))?;
    fs::remove_file(draft).map_err(at(draft))?;
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(at(folder))?;
    Ok(bytes)
}

fn failed(error: sqlx::Error) -> BackupError {
    BackupError::Ledger(error.into())
}
