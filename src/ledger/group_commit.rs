//! The one writer of a SQLite ledger: everything that waits goes into one transaction, one sync makes it durable, and only then is
//! any caller answered.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use sqlx::Connection as _;
use sqlx::sqlite::SqliteConnection;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use super::connection::{Connection as _, LedgerRequest, Session};
use super::error::LedgerError;
use super::sqlite_file::WritableFile;
use super::sqlite_opening::SqliteOpening;

type FileSession = Session<SqliteConnection>;

/// A queued write and its caller, with the type erased.
trait Job: Send {
    /// Runs the write and keeps its answer. An error means that the transaction is broken.
    fn run<'a>(
        &'a mut self,
        session: &'a mut FileSession,
    ) -> Pin<Box<dyn Future<Output = Result<(), LedgerError>> + Send + 'a>>;

    /// Answers the caller once the transaction ended.
    fn answer(self: Box<Self>, committed: Result<(), LedgerError>);

    fn is_abandoned(&self) -> bool;
}

struct Pending<R: LedgerRequest> {
    request: R,
    answer: Option<Result<R::Output, LedgerError>>,
    reply: oneshot::Sender<Result<R::Output, LedgerError>>,
}

impl<R: LedgerRequest + Send + 'static> Job for Pending<R> {
    fn run<'a>(
        &'a mut self,
        session: &'a mut FileSession,
    ) -> Pin<Box<dyn Future<Output = Result<(), LedgerError>> + Send + 'a>> {
        Box::pin(async move {
            match self.request.run(session).await {
                Err(error) if !error.leaves_transaction_sound() => Err(error),
                answer => {
                    self.answer = Some(answer);
                    Ok(())
                }
            }
        })
    }

    fn answer(self: Box<Self>, committed: Result<(), LedgerError>) {
        let Self { answer, reply, .. } = *self;
        let answer = committed.and_then(|()| answer.unwrap_or(Err(LedgerError::Closed)));
        // The caller may have stopped waiting.
        drop(reply.send(answer));
    }

    fn is_abandoned(&self) -> bool {
        self.reply.is_closed()
    }
}

/// The queue of writes. The writer ends, and releases the file, when the last clone is dropped.
#[derive(Clone)]
pub(super) struct GroupCommit {
    queue: mpsc::Sender<Box<dyn Job>>,
    commits: Arc<AtomicU64>,
}

impl GroupCommit {
    pub(super) fn start(file: WriterFile, queue_max: usize, batch_max: usize) -> (Self, JoinHandle<()>) {
        let (queue, waiting) = mpsc::channel(queue_max.max(1));
        let commits = Arc::new(AtomicU64::new(0));
        let writer = BatchWriter { file, commits: Arc::clone(&commits) };
        let task = tokio::spawn(writer.work(waiting, batch_max.max(1)));
        (Self { queue, commits }, task)
    }

    /// Returns when the write is durable. If the caller stops waiting, the write may or may not happen.
    pub(super) async fn write<R: LedgerRequest + Send + 'static>(
        &self,
        request: R,
    ) -> Result<R::Output, LedgerError> {
        let (reply, answer) = oneshot::channel();
        let job = Box::new(Pending { request, answer: None, reply });
        // Not awaited: a write that does not fit into the queue is refused at once, while its client still waits.
        self.queue.try_send(job).map_err(|refused| match refused {
            mpsc::error::TrySendError::Full(_) => LedgerError::Overloaded,
            mpsc::error::TrySendError::Closed(_) => LedgerError::Closed,
        })?;
        answer.await.map_err(|_| LedgerError::Closed)?
    }

    /// Transactions committed since start.
    pub(super) fn commits(&self) -> u64 {
        self.commits.load(Ordering::Relaxed)
    }
}

struct BatchWriter {
    file: WriterFile,
    commits: Arc<AtomicU64>,
}

/// What the writer writes to.
pub(super) enum WriterFile {
    /// A file that could not be opened at start. Each batch tries it again.
    Later(Arc<SqliteOpening>),
    Open(Box<OpenedLedgerFile>),
}

pub(super) struct OpenedLedgerFile {
    file: WritableFile,
    /// `None` after a failure: a failed connection is not used again.
    session: Option<FileSession>,
    /// Open until the next write: while it is, SQLite makes no checkpoint, and a change of the file is another hand's.
    failed: Option<FileSession>,
}

impl WriterFile {
    pub(super) fn open(file: WritableFile, session: FileSession) -> Self {
        Self::Open(OpenedLedgerFile { file, session: Some(session), failed: None }.into())
    }

    async fn commit(&mut self, batch: &mut [Box<dyn Job>]) -> Result<(), LedgerError> {
        match self {
            Self::Open(open) => open.commit(batch).await,
            Self::Later(opening) => {
                let (file, session) = opening.try_again().await?;
                let mut open = OpenedLedgerFile { file, session: Some(session), failed: None };
                let committed = open.commit(batch).await;
                *self = Self::Open(open.into());
                committed
            }
        }
    }
}

impl BatchWriter {
    async fn work(mut self, mut waiting: mpsc::Receiver<Box<dyn Job>>, batch_max: usize) {
        let mut batch = Vec::with_capacity(batch_max);
        // The writes that arrive while one batch is synced form the next one.
        while waiting.recv_many(&mut batch, batch_max).await > 0 {
            // Their callers have stopped waiting, so writing them would only delay the others.
            batch.retain(|job| !job.is_abandoned());
            if !batch.is_empty() {
                let committed = self.file.commit(&mut batch).await;
                if committed.is_ok() {
                    self.commits.fetch_add(1, Ordering::Relaxed);
                }
                batch.drain(..).for_each(|job| job.answer(committed.clone()));
            }
        }
        if let WriterFile::Open(open) = self.file {
            open.close().await;
        }
    }
}

impl OpenedLedgerFile {
    /// Writes all of the batch or none. After an error the result is unknown, and every caller gets the error.
    async fn commit(&mut self, batch: &mut [Box<dyn Job>]) -> Result<(), LedgerError> {
        let mut session = match self.session.take() {
            Some(session) => session,
            None => self.file.reopen(&mut self.failed).await?,
        };
        if let Err(error) = self.in_one_transaction(&mut session, batch).await {
            self.file.failed(&error);
            // What holds the write lock would keep out commands. SQLite has rolled back by itself after most errors.
            let _ = session.rows::<(i64,)>("ROLLBACK", &[]).await;
            self.failed = Some(session);
            return Err(error);
        }
        self.session = Some(session);
        Ok(())
    }

    async fn close(self) {
        if let Some(session) = self.session {
            self.file.same.closing();
            // Only shortens the write-ahead log: answered writes are durable already.
            let _ = session.connection.close().await;
        }
    }

    async fn in_one_transaction(
        &mut self,
        session: &mut FileSession,
        batch: &mut [Box<dyn Job>],
    ) -> Result<(), LedgerError> {
        // IMMEDIATE takes the write lock at the beginning, so that no statement in the middle waits for it.
        session.rows::<(i64,)>("BEGIN IMMEDIATE", &[]).await?;
        self.file.before_writes(session).await?;
        for job in batch.iter_mut() {
            job.run(session).await?;
        }
        session.rows::<(i64,)>("COMMIT", &[]).await?;
        // Checked last, because an answered caller relies on finding its write after a restart.
        self.file.committed(session, batch.len()).await
    }
}
