//! `serve`: builds all parts, runs them until a signal, and returns how it ended.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use clap::Args;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::config_args::ConfigArgs;
use super::exit::{FAILED, OK, USAGE};
use super::output::{complain, print_error};
use super::termination::Termination;
use super::watched::{self, Watched};
use super::{check, open_files, sandbox_hints};
use crate::admin::{self, view::View};
use crate::config::keys;
use crate::config::load::{Flag, Loaded, Sources, load, name_sources};
use crate::config::reload::{self, ReloadGuard};
use crate::config::{Config, ConfigProblem, ConfigRow, Modes, ReloadHistory, Tls, explain};
use crate::deprecation::on_record::UsageKeeper;
use crate::failure::error_chain::error_chain;
use crate::gate;
use crate::ledger::advisories::Advisories;
use crate::ledger::{Ledger, Mismatch, OpenError};
use crate::ledger::{effective_modes, reload_guard, trip};
use crate::proxy::App;
use crate::routes::only_door;
use crate::sandbox::{self, Sandbox};
use crate::server::tls::Certificates;
use crate::server::{self, Drained};
use crate::shadow::Shadow;
use crate::telemetry::log_health::LogHealth;
use crate::telemetry::traces::Collecting;
use crate::telemetry::{self, FileGuard, LogFile, LogGuard};
use crate::upstream::UpstreamClient;

type Error = Box<dyn std::error::Error + Send + Sync>;
type Lines = Box<dyn std::io::Write + Send>;

/// How serving ended, if without an error.
enum ServeOutcome {
    /// A signal ended it; how the drain went.
    Drained(Drained),
    /// A signal came before anything was served.
    Stopped,
    /// It did not start: the ledger shows that this config must not be served.
    Refused(Vec<ConfigProblem>),
}

/// Pause between two attempts to compare the new API with the ledger, while creates wait for it.
const COMPARE_AGAIN_AFTER: Duration = Duration::from_secs(5);
/// The same where only an advisory depends on it.
const COMPARE_AGAIN_LATER: Duration = Duration::from_secs(300);

/// Time for the runtime's threads to end.
const THREADS_TIMEOUT: Duration = Duration::from_millis(500);

const NOTHING_TO_SERVE: &str = "\
conversion-shim: serve needs --sandbox or --config:
  conversion-shim serve --sandbox        try it with an embedded sandbox of the vendor
  conversion-shim serve --config FILE    production; start from config/production.example.toml
";

#[derive(Debug, Args)]
pub(super) struct ServeArgs {
    /// Start an embedded sandbox of the vendor and send all requests there; no money, no setup
    #[arg(long)]
    sandbox: bool,
    #[command(flatten)]
    config: ConfigArgs,
}

pub(super) fn run(arguments: ServeArgs) -> u8 {
    // First of all, so that no signal is lost.
    let termination = match Termination::listen() {
        Ok(termination) => termination,
        Err(error) => {
            complain(format_args!("signals: {error}"));
            return FAILED;
        }
    };
    let sandbox = arguments.sandbox;
    if arguments.config.config.is_none() && !sandbox {
        print_error(NOTHING_TO_SERVE);
        return USAGE;
    }
    let sources =
        if sandbox { arguments.config.into_sandbox_sources() } else { arguments.config.into_sources() };
    let loaded = match load(&sources) {
        Ok(loaded) => loaded,
        Err(problems) => return check::refused(&problems),
    };
    let problems = check::ledger_url(&loaded.config, &explain(&loaded));
    if !problems.is_empty() {
        return check::refused(&problems);
    }
    match serve(sources, loaded, sandbox, &termination) {
        Ok(ServeOutcome::Stopped) => OK,
        Ok(ServeOutcome::Drained(drained)) if drained.is_clean() => OK,
        Ok(ServeOutcome::Drained(_)) => FAILED,
        Ok(ServeOutcome::Refused(problems)) => check::refused(&problems),
        Err(error) => {
            complain(error);
            FAILED
        }
    }
}

/// Runs everything on a runtime of the configured number of threads.
fn serve(
    sources: Sources,
    loaded: Loaded,
    sandbox: bool,
    termination: &Termination,
) -> Result<ServeOutcome, Error> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(loaded.config.server.threads.get())
        .thread_name("conversion-shim")
        .enable_all()
        .build()?;
    let outcome = runtime.block_on(async {
        // The sandbox lives until serving has ended.
        let (sources, loaded, _sandbox) =
            if sandbox { with_sandbox(sources, &loaded.config).await? } else { (sources, loaded, None) };
        start(sources, loaded, sandbox, termination).await
    });
    // A blocked thread, as of a name that is being resolved, has nothing to finish.
    runtime.shutdown_timeout(THREADS_TIMEOUT);
    outcome
}

/// Starts the sandbox and points every upstream at it.
async fn with_sandbox(
    mut sources: Sources,
    config: &Config,
) -> Result<(Sources, Loaded, Option<Sandbox>), Error> {
    let options = sandbox::Options {
        listen: config.sandbox.listen,
        settle_after: config.sandbox.settle_after,
        seed: true,
        ..sandbox::Options::default()
    };
    let listen = options.listen;
    let sandbox = Sandbox::start(options).await;
    let sandbox = sandbox.map_err(|error| {
        let key = keys::SANDBOX_LISTEN;
        format!("{key} {listen}: {error}; choose another port with --set {key}=127.0.0.1:0")
    })?;
    let urls = [("legacy", sandbox.base_url()), ("new", sandbox.base_url()), ("oauth", sandbox.token_url())];
    sources.flags.extend(urls.map(|(name, url)| Flag::new("--sandbox", format!("upstream.{name}.url"), url)));
    let loaded = load(&sources).map_err(|problems| joined(&problems))?;
    Ok((sources, loaded, Some(sandbox)))
}

fn joined(problems: &[ConfigProblem]) -> String {
    problems.iter().map(ConfigProblem::to_string).collect::<Vec<_>>().join("; ")
}

/// Serves, with logs and spans that outlive it.
async fn start(
    sources: Sources,
    loaded: Loaded,
    sandbox: bool,
    termination: &Termination,
) -> Result<ServeOutcome, Error> {
    let config = loaded.config.clone();
    let collecting = Collecting::start(&config.traces).map_err(|error| format!("tracing: {error}"))?;
    let log = telemetry::start(&config.log, collecting.as_ref())?;
    let telemetry = Telemetry { log: &log, spans: collecting.as_ref() };
    let outcome = tokio::select! {
        biased;
        () = termination.requested_at_start() => {
            tracing::info!(target: "server", "stopped by a signal before anything was served");
            Ok(ServeOutcome::Stopped)
        }
        outcome = run_all(sources, loaded, sandbox, telemetry, termination) => outcome,
    };
    // Dropping it flushes to the collector and blocks, so it must not run on a runtime thread.
    tokio::task::spawn_blocking(move || drop(collecting)).await?;
    outcome
}

#[derive(Clone, Copy)]
struct Telemetry<'a> {
    log: &'a LogGuard,
    spans: Option<&'a Collecting>,
}

async fn run_all(
    sources: Sources,
    loaded: Loaded,
    sandbox: bool,
    telemetry: Telemetry<'_>,
    termination: &Termination,
) -> Result<ServeOutcome, Error> {
    let config = loaded.config.clone();
    let certificates = config.tls.as_ref().map(Certificates::load).transpose()?;
    let upstream = UpstreamClient::new(&config.upstream)?;
    let current = Arc::new(ArcSwap::new(config.clone()));
    let (ledger, guard) = match guarded_ledger(&config, &current, (&explain(&loaded), sandbox)).await? {
        Ok(ledger) => ledger,
        Err(problems) => return Ok(ServeOutcome::Refused(problems)),
    };
    let admin = admin_listener(&config).await?;
    let listener = public_listener(&config).await?;
    let files = config.tls.iter().flat_map(Tls::files).chain(config.upstream.files()).collect();
    open_files::warn_if_too_few(&config);
    log_modes(&config);
    let (watcher, handle) = reload::watcher(sources, loaded, current.clone(), files, guard)?;
    let reloads = handle.history();
    let mut background = JoinSet::new();
    background.spawn(watcher.run());
    let (records, records_file) = records(&config, telemetry.log)?;
    let (records_log, _records_guard) = records_file.unzip();
    let logs = logs(telemetry.log, records_log.as_ref());
    let renewals = watched::renewals(certificates.clone(), &config, &upstream);
    let authorization = telemetry.spans.map(Collecting::authorization);
    let watched = Watched { records: records_log, renewals, spans: authorization };
    background.spawn(watched.follow(handle, current.clone()));
    let (shadow, comparing) = Shadow::start(current.clone(), &upstream, records)?;
    announce(&config, listener.local_addr()?, admin.as_ref(), sandbox);
    let app = Arc::new(App::new(current.clone(), upstream, ledger.clone()).with_shadow(shadow));
    let spans = telemetry.spans.map(Collecting::counts);
    let view = Arc::new(View::new(app.clone(), reloads.clone()).with_spans(spans).with_logs(logs));
    let advisories = view.advisories().clone();
    background.spawn(advisories.start(config.clone(), current.clone(), reloads.clone()).await);
    background.spawn(compare_with_new(&config, &app, view.advisories().clone()));
    // After it, because it may keep the ledger from taking writes.
    follow_ledger(ledger.as_ref(), &current, &reloads, &mut background).await;
    let usage = keep_usage(&app, &mut background);
    background.spawn(reconcile(view.clone(), app.clone()));
    // Serves before the first client and until after the last one, so that operators can watch the drain.
    if let Some(listener) = admin {
        background.spawn(admin::serve(listener, view.clone()));
    }
    termination.serving();
    let shutdown = async {
        termination.requested().await;
        view.drain_begins();
    };
    let drained = server::serve(listener, app, certificates, shutdown).await;
    drop(comparing);
    background.abort_all();
    usage.flush().await;
    Ok(ServeOutcome::Drained(drained))
}

/// What a process keeps reading from its ledger, and writing to it, until it ends.
async fn follow_ledger(
    ledger: Option<&Ledger>,
    current: &Arc<ArcSwap<Config>>,
    reloads: &watch::Receiver<ReloadHistory>,
    background: &mut JoinSet<()>,
) {
    let Some(ledger) = ledger else { return };
    // Before the first client: a restart ends neither a trip nor a hold.
    ledger.read_trip().await;
    let _ = ledger.probe().await;
    background.spawn(trip::keep_reading(ledger.clone()));
    background.spawn(effective_modes::keep_on_record(ledger.clone(), current.clone(), reloads.clone()));
    background.spawn(reload_guard::keep_probing(ledger.clone()));
}

/// The config's ledger with the guard of every reload, or why the config must not be served.
async fn guarded_ledger(
    config: &Arc<Config>,
    current: &Arc<ArcSwap<Config>>,
    (rows, sandbox): (&[ConfigRow], bool),
) -> Result<Result<(Option<Ledger>, ReloadGuard), Vec<ConfigProblem>>, Error> {
    let ledger = match reload_guard::open(config).await {
        Ok(ledger) => ledger,
        Err(error) => {
            let mut problems = check::ledger_problems(&error, rows);
            // All that the operator has to change, in one refusal.
            if let OpenError::Mismatch(all) = &error {
                problems.extend(config.check_against_history(all.contains(&Mismatch::Opened)));
            }
            return if problems.is_empty() {
                Err(format!("ledger: {error}").into())
            } else {
                Ok(Err(problems))
            };
        }
    };
    let guard = reload_guard::consult(ledger.clone(), current.clone());
    let guard = gate::guarded(guard, ledger.clone(), current.clone(), sandbox);
    let guard = reload_guard::withdrawing(guard, ledger.clone(), current.clone());
    // A start is held to the same gates as a reload, or a restart would be the way round them.
    let refused = name_sources(rows, guard(config.clone()).await);
    Ok(if refused.is_empty() { Ok((ledger, guard)) } else { Err(refused) })
}

/// Logs the address that serves clients, and prints requests to try with a sandbox.
fn announce(config: &Config, address: SocketAddr, admin: Option<&TcpListener>, sandbox: bool) {
    if sandbox {
        // To standard error, because standard output holds only log lines.
        let admin = admin.and_then(|admin| admin.local_addr().ok());
        print_error(&sandbox_hints::requests(config, address, admin));
    }
    tracing::info!(target: "server", %address, stage = config.stage.as_str(), config = config.hash, "serving");
}

/// Compares the newest records of the new API with the ledger, again and again until both could be read. Where this proxy is the only
/// door, no create begins before, and an unknown record holds creates.
fn compare_with_new(
    config: &Arc<Config>,
    app: &Arc<App>,
    advisories: Arc<Advisories>,
) -> impl Future<Output = ()> + use<> {
    let (config, services) = (config.clone(), app.services.clone());
    let only_door = config.ledger.as_ref().is_some_and(|ledger| ledger.only_door);
    if let (true, Some(ledger)) = (only_door, &services.ledger) {
        ledger.suspend();
    }
    async move {
        let found = loop {
            match only_door::unknown_record(&config, &services).await {
                Ok(found) => break found,
                Err(failure) => {
                    let error = error_chain(&failure);
                    tracing::warn!(target: "ledger", error, only_door, "the new API cannot be compared with the ledger yet");
                    tokio::time::sleep(if only_door { COMPARE_AGAIN_AFTER } else { COMPARE_AGAIN_LATER })
                        .await;
                }
            }
        };
        let Some(ledger) = services.ledger.clone() else { return };
        if let Some(why) = found {
            // Creates must not begin before they are held.
            while only_door && let Err(error) = ledger.hold(why.clone()).await {
                tracing::error!(target: "ledger", %error, "creates cannot be held yet; they wait");
                tokio::time::sleep(COMPARE_AGAIN_AFTER).await;
            }
            advisories.report_unknown_record(why).await;
        }
        ledger.resume();
    }
}

/// Keeps the usage of clients and unknown names in the ledger, if there is one.
fn keep_usage(app: &App, background: &mut JoinSet<()>) -> UsageKeeper {
    let (ledger, drift) = (app.services.ledger.clone(), app.services.upstream.drift().clone());
    let keeper = UsageKeeper::new(ledger, app.usage.clone(), drift, app.config.clone());
    background.spawn(keeper.clone().run());
    keeper
}

/// Walks the vendor's lists whenever a walk is due, if there is a ledger to join them with.
async fn reconcile(view: Arc<View>, app: Arc<App>) {
    if let Some(ledger) = app.services.ledger.clone() {
        view.reconciler().clone().run(app.config.clone(), ledger, app.services.upstream.clone()).await;
    }
}

/// The writer of shadow records: `shadow.log`, or the process log.
fn records(config: &Config, log: &LogGuard) -> Result<(Lines, Option<(LogFile, FileGuard)>), Error> {
    let settings = &config.shadow;
    let Some(path) = &settings.log else { return Ok((log.lines(), None)) };
    let opened = telemetry::lines_to_file(path, settings.log_max, settings.log_keep);
    let (file, guard) =
        opened.map_err(|error| format!("{} {}: {error}", keys::SHADOW_LOG, path.display()))?;
    Ok((file.lines(), Some((file, guard))))
}

/// The logs that this process writes, for the admin listener.
fn logs(log: &LogGuard, records: Option<&LogFile>) -> Vec<(&'static str, LogHealth)> {
    let records = records.map(|file| ("shadow", file.health()));
    std::iter::once(("process", log.health())).chain(records).collect()
}

async fn public_listener(config: &Config) -> Result<TcpListener, Error> {
    let listener = TcpListener::bind(config.listen).await;
    listener.map_err(|error| format!("listen {}: {error}", config.listen).into())
}

/// The admin listener; `None` when it is off.
async fn admin_listener(config: &Config) -> Result<Option<TcpListener>, Error> {
    let Some(listen) = config.admin.listen else { return Ok(None) };
    let listener = TcpListener::bind(listen).await.map_err(|error| {
        format!("{} {listen}: {error}; set another port, or \"\" to turn it off", keys::ADMIN_LISTEN)
    })?;
    let address = listener.local_addr()?;
    tracing::info!(target: "server", %address, "admin listener ready");
    Ok(Some(listener))
}

/// Logs the modes at start; a reload logs every later change.
fn log_modes(config: &Config) {
    let Modes { create, get, list, cancel } = config.modes;
    let (stage, hash) = (config.stage, &config.hash);
    tracing::info!(target: "config", %stage, %create, %get, %list, %cancel, hash, "modes in force");
}
