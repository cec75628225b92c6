//! The modes in force, on record in the ledger: every start or reload that changes them is a row of the audit.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use jiff::Timestamp;
use tokio::sync::watch;
use tokio::time::sleep;

use super::audit::{AuditEntry, AuditKind, record};
use super::connection::{Connection, LedgerRequest};
use super::error::LedgerError;
use super::identity::{OfTenant, is_stranger, named_setting, replace_named, set_named};
use super::queries::{CreatedOnNew, time};
use super::{Ledger, Reader};
use crate::config::{
    Config, CreateProgress, CutoverProgress, Mode, Modes, Override, ReadProgress, ReloadHistory,
};
use crate::translate::route::Route;

/// Pause before a record that failed is tried again.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Puts the modes of a process on record, audited if others are there.
struct RecordModes {
    process: String,
    tenant: String,
    progress: CutoverProgress,
    /// Whether creates are on hold.
    holds: bool,
    /// Who, until when, why: the override under which these modes are in force.
    exception: Option<String>,
    /// `config HASH`.
    operator: String,
    modes: String,
    reason: &'static str,
}

impl LedgerRequest for RecordModes {
    type Output = ();

    const COMPOUND: bool = true;

    async fn run<C: Connection>(&self, connection: &mut C) -> Result<(), LedgerError> {
        self.record_furthest(connection).await?;
        let name = OfTenant::Modes.name(connection, &self.tenant).await?;
        let before = named_setting(connection, &name).await?.map(|(modes, _)| modes);
        if before.as_ref() == Some(&self.modes) {
            return Ok(());
        }
        // Of several replicas that make the same change, one finds another value and audits it.
        if !replace_named(connection, &name, &self.modes).await? {
            return Ok(());
        }
        let entry = AuditEntry {
            process: &self.process,
            operator: &self.operator,
            kind: AuditKind::Modes,
            subject: "",
            reason: self.reason,
            before: before.as_deref(),
            after: Some(&self.modes),
        };
        record(connection, &entry).await?;
        let Some(reason) = &self.exception else { return Ok(()) };
        record(connection, &AuditEntry { kind: AuditKind::Override, reason, ..entry }).await
    }
}

impl RecordModes {
    async fn record_furthest<C: Connection>(&self, connection: &mut C) -> Result<(), LedgerError> {
        let before = Furthest(&self.tenant).run(connection).await?;
        let known = match before {
            Some(before) => before,
            // The version before may have created everything there, and this process may begin on hold.
            None if CreatedOnNew.run(connection).await? => {
                CutoverProgress { creates: CreateProgress::All, reads: ReadProgress::Both }
            }
            // A hold says nothing of the modes before it.
            None if self.holds => return Ok(()),
            None => self.progress,
        };
        let after = CutoverProgress {
            creates: known.creates.max(self.progress.creates),
            reads: known.reads.max(self.progress.reads),
        };
        if before != Some(after) {
            let name = OfTenant::Furthest.name(connection, &self.tenant).await?;
            set_named(connection, &name, &progress_text(after)).await?;
        }
        Ok(())
    }
}

/// The furthest modes of a tenant on record; `None` in a ledger of a version that kept none.
struct Furthest<'a>(&'a str);

impl LedgerRequest for Furthest<'_> {
    type Output = Option<CutoverProgress>;

    async fn run<C: Connection>(&self, connection: &mut C) -> Result<Self::Output, LedgerError> {
        if is_stranger(connection, self.0).await? {
            return Ok(Some(CutoverProgress { creates: CreateProgress::None, reads: ReadProgress::Legacy }));
        }
        let name = OfTenant::Furthest.name(connection, self.0).await?;
        let Some((text, _)) = named_setting(connection, &name).await? else { return Ok(None) };
        let known =
            CREATES.into_iter().flat_map(|creates| READS.map(|reads| CutoverProgress { creates, reads }));
        let found = known.into_iter().find(|progress| progress_text(*progress) == text);
        found.map(Some).ok_or_else(|| LedgerError::Corrupt("unknown furthest modes".into()))
    }
}

const CREATES: [CreateProgress; 3] = [CreateProgress::None, CreateProgress::Some, CreateProgress::All];
const READS: [ReadProgress; 3] = [ReadProgress::Legacy, ReadProgress::Both, ReadProgress::New];

fn progress_text(progress: CutoverProgress) -> String {
    let creates = match progress.creates {
        CreateProgress::None => "none",
        CreateProgress::Some => "some",
        CreateProgress::All => "all",
    };
    let reads = match progress.reads {
        ReadProgress::Legacy => "legacy",
        ReadProgress::Both => "both",
        ReadProgress::New => "new",
    };
    format!("creates {creates}, reads {reads}")
}

/// The modes of a tenant on record, and since when.
struct ModesOnRecord<'a>(&'a str);

impl LedgerRequest for ModesOnRecord<'_> {
    type Output = Option<(String, Timestamp)>;

    async fn run<C: Connection>(&self, connection: &mut C) -> Result<Self::Output, LedgerError> {
        let name = OfTenant::Modes.name(connection, self.0).await?;
        let found = named_setting(connection, &name).await?;
        found.map(|(modes, at)| Ok((modes, time(at)?))).transpose()
    }
}

impl Reader {
    /// The furthest modes that any process of the tenant put in force; `None` in a ledger of a version that kept none.
    pub(crate) async fn furthest(&self, tenant: &str) -> Result<Option<CutoverProgress>, LedgerError> {
        self.ask(&Furthest(tenant)).await
    }

    /// The modes of the tenant that were put in force last, and when.
    pub(crate) async fn modes_on_record(
        &self,
        tenant: &str,
    ) -> Result<Option<(String, Timestamp)>, LedgerError> {
        self.ask(&ModesOnRecord(tenant)).await
    }
}

/// How far modes on record are; `None` for `hold`, which says nothing of the modes before it, and for what cannot be read.
#[must_use]
pub(crate) fn progress_of_record(text: &str) -> Option<CutoverProgress> {
    let modes = modes_of(text).filter(|modes| modes.create != Mode::Hold)?;
    let progress = modes.progress();
    let all = text.contains("create canary 100%");
    Some(if all { CutoverProgress { creates: CreateProgress::All, ..progress } } else { progress })
}

/// Reads what [`modes`] writes.
#[must_use]
pub(crate) fn modes_of(text: &str) -> Option<Modes> {
    let mode = |route: Route| {
        let parts = text.split(", ").find_map(|part| part.strip_prefix(route.as_str())?.strip_prefix(' '));
        parts?.split(' ').next()?.parse::<Mode>().ok()
    };
    Some(Modes {
        create: mode(Route::Create)?,
        get: mode(Route::Get)?,
        list: mode(Route::List)?,
        cancel: mode(Route::Cancel)?,
    })
}

impl Ledger {
    async fn record_modes(&self, config: &Config, reason: &'static str) -> Result<(), LedgerError> {
        // A write that succeeds makes the process ready, which it is not before the ledger was compared.
        self.check_suspended()?;
        let operator = format!("config {}", config.hash);
        let exception = config.override_in_force().map(|exception| {
            let Override { to, who, why, until } = exception;
            format!("by {who} to {to} until {until}: {why}")
        });
        let (progress, modes) = (config.progress_of(&config.modes), modes(config));
        let (process, tenant) = (self.process(), tenant_of(config).to_owned());
        let holds = config.modes.create == Mode::Hold;
        self.write(RecordModes { process, tenant, progress, holds, exception, operator, modes, reason }).await
    }
}

/// The tenant whose modes a config is about.
pub(crate) fn tenant_of(config: &Config) -> &str {
    config.ledger.as_ref().map_or("", |ledger| ledger.tenant.as_str())
}

/// The effective modes: `create canary 5%, get both, list both, cancel both`.
fn modes(config: &Config) -> String {
    let modes = &config.modes;
    let percent = match modes.create {
        Mode::Canary => format!(" {}%", config.canary.percent),
        Mode::Legacy | Mode::Shadow | Mode::Hold | Mode::Both | Mode::New => String::new(),
    };
    let (create, get, list, cancel) = (modes.create, modes.get, modes.list, modes.cancel);
    format!("create {create}{percent}, get {get}, list {list}, cancel {cancel}")
}

/// Puts the modes on record, now and after every reload that changes them. A shared record that says something else is another replica's,
/// and stays. Ends with the watcher of the config. What the ledger does not take is tried again: a mode that is in force stays so, on
/// record or not.
pub(crate) async fn keep_on_record(
    ledger: Ledger,
    current: Arc<ArcSwap<Config>>,
    mut reloads: watch::Receiver<ReloadHistory>,
) {
    let mut reason = "start";
    let mut recorded: Option<String> = None;
    loop {
        // Loaded anew for each try: a reload meanwhile makes the older modes moot.
        let config = current.load_full();
        let in_force = modes(&config);
        // Before the write, which may have to wait: heartbeats say what runs, on record or not.
        ledger.verifier.running.set(&config.hash, &in_force);
        if recorded.as_ref() != Some(&in_force) {
            if let Err(error) = ledger.record_modes(&config, reason).await {
                tracing::debug!(target: "ledger", %error, "the modes in force are not on record yet");
                sleep(RETRY_AFTER).await;
                continue;
            }
            recorded = Some(in_force);
        }
        if reloads.changed().await.is_err() {
            return;
        }
        reason = "reload";
    }
}
