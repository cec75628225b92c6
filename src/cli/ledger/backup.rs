//! `ledger backup`: a checked copy of a SQLite ledger.

use std::path::PathBuf;

use clap::Args;

use super::{named, whole_config};
use crate::cli::check;
use crate::cli::config_args::ConfigArgs;
use crate::cli::exit::{FAILED, OK};
use crate::cli::kept_files::KeptFiles;
use crate::cli::out_file::refuse_kept;
use crate::cli::output::{block_on, complain, print, table};
use crate::ledger::{Backup, BackupError, back_up};

#[derive(Debug, Args)]
pub(super) struct BackupArgs {
    /// Where to write the copy; must not exist
    file: PathBuf,
    #[command(flatten)]
    config: ConfigArgs,
}

#[derive(Debug, thiserror::Error)]
enum BackupCommandError {
    #[error("the runtime cannot start: {0}")]
    Runtime(#[from] std::io::Error),
    #[error(transparent)]
    Backup(#[from] BackupError),
}

pub(super) fn run(arguments: BackupArgs) -> u8 {
    let BackupArgs { file, config } = arguments;
    let sources = config.clone().into_sources();
    let (config, ledger, rows) = match whole_config(config) {
        Ok(configured) => configured,
        Err(problems) => return check::refused(&problems),
    };
    let kept = KeptFiles::of(&sources, &config, &rows);
    // Under the name of the draft it is written, and what is left of an earlier one is removed.
    for file in [&file, &Backup::draft(&file)] {
        if let Err(refusal) = refuse_kept("FILE", file, &kept) {
            return refusal.complain();
        }
    }
    match block_on(async { Ok(back_up(&named(&ledger), &file).await?) }) {
        Ok(Backup { id, claims, bytes }) => {
            let rows = [
                ("id", id.unwrap_or_else(|| "none".into())),
                ("claims", claims.to_string()),
                ("bytes", bytes.to_string()),
                ("checked", "yes".into()),
            ];
            print(&table(&rows), OK)
        }
        Err(BackupCommandError::Backup(BackupError::Open(error)))
            if !check::ledger_problems(&error, &rows).is_empty() =>
        {
            check::refused(&check::ledger_problems(&error, &rows))
        }
        Err(error) => {
            complain(error);
            FAILED
        }
    }
}
