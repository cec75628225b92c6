//! The open sessions of a process. Own code instead of sqlx's pool, because a session comes with the value that guards its writes
//! and with the history of its server, and sqlx's pool keeps nothing beside a connection.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use sqlx::postgres::PgConnectOptions;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::error::{LedgerError, OpenError};
use super::history::Verifier;
use super::server_session::{ServerSession, connect};
use super::settings::{Settings, in_time};

/// A session idle for longer is tested before use, because the server may have restarted.
const STALE: Duration = Duration::from_secs(1);
/// A session idle for longer is closed.
const IDLE_MAX: Duration = Duration::from_secs(600);
/// A session is replaced after this long, so that the checks of a new session are repeated.
const AGE_MAX: Duration = Duration::from_secs(1800);

struct IdleSession {
    session: ServerSession,
    opened: Instant,
    since: Instant,
}

/// Clones share the sessions.
#[derive(Clone)]
pub(super) struct SessionPool(Arc<PoolInner>);

struct PoolInner {
    /// For the next session.
    options: Mutex<PgConnectOptions>,
    timeout: Duration,
    verifier: Option<Verifier>,
    permits: Arc<Semaphore>,
    /// Used last in, first out.
    idle: Mutex<VecDeque<IdleSession>>,
    timeline: AtomicU8,
}

const NOT_ASKED: u8 = 0;
const SAYS: u8 = 1;
const SAYS_NOT: u8 = 2;

impl SessionPool {
    /// `verifier` is `None` for a read-only pool.
    pub(super) fn new(options: PgConnectOptions, settings: &Settings, verifier: Option<Verifier>) -> Self {
        let permits = Arc::new(Semaphore::new(settings.pool_max.max(1) as usize));
        let idle = Mutex::default();
        let timeline = AtomicU8::new(NOT_ASKED);
        let options = Mutex::new(options);
        Self(Arc::new(PoolInner { options, timeout: settings.timeout, verifier, permits, idle, timeline }))
    }

    /// With a session that is open already.
    pub(super) fn with(self, session: ServerSession) -> Self {
        self.note(&session);
        self.0.keep(session, Instant::now());
        self
    }

    /// A session apart from the pool, with other options.
    pub(super) async fn open_with(&self, options: &PgConnectOptions) -> Result<ServerSession, OpenError> {
        let mut session = in_time(self.0.timeout, connect(options, self.0.timeout)).await?;
        if let Some(verifier) = &self.0.verifier {
            session.in_transaction(verifier).await?;
        }
        Ok(session)
    }

    /// Sessions that are opened from now on use these options.
    pub(super) fn use_from_now_on(&self, options: PgConnectOptions) {
        *self.0.options.lock().unwrap_or_else(PoisonError::into_inner) = options;
    }

    pub(super) fn says_its_timeline(&self) -> Option<bool> {
        match self.0.timeline.load(Ordering::Relaxed) {
            NOT_ASKED => None,
            says => Some(says == SAYS),
        }
    }

    fn note(&self, session: &ServerSession) {
        let says = if session.history.is_some() { SAYS } else { SAYS_NOT };
        self.0.timeline.store(says, Ordering::Relaxed);
    }

    /// Waits for a session. The caller limits the duration of the whole call.
    pub(super) async fn take(&self) -> Result<SessionLease, LedgerError> {
        let permit = Arc::clone(&self.0.permits).acquire_owned().await.map_err(|_| LedgerError::Closed)?;
        let (session, opened) = match self.reuse().await {
            Some(found) => found,
            None => (self.open().await?, Instant::now()),
        };
        Ok(SessionLease { session: Some(session), opened, pool: Arc::clone(&self.0), _permit: permit })
    }

    async fn reuse(&self) -> Option<(ServerSession, Instant)> {
        loop {
            // The one used last: it is the least likely to need a ping or to be too old.
            let IdleSession { mut session, opened, since } = self.0.lock().pop_back()?;
            if since.elapsed() > IDLE_MAX || opened.elapsed() > AGE_MAX {
                session.close().await;
                continue;
            }
            if since.elapsed() <= STALE || session.ping().await.is_ok() {
                return Some((session, opened));
            }
        }
    }

    async fn open(&self) -> Result<ServerSession, LedgerError> {
        let options = self.0.options.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let session = connect(&options, self.0.timeout).await;
        let mut session = session.map_err(|error| match error {
            OpenError::Ledger(error) => error,
            OpenError::Connect(error) => error.into(),
            OpenError::Pooler => LedgerError::Session,
            other => LedgerError::from(sqlx::Error::Configuration(other.into())),
        })?;
        self.note(&session);
        if let Some(verifier) = &self.0.verifier {
            session.in_transaction(verifier).await?;
        }
        Ok(session)
    }

    pub(super) async fn close(self) {
        self.0.permits.close();
        let idle = std::mem::take(&mut *self.0.lock());
        for IdleSession { session, .. } in idle {
            session.close().await;
        }
    }
}

impl PoolInner {
    fn lock(&self) -> std::sync::MutexGuard<'_, VecDeque<IdleSession>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn keep(&self, session: ServerSession, opened: Instant) {
        if !self.permits.is_closed() {
            self.lock().push_back(IdleSession { session, opened, since: Instant::now() });
        }
    }
}

/// A session in use. It returns to the pool only after a clean answer; else, also when its future is dropped, it is closed: the next
/// statement could run inside a transaction that is never committed, and would be reported as durable.
pub(super) struct SessionLease {
    session: Option<ServerSession>,
    opened: Instant,
    pool: Arc<PoolInner>,
    _permit: OwnedSemaphorePermit,
}

impl SessionLease {
    pub(super) fn session(&mut self) -> Result<&mut ServerSession, LedgerError> {
        self.session.as_mut().ok_or(LedgerError::Closed)
    }

    /// After a call that is one statement at a time.
    pub(super) fn give_back<T>(self, outcome: Result<T, LedgerError>) -> Result<T, LedgerError> {
        match outcome {
            Err(error) if error.leaves_transaction_sound() => self.keep(Err(error)),
            outcome => self.give_back_if_ok(outcome),
        }
    }

    pub(super) fn give_back_if_ok<T>(self, outcome: Result<T, LedgerError>) -> Result<T, LedgerError> {
        // After an error the state of the session is not known; a new one costs less than a wrong one.
        if outcome.is_ok() { self.keep(outcome) } else { outcome }
    }

    fn keep<T>(mut self, outcome: Result<T, LedgerError>) -> Result<T, LedgerError> {
        if let Some(session) = self.session.take() {
            self.pool.keep(session, self.opened);
        }
        outcome
    }
}
