//! The one writer of a SQLite ledger: everything that waits goes into one transaction, one sync makes it durable, and only then is
//! anyone answered.

use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions, Connection as _};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use super::commands::{Applied, Write};
use super::connection::Request;
use super::error::LedgerError;
use super::file_identity::SameFile;

/// A write and who waits for it.
struct Job {
    write: Write,
    reply: oneshot::Sender<Result<Applied, LedgerError>>,
}

/// A file that was opened to write in it.
pub(super) struct Opened {
    /// How to open it once more.
    pub(super) options: SqliteConnectOptions,
    pub(super) connection: SqliteConnection,
    pub(super) same: SameFile,
    /// Kept as long as the writer can write.
    pub(super) lock: File,
}

/// The way in. The writer ends, and gives the lock back, when the last clone is gone or one was closed.
#[derive(Clone)]
pub(super) struct GroupCommit {
    queue: mpsc::Sender<Job>,
    commits: Arc<AtomicU64>,
}

impl GroupCommit {
    /// Starts the writer.
    pub(super) fn start(opened: Opened, queue_max: usize, batch_max: usize) -> (Self, JoinHandle<()>) {
        let Opened { options, connection, same, lock } = opened;
        let (queue, waiting) = mpsc::channel(queue_max.max(1));
        let commits = Arc::new(AtomicU64::new(0));
        let connection = Some(connection);
        let writer = Writer { options, connection, same, commits: Arc::clone(&commits), _lock: lock };
        let task = tokio::spawn(writer.work(waiting, batch_max.max(1)));
        (Self { queue, commits }, task)
    }

    /// Returns once the write is durable. A caller that stops waiting may or may not have written.
    pub(super) async fn write(&self, write: Write) -> Result<Applied, LedgerError> {
        let (reply, answer) = oneshot::channel();
        self.queue.try_send(Job { write, reply }).map_err(|refused| match refused {
            mpsc::error::TrySendError::Full(_) => LedgerError::Overloaded,
            mpsc::error::TrySendError::Closed(_) => LedgerError::Closed,
        })?;
        answer.await.map_err(|_| LedgerError::Closed)?
    }

    /// How many transactions were committed so far.
    pub(super) fn commits(&self) -> u64 {
        self.commits.load(Ordering::Relaxed)
    }
}

struct Writer {
    options: SqliteConnectOptions,
    /// None after a failure: a connection that failed is not trusted again.
    connection: Option<SqliteConnection>,
    same: SameFile,
    commits: Arc<AtomicU64>,
    _lock: File,
}

impl Writer {
    async fn work(mut self, mut waiting: mpsc::Receiver<Job>, batch_max: usize) {
        let mut batch = Vec::with_capacity(batch_max);
        // What piles up while one batch is synced is the next batch.
        while waiting.recv_many(&mut batch, batch_max).await > 0 {
            // Nobody waits for these any more; writing them would only hold up the others.
            batch.retain(|job| !job.reply.is_closed());
            if !batch.is_empty() {
                let outcome = self.commit(&batch).await;
                answer(batch.drain(..), outcome);
            }
        }
        if let Some(connection) = self.connection {
            self.same.log_may_go();
            // Only tidies up the write-ahead log: whatever was answered is durable already.
            let _ = connection.close().await;
        }
    }

    /// All of the batch or none of it. After an error nothing is known and nobody is told otherwise.
    async fn commit(&mut self, batch: &[Job]) -> Result<Vec<Result<Applied, LedgerError>>, LedgerError> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => {
                // Asked first: opening would make a new file where the old one was.
                self.same.check()?;
                self.options.connect().await?
            }
        };
        let answers = in_one_transaction(&mut connection, batch).await;
        let answers = answers.inspect_err(|_| self.same.log_may_go())?;
        // Asked last: whoever is told "written" may rely on finding it after a restart.
        self.same.check_written()?;
        self.commits.fetch_add(1, Ordering::Relaxed);
        self.connection = Some(connection);
        Ok(answers)
    }
}

async fn in_one_transaction(
    connection: &mut SqliteConnection,
    batch: &[Job],
) -> Result<Vec<Result<Applied, LedgerError>>, LedgerError> {
    // IMMEDIATE: the lock is taken, and waited for, at the beginning and not in the middle.
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    let mut answers = Vec::with_capacity(batch.len());
    for job in batch {
        match job.write.run(&mut *transaction).await {
            Err(error) if !error.is_about_one_row() => return Err(error),
            answer => answers.push(answer),
        }
    }
    transaction.commit().await?;
    Ok(answers)
}

fn answer(batch: impl Iterator<Item = Job>, outcome: Result<Vec<Result<Applied, LedgerError>>, LedgerError>) {
    match outcome {
        // A caller that has gone is no reason to do anything.
        Ok(answers) => batch.zip(answers).for_each(|(job, answer)| drop(job.reply.send(answer))),
        Err(error) => batch.for_each(|job| drop(job.reply.send(Err(error.clone())))),
    }
}
