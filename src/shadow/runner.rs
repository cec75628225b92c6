//! The shadow thread: takes jobs from the queue, bounds how many run at once, contains panics and writes heartbeats. It is a thread
//! of its own, at a lower priority, so that no comparison delays the data path.

use std::collections::HashMap;
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use tokio::runtime::Builder;
use tokio::sync::{mpsc, oneshot};
use tokio::task::{Id, JoinError, JoinSet, LocalSet};
use tokio::time::sleep_until;

use super::compare_job;
use super::handle::Shadow;
use super::heartbeat::Heartbeat;
use super::job::CompareJob;
use super::record_writer::RecordWriter;
use super::shadow_client::ShadowClient;
use super::stats::ShadowDropReason;
use super::worker::{RedactorCell, Worker};
use crate::config::Config;
use crate::translate::route::Route;
use crate::upstream::readonly_client::ReadonlyClient;
use crate::upstream::{TrustError, UpstreamClient};

/// Why shadow cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The read-only client cannot be built.
    #[error(transparent)]
    Reader(#[from] TrustError),
    /// The thread or its runtime cannot be created.
    #[error("cannot start the shadow thread: {0}")]
    Thread(#[from] std::io::Error),
}

/// Owns the shadow thread. Dropping it stops the thread, which drops its jobs and writes a last heartbeat.
#[derive(Debug)]
pub struct ShadowThread {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for ShadowThread {
    fn drop(&mut self) {
        // Dropping the sender resolves `stopped`: the thread ends by itself, and the join below waits for its last heartbeat.
        drop(self.stop.take());
        // A panic of the thread is already logged.
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Shadow {
    /// Starts the shadow thread. Its calls draw from the rate budget of `upstream` and trust what it trusts; `out` takes whole lines and must not
    /// block.
    ///
    /// # Errors
    /// When the read-only client or the thread cannot be created.
    pub fn start(
        current: Arc<ArcSwap<Config>>,
        upstream: &UpstreamClient,
        out: Box<dyn Write + Send>,
    ) -> Result<(Self, ShadowThread), StartError> {
        let config = current.load_full();
        let (shadow, queue) = Self::new(&config);
        let reader = ReadonlyClient::new(&config.upstream, upstream)?;
        let key = config.shadow.redaction_key.clone();
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let (stop, stopped) = oneshot::channel();
        let (handle, drift) = (shadow.clone(), upstream.drift().clone());
        let thread = std::thread::Builder::new().name("shim-shadow".into()).spawn(move || {
            // On the new thread: on Linux a nice value belongs to a thread, and the data path must keep its own.
            lower_priority();
            let worker = Rc::new(Worker {
                client: ShadowClient::new(reader, handle.clone(), drift),
                redactors: RedactorCell::new(key.as_ref()),
                shadow: handle,
                writer: RecordWriter::new(out).into(),
            });
            // Everything runs on this thread's own runtime, so that a slow comparison cannot hold a worker of the server.
            let running = || LocalSet::new().block_on(&runtime, Runner::new(worker, current).run(queue, stopped));
            if catch_unwind(AssertUnwindSafe(running)).is_err() {
                tracing::error!(target: "shadow", "the shadow thread panicked; nothing is compared until a restart");
            }
        })?;
        Ok((shadow, ShadowThread { stop: Some(stop), thread: Some(thread) }))
    }
}

/// Requests come first where cores are scarce.
fn lower_priority() {
    let thread = rustix::thread::gettid();
    if let Err(error) = rustix::process::setpriority_process(Some(thread), 10) {
        tracing::debug!(target: "shadow", %error, "cannot lower the priority of the shadow thread");
    }
}

/// How long jobs wait to be taken in a batch. Taking each at once would wake this thread for every request.
const BATCH_DELAY: Duration = Duration::from_millis(10);

type JobResult = Result<(), ShadowDropReason>;

struct Runner {
    worker: Rc<Worker>,
    current: Arc<ArcSwap<Config>>,
    jobs: JoinSet<JobResult>,
    /// The route of each running job, to count a job that panics.
    routes: HashMap<Id, Route>,
    heartbeat: Heartbeat,
}

impl Runner {
    fn new(worker: Rc<Worker>, current: Arc<ArcSwap<Config>>) -> Self {
        let (jobs, routes, heartbeat) = (JoinSet::new(), HashMap::new(), Heartbeat::new());
        Self { worker, current, jobs, routes, heartbeat }
    }

    async fn run(mut self, mut queue: mpsc::Receiver<CompareJob>, mut stopped: oneshot::Receiver<()>) {
        let concurrency = self.current.load().shadow.concurrency;
        let mut next_batch: Option<Instant> = None;
        loop {
            let config = self.current.load_full();
            let next_heartbeat = self.heartbeat.next(&config);
            let has_room = self.jobs.len() < concurrency;
            tokio::select! {
                // In this order: a heartbeat is due however busy the thread is, and a finished job makes room.
                biased;
                _ = &mut stopped => break,
                () = sleep_until(next_heartbeat.into()) => {
                    self.heartbeat.emit(&self.worker, &config, self.worker.shadow.idle_reason(&config), true);
                }
                Some(ended) = self.jobs.join_next_with_id(), if !self.jobs.is_empty() => self.ended(ended),
                () = sleep_until(next_batch.unwrap_or(next_heartbeat).into()), if next_batch.is_some() && has_room => {
                    let started = self.start_batch(&mut queue, concurrency);
                    // After an empty batch the thread goes back to waiting on the queue instead of waking every 10 ms.
                    next_batch = (started > 0).then(|| Instant::now() + BATCH_DELAY);
                }
                Some(job) = queue.recv(), if next_batch.is_none() && has_room => {
                    self.start(job);
                    next_batch = Some(Instant::now() + BATCH_DELAY);
                }
            }
        }
        self.stop(queue).await;
    }

    fn start_batch(&mut self, queue: &mut mpsc::Receiver<CompareJob>, concurrency: usize) -> usize {
        let before = self.jobs.len();
        while self.jobs.len() < concurrency {
            let Ok(job) = queue.try_recv() else { break };
            self.start(job);
        }
        self.jobs.len() - before
    }

    fn start(&mut self, job: CompareJob) {
        let route = job.route;
        let handle = self.jobs.spawn_local(compare_job::run(Rc::clone(&self.worker), job));
        self.routes.insert(handle.id(), route);
    }

    /// Drops what is queued and running, and writes a last heartbeat.
    async fn stop(mut self, mut queue: mpsc::Receiver<CompareJob>) {
        // Before the queue is closed: a shutdown in order is not an idle shadow.
        let config = self.current.load_full();
        let idle_reason = self.worker.shadow.idle_reason(&config);
        queue.close();
        while let Ok(job) = queue.try_recv() {
            self.worker.shadow.stats().dropped(job.route, ShadowDropReason::Shutdown);
        }
        self.jobs.abort_all();
        while let Some(ended) = self.jobs.join_next_with_id().await {
            self.ended(ended);
        }
        self.heartbeat.emit(&self.worker, &config, idle_reason, false);
    }

    /// Counts a job that ended without a comparison.
    fn ended(&mut self, ended: Result<(Id, JobResult), JoinError>) {
        let (id, reason) = match ended {
            Ok((id, result)) => (id, result.err()),
            Err(error) if error.is_cancelled() => (error.id(), Some(ShadowDropReason::Shutdown)),
            Err(error) => {
                tracing::error!(target: "shadow", "a comparison panicked; it is counted as dropped");
                (error.id(), Some(ShadowDropReason::Panic))
            }
        };
        if let (Some(route), Some(reason)) = (self.routes.remove(&id), reason) {
            self.worker.shadow.stats().dropped(route, reason);
        }
    }
}
