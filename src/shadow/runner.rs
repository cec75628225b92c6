//! The thread on which comparisons run, so that no work of theirs ever delays the data path: takes jobs, lets so many run at once,
//! contains what breaks, and tells once a heartbeat how it is doing.

use std::cell::RefCell;
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

use super::capture::Job;
use super::heartbeat::Heartbeat;
use super::record_writer::Journal;
use super::redact::Redactor;
use super::shadow_client::ShadowClient;
use super::stats::ShadowDropReason;
use super::{Shadow, compare_job};
use crate::config::Config;
use crate::translate::route::Route;
use crate::upstream::rate_limit::Budget;
use crate::upstream::readonly_client::{Reader, ReaderError};

/// Why shadow cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The client that reads cannot be made.
    #[error(transparent)]
    Reader(#[from] ReaderError),
    /// The system gives no thread, or no runtime.
    #[error("the shadow thread: {0}")]
    Thread(#[from] std::io::Error),
}

/// Keeps shadow going; dropping it ends the thread, with a last heartbeat.
#[derive(Debug)]
pub struct Running {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.stop.take());
        // It drops its jobs and ends; a panic in it has been told already.
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

pub(super) fn start(
    shadow: Shadow,
    current: Arc<ArcSwap<Config>>,
    budget: Budget,
    due: mpsc::Receiver<Job>,
    out: Box<dyn Write + Send>,
) -> Result<Running, StartError> {
    let config = current.load_full();
    let reader = Reader::new(&config.upstream, budget)?;
    let key = config.shadow.redaction_key.as_ref().map(|key| key.reveal().to_owned());
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let (stop, stopped) = oneshot::channel();
    let thread = std::thread::Builder::new().name("shim-shadow".into()).spawn(move || {
        yield_to_the_data_path();
        let worker = Rc::new(Worker {
            look: ShadowClient::new(reader, shadow.clone()),
            redactor: Redactor::new(key.as_deref()),
            shadow,
            journal: Journal::new(out).into(),
        });
        let comparing = || LocalSet::new().block_on(&runtime, run(worker, current, due, stopped));
        if catch_unwind(AssertUnwindSafe(comparing)).is_err() {
            tracing::error!(target: "shadow", "the shadow thread broke; nothing is compared until a restart");
        }
    })?;
    Ok(Running { stop: Some(stop), thread: Some(thread) })
}

/// Where cores are scarce, requests come first.
fn yield_to_the_data_path() {
    let thread = rustix::thread::gettid();
    if let Err(error) = rustix::process::setpriority_process(Some(thread), 10) {
        tracing::debug!(target: "shadow", %error, "the shadow thread keeps its priority");
    }
}

/// What all jobs share.
pub(super) struct Worker {
    pub(super) look: ShadowClient,
    pub(super) redactor: Redactor,
    pub(super) shadow: Shadow,
    pub(super) journal: RefCell<Journal>,
}

/// How long jobs gather before they are taken. Waiting for each would have every request wake this thread.
const GATHER: Duration = Duration::from_millis(10);

type Jobs = JoinSet<Result<(), ShadowDropReason>>;

/// Takes jobs until it is stopped.
async fn run(
    worker: Rc<Worker>,
    current: Arc<ArcSwap<Config>>,
    mut due: mpsc::Receiver<Job>,
    mut stopped: oneshot::Receiver<()>,
) {
    let concurrency = current.load().shadow.concurrency;
    let mut jobs = Jobs::new();
    let mut routes = HashMap::new();
    let mut pulse = Heartbeat::new();
    let mut gathering: Option<Instant> = None;
    loop {
        let config = current.load_full();
        let next_beat = pulse.last() + config.shadow.heartbeat;
        let room = jobs.len() < concurrency;
        tokio::select! {
            // A beat must come however busy it is, and a finished job makes room.
            biased;
            _ = &mut stopped => break,
            () = sleep_until(next_beat.into()) => {
                pulse.emit(&worker, &config, worker.shadow.idle_reason(&config));
            }
            Some(ended) = jobs.join_next_with_id(), if !jobs.is_empty() => account(&worker, &mut routes, ended),
            () = sleep_until(gathering.unwrap_or(next_beat).into()), if gathering.is_some() && room => {
                let mut elapsed = false;
                while jobs.len() < concurrency {
                    let Ok(job) = due.try_recv() else { break };
                    begin(&worker, &mut jobs, &mut routes, job);
                    elapsed = true;
                }
                gathering = elapsed.then(|| Instant::now() + GATHER);
            }
            Some(job) = due.recv(), if gathering.is_none() && room => {
                begin(&worker, &mut jobs, &mut routes, job);
                gathering = Some(Instant::now() + GATHER);
            }
        }
    }
    // An end in order is no idleness.
    let config = current.load_full();
    let idle_reason = worker.shadow.idle_reason(&config);
    due.close();
    while let Ok(job) = due.try_recv() {
        worker.shadow.tally().dropped(job.route, ShadowDropReason::Shutdown);
    }
    jobs.abort_all();
    while let Some(ended) = jobs.join_next_with_id().await {
        account(&worker, &mut routes, ended);
    }
    pulse.emit(&worker, &config, idle_reason);
}

fn begin(worker: &Rc<Worker>, jobs: &mut Jobs, routes: &mut HashMap<Id, Route>, job: Job) {
    let route = job.route;
    let handle = jobs.spawn_local(compare_job::run(Rc::clone(worker), job));
    routes.insert(handle.id(), route);
}

/// Notes how a job ended.
fn account(
    worker: &Worker,
    routes: &mut HashMap<Id, Route>,
    ended: Result<(Id, Result<(), ShadowDropReason>), JoinError>,
) {
    let (id, why) = match ended {
        Ok((id, result)) => (id, result.err()),
        Err(error) if error.is_cancelled() => (error.id(), Some(ShadowDropReason::Shutdown)),
        Err(error) => {
            tracing::error!(target: "shadow", "a comparison broke; it is counted as dropped");
            (error.id(), Some(ShadowDropReason::Panic))
        }
    };
    if let (Some(route), Some(why)) = (routes.remove(&id), why) {
        worker.shadow.tally().dropped(route, why);
    }
}
