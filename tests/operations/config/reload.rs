//! Reloading through its front door: what is swapped, what is refused, and what is said about it. No waiting: every look
//! is asked for and answered. SIGHUP has a file of its own, because it reaches every watcher of a process.

use std::io::Write;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use arc_swap::ArcSwap;
use conversion_shim::config::load::{Sources, load};
use conversion_shim::config::reload::{ReloadGuard, ReloadHandle, ReloadOutcome, watcher};
use conversion_shim::config::{
    Config, ConfigChange, ConfigProblem, Mode, PastReload, RELOADS_KEPT, ReloadResult, Stage,
};
use conversion_shim::translate::route::Route;
use tracing::subscriber::DefaultGuard;

/// Polls by itself never within a test.
const START: &str = "stage = \"observe\"\n[reload]\npoll_interval = \"1h\"\n\
    [ledger]\nurl = \"sqlite:/tmp/hunter2.db\"\nid = \"made\"\nnew_in_use = true\n";

struct Running {
    dir: tempfile::TempDir,
    file: PathBuf,
    current: Arc<ArcSwap<Config>>,
    handle: ReloadHandle,
    log: Log,
    _guard: DefaultGuard,
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Log {
    /// The lines since the last call.
    fn lines(&self) -> Vec<String> {
        let bytes = std::mem::take(&mut *self.0.lock().unwrap());
        String::from_utf8(bytes).unwrap().lines().map(str::to_owned).collect()
    }
}

fn start() -> Running {
    start_with(Box::new(|_| Box::pin(async { Vec::new() })))
}

fn start_with(consult: ReloadGuard) -> Running {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_ansi(false)
        .without_time()
        .with_writer(move || writer.clone())
        .finish();
    let guard = tracing::subscriber::set_default(subscriber);
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("shim.toml");
    std::fs::write(&file, START).unwrap();
    std::fs::write(dir.path().join("tls.pem"), "one").unwrap();
    let sources = Sources { file: Some(file.clone()), ..Sources::default() };
    let loaded = load(&sources).unwrap();
    let current = Arc::new(ArcSwap::from(Arc::clone(&loaded.config)));
    let pem = vec![dir.path().join("tls.pem")];
    let (watcher, handle) = watcher(sources, loaded, Arc::clone(&current), pem, consult).unwrap();
    tokio::spawn(watcher.run());
    Running { dir, file, current, handle, log, _guard: guard }
}

impl Running {
    fn write(&self, from: &str, to: &str) {
        assert!(START.contains(from));
        std::fs::write(&self.file, START.replace(from, to)).unwrap();
    }

    async fn poll(&self) -> ReloadOutcome {
        self.handle.poll().await.unwrap()
    }

    fn stage(&self) -> Stage {
        self.current.load().stage
    }
}

fn keys(outcome: &ReloadOutcome) -> Vec<&str> {
    let ReloadOutcome::Refused(problems) = outcome else { panic!("{outcome:?}") };
    problems.iter().map(|problem| problem.key.as_str()).collect()
}

#[tokio::test]
async fn a_valid_change_swaps_the_snapshot_and_logs_every_mode() {
    let running = start();
    assert_eq!(running.poll().await, ReloadOutcome::Unchanged);
    let before = running.current.load_full();
    running.write("observe", "canary");
    let ReloadOutcome::Accepted { hash } = running.poll().await else { panic!("accepted") };
    assert_eq!((running.stage(), running.current.load().modes.create), (Stage::Canary, Mode::Canary));
    assert_eq!(running.current.load().hash, hash);
    assert_eq!(before.stage, Stage::Observe, "who holds a snapshot keeps it");
    let lines = running.log.lines();
    assert_eq!(lines.len(), 5, "{lines:#?}");
    assert!(lines.iter().all(|line| line.contains(" config: ") && line.contains(&hash)), "{lines:#?}");
    assert!(lines[0].contains("route=\"create\" from=legacy to=canary"), "{lines:#?}");
    assert_eq!(running.poll().await, ReloadOutcome::Unchanged);
    assert!(running.log.lines().is_empty());
}

/// A check reads the file more than once.
#[tokio::test]
async fn a_file_that_changes_during_a_check_is_in_effect_in_the_end() {
    let running = start();
    let stages = ["hold", "ready"];
    for round in 0..40 {
        let (file, stop) = (running.file.clone(), Arc::new(AtomicBool::new(false)));
        let (stopped, (write, written)) = (stop.clone(), std::sync::mpsc::channel());
        let writer = std::thread::spawn(move || {
            let mut last = "";
            for stage in stages.into_iter().cycle() {
                let draft = file.with_extension("draft");
                std::fs::write(&draft, START.replace("observe", stage)).unwrap();
                std::fs::rename(&draft, &file).unwrap();
                last = stage;
                let _ = write.send(());
                if stopped.load(Ordering::Relaxed) {
                    break;
                }
            }
            last
        });
        written.recv().unwrap();
        running.poll().await;
        stop.store(true, Ordering::Relaxed);
        let last = writer.join().unwrap();
        running.poll().await;
        assert_eq!(running.stage().as_str(), last, "round {round}");
    }
}

#[tokio::test]
async fn an_invalid_change_changes_nothing_and_every_problem_is_logged_once() {
    let running = start();
    let before = running.current.load_full();
    running.write("stage = \"observe\"", "stage = \"lvie\"\nbase_path = \"v2\"");
    assert_eq!(keys(&running.poll().await), ["base_path", "stage"]);
    let lines = running.log.lines();
    assert!(lines.len() == 2 && lines.iter().all(|line| line.contains("ERROR config: ")), "{lines:#?}");
    assert_eq!(keys(&running.poll().await), ["base_path", "stage"]);
    assert!(running.log.lines().is_empty(), "logged before");
    running.handle.reload().await;
    assert_eq!(running.log.lines().len(), 2, "who asks expressly is answered");
    assert!(Arc::ptr_eq(&before, &running.current.load_full()));

    running.write("observe", "hold");
    assert!(matches!(running.poll().await, ReloadOutcome::Accepted { .. }));
    assert_eq!(running.stage(), Stage::Hold);
}

#[tokio::test]
async fn a_change_that_needs_a_restart_is_refused_as_a_whole_and_named_without_secrets() {
    let running = start();
    std::fs::write(
        &running.file,
        START
            .replace("observe", "hold")
            .replace("hunter2", "hunter3")
            .replace("stage", "listen = \"127.0.0.1:1\"\nstage"),
    )
    .unwrap();
    let outcome = running.poll().await;
    assert_eq!(keys(&outcome), ["listen", "ledger.url"]);
    let ReloadOutcome::Refused(problems) = outcome else { unreachable!() };
    assert_eq!(problems[0].message, "changed from 127.0.0.1:8080 to 127.0.0.1:1, and that needs a restart");
    assert!(problems[0].source.starts_with("file /"));
    assert_eq!(running.stage(), Stage::Observe);
    assert!(!running.log.lines().concat().contains("hunter"));
}

#[tokio::test]
async fn another_salt_is_refused_while_a_percentage_is_in_force() {
    let running = start();
    let canary = |salt: &str, percent: u8| {
        std::fs::write(&running.file, format!("{START}[canary]\nsalt = \"{salt}\"\npercent = {percent}\n"))
            .unwrap();
    };
    canary("a", 5);
    assert!(
        matches!(running.poll().await, ReloadOutcome::Accepted { .. }),
        "salt and percentage may begin together"
    );
    canary("b", 5);
    assert_eq!(keys(&running.poll().await), ["canary.salt"]);
    canary("a", 0);
    assert!(matches!(running.poll().await, ReloadOutcome::Accepted { .. }));
    canary("b", 5);
    assert!(matches!(running.poll().await, ReloadOutcome::Accepted { .. }));
}

#[tokio::test]
async fn a_symlink_swap_as_with_a_mounted_config_is_detected() {
    let running = start();
    let (one, two) = (running.dir.path().join("..one"), running.dir.path().join("..two"));
    for (dir, stage) in [(&one, "observe"), (&two, "hold")] {
        std::fs::create_dir(dir).unwrap();
        std::fs::write(dir.join("shim.toml"), START.replace("observe", stage)).unwrap();
    }
    let data = running.dir.path().join("..data");
    std::os::unix::fs::symlink(&one, &data).unwrap();
    std::fs::remove_file(&running.file).unwrap();
    std::os::unix::fs::symlink(data.join("shim.toml"), &running.file).unwrap();
    assert_eq!(running.poll().await, ReloadOutcome::Unchanged);
    let next = running.dir.path().join("..next");
    std::os::unix::fs::symlink(&two, &next).unwrap();
    std::fs::rename(&next, &data).unwrap();
    assert!(matches!(running.poll().await, ReloadOutcome::Accepted { .. }));
    assert_eq!(running.stage(), Stage::Hold);
}

#[tokio::test]
async fn a_file_that_vanishes_is_logged_once_and_changes_nothing() {
    let running = start();
    running.poll().await;
    std::fs::remove_file(&running.file).unwrap();
    assert_eq!(running.poll().await, ReloadOutcome::Unreadable);
    assert_eq!(running.poll().await, ReloadOutcome::Unreadable);
    let lines = running.log.lines();
    assert!(lines.len() == 1 && lines[0].contains("WARN config: "), "{lines:#?}");
    assert_eq!(running.stage(), Stage::Observe);
    running.write("observe", "hold");
    assert!(matches!(running.poll().await, ReloadOutcome::Accepted { .. }));
}

#[tokio::test]
async fn the_ledger_guards_a_reload_and_is_asked_again_until_it_agrees() {
    let down = Arc::new(AtomicBool::new(true));
    let asked = Arc::clone(&down);
    let running = start_with(Box::new(move |config| {
        let down = asked.load(Ordering::SeqCst);
        let refuse = move || {
            if down { vec![ConfigProblem::new("ledger", "down", config.stage.as_str())] } else { Vec::new() }
        };
        Box::pin(async move { refuse() })
    }));
    assert_eq!(running.poll().await, ReloadOutcome::Unchanged, "nothing changed, nothing is asked");
    running.write("observe", "live");
    assert_eq!(keys(&running.poll().await), ["ledger"]);
    assert_eq!(running.stage(), Stage::Observe);
    running.poll().await;
    assert_eq!(running.log.lines().len(), 1);
    down.store(false, Ordering::SeqCst);
    assert!(
        matches!(running.poll().await, ReloadOutcome::Accepted { .. }),
        "the file did not change, the ledger did"
    );
}

/// The last reloads, the newest first.
fn history(running: &Running) -> Vec<PastReload> {
    running.handle.history().borrow().reloads.iter().cloned().collect()
}

#[tokio::test]
async fn an_accepted_reload_is_remembered_by_what_it_changed() {
    let running = start();
    running.poll().await;
    assert!(history(&running).is_empty(), "the start is no reload");
    std::fs::write(
        &running.file,
        START.replace("observe", "canary")
            + "[canary]\npercent = 5\nsalt = \"s\"\n[routes]\ncreate = \"hold\"\nget = \"both\"\n",
    )
    .unwrap();
    let ReloadOutcome::Accepted { hash } = running.poll().await else { panic!("accepted") };
    let past = history(&running).remove(0);
    assert_eq!((&past.hash, past.stage), (&hash, Stage::Canary));
    let ReloadResult::Accepted(change) = past.result else { panic!("{past:?}") };
    let modes = vec![
        (Route::Create, Mode::Legacy, Mode::Hold),
        (Route::Get, Mode::Legacy, Mode::Both),
        (Route::List, Mode::Legacy, Mode::Both),
        (Route::Cancel, Mode::Legacy, Mode::Both),
    ];
    let keys = vec!["canary.percent", "canary.salt"];
    assert_eq!(change, ConfigChange { stage: Some((Stage::Observe, Stage::Canary)), modes, keys });
}

#[tokio::test]
async fn a_key_of_a_route_whose_mode_stays_is_named_like_any_other_and_a_secret_is_named_only() {
    let running = start();
    let secret = "[auth.lookup]\nclient_id = \"c\"\nclient_secret = \"hunter4\"\n";
    std::fs::write(&running.file, format!("{START}{secret}[routes]\nget = \"legacy\"\n")).unwrap();
    assert!(matches!(running.poll().await, ReloadOutcome::Accepted { .. }));
    let past = history(&running);
    assert!(!format!("{past:?}").contains("hunter"), "{past:?}");
    let ReloadResult::Accepted(ConfigChange { stage: None, modes, keys }) = &past[0].result else {
        panic!("{past:?}")
    };
    assert!(modes.is_empty(), "{modes:?}");
    assert_eq!(keys, &["routes.get", "auth.lookup.client_id", "auth.lookup.client_secret"]);
}

#[tokio::test]
async fn a_refusal_is_remembered_once_in_short_and_when_it_ended() {
    let running = start();
    let before = running.current.load().hash.clone();
    let wrong = |many: usize| {
        let keys: String = (0..many).map(|at| format!("wrong{at}{} = 1\n", "x".repeat(999))).collect();
        std::fs::write(&running.file, format!("{keys}{START}")).unwrap();
    };
    let of = |past: &PastReload| match &past.result {
        ReloadResult::Refused { problems, problems_total, ended_at } => {
            (problems.clone(), *problems_total, *ended_at)
        }
        ReloadResult::Accepted(_) => panic!("{past:?}"),
    };
    wrong(9);
    for _ in 0..3 {
        running.handle.reload().await;
    }
    let past = history(&running);
    assert_eq!((past.len(), &past[0].hash, past[0].stage), (1, &before, Stage::Observe));
    let (problems, total, ended_at) = of(&past[0]);
    assert_eq!((problems.len(), total, ended_at), (3, 9, None));
    assert!(problems.iter().all(|problem| problem.chars().count() <= 301), "{problems:?}");

    wrong(1);
    running.poll().await;
    let past = history(&running);
    assert_eq!(
        (past.len(), of(&past[0]).2, of(&past[1]).2),
        (2, None, Some(past[0].at)),
        "refused for other reasons"
    );

    wrong(0);
    assert_eq!(running.poll().await, ReloadOutcome::Unchanged);
    let past = history(&running);
    let ended = of(&past[0]).2.expect("taken back");
    assert!(past.len() == 2 && ended >= past[0].at, "{past:?}");
    running.poll().await;
    running.write("observe", "hold");
    running.poll().await;
    let past = history(&running);
    assert_eq!((past.len(), of(&past[1]).2), (3, Some(ended)), "it ended once");
}

#[tokio::test]
async fn only_the_last_reloads_are_remembered() {
    let running = start();
    for at in 0..RELOADS_KEPT + 5 {
        running.write("observe", ["hold", "ready"][at % 2]);
        assert!(matches!(running.poll().await, ReloadOutcome::Accepted { .. }));
    }
    let past = history(&running);
    assert_eq!(past.len(), RELOADS_KEPT);
    assert_eq!((past[0].stage, &past[0].hash), (Stage::Hold, &running.current.load().hash));
    assert!(past.windows(2).all(|pair| pair[0].at >= pair[1].at), "the newest first");
}

#[tokio::test]
async fn a_change_between_start_and_the_first_poll_is_detected() {
    let running = start();
    running.write("observe", "hold");
    assert!(matches!(running.poll().await, ReloadOutcome::Accepted { .. }));
}

#[tokio::test]
async fn further_files_are_watched_by_content() {
    let running = start();
    let count = || *running.handle.files_changed().borrow();
    let pem = running.dir.path().join("tls.pem");
    running.poll().await;
    assert_eq!(count(), 1, "the first look");
    std::fs::write(&pem, "one").unwrap();
    running.poll().await;
    assert_eq!(count(), 1, "the same content");
    std::fs::write(&pem, "two").unwrap();
    running.poll().await;
    assert_eq!(count(), 2);
    std::fs::remove_file(&pem).unwrap();
    running.poll().await;
    running.poll().await;
    assert_eq!((count(), running.log.lines().len()), (2, 1), "logged once, the last one stays");
}

#[tokio::test]
async fn the_timer_polls_too() {
    let running = start();
    running.write("1h", "100ms");
    running.poll().await;
    let mut outcomes = running.handle.outcomes();
    running.write("observe", "hold");
    let looked = async {
        while running.stage() != Stage::Hold {
            outcomes.changed().await.unwrap();
        }
    };
    // The write sets the interval back to an hour, so this is the look that was already due.
    tokio::time::timeout(Duration::from_secs(20), looked).await.unwrap();
}

/// With a secret in a file of its own, in the folder of the config.
fn with_secret() -> (Running, PathBuf) {
    let running = start();
    let secret = running.dir.path().join("secret");
    std::fs::write(&secret, "hunter-one\n").unwrap();
    let keys =
        format!("{START}[auth.lookup]\nclient_id = \"c\"\nclient_secret_file = \"{}\"\n", secret.display());
    std::fs::write(&running.file, keys).unwrap();
    (running, secret)
}

/// The keys that the last reload changed.
fn last_changed(running: &Running) -> Vec<&'static str> {
    match &history(running)[0].result {
        ReloadResult::Accepted(change) => change.keys.clone(),
        ReloadResult::Refused { .. } => panic!("{:?}", history(running)[0]),
    }
}

#[tokio::test]
async fn a_secret_that_is_rotated_in_its_file_is_read_again() {
    let (running, secret) = with_secret();
    assert!(matches!(running.poll().await, ReloadOutcome::Accepted { .. }));
    assert_eq!(running.poll().await, ReloadOutcome::Unchanged);
    running.log.lines();
    std::fs::write(&secret, "hunter-two\n").unwrap();
    assert!(matches!(running.poll().await, ReloadOutcome::Accepted { .. }), "the config file did not change");
    assert_eq!(last_changed(&running), ["auth.lookup.client_secret"]);
    assert!(!running.log.lines().concat().contains("hunter"));
    assert_eq!(running.poll().await, ReloadOutcome::Unchanged);
}

#[tokio::test]
async fn a_secret_that_cannot_be_used_keeps_the_old_one_and_is_tried_again() {
    let (running, secret) = with_secret();
    running.poll().await;
    let before = running.current.load_full();
    running.log.lines();
    std::fs::write(&secret, "").unwrap();
    for (round, empty) in [true, false].into_iter().enumerate() {
        if !empty {
            std::fs::remove_file(&secret).unwrap();
        }
        assert_eq!(keys(&running.poll().await), ["auth.lookup.client_secret_file"], "round {round}");
        assert_eq!(keys(&running.poll().await), ["auth.lookup.client_secret_file"], "round {round}");
        let lines = running.log.lines();
        assert_eq!(lines.len(), 1, "logged once: {lines:#?}");
        let source = format!("file {}", running.file.display());
        assert!(
            lines[0].contains("auth.lookup.client_secret_file") && lines[0].contains(&source),
            "{lines:#?}"
        );
        assert!(Arc::ptr_eq(&before, &running.current.load_full()), "the old one stays");
    }
    std::fs::write(&secret, "hunter-two\n").unwrap();
    assert!(matches!(running.poll().await, ReloadOutcome::Accepted { .. }));
}

#[tokio::test]
async fn a_secret_behind_the_symlinks_of_a_mounted_volume_is_read_again() {
    let (running, secret) = with_secret();
    let (one, two) = (running.dir.path().join("..one"), running.dir.path().join("..two"));
    for (dir, text) in [(&one, "hunter-one"), (&two, "hunter-two")] {
        std::fs::create_dir(dir).unwrap();
        std::fs::write(dir.join("secret"), text).unwrap();
    }
    let data = running.dir.path().join("..data");
    std::os::unix::fs::symlink("..one", &data).unwrap();
    std::fs::remove_file(&secret).unwrap();
    std::os::unix::fs::symlink("..data/secret", &secret).unwrap();
    running.poll().await;
    assert_eq!(running.poll().await, ReloadOutcome::Unchanged);
    let next = running.dir.path().join("..next");
    std::os::unix::fs::symlink("..two", &next).unwrap();
    std::fs::rename(&next, &data).unwrap();
    assert!(matches!(running.poll().await, ReloadOutcome::Accepted { .. }));
    assert_eq!(last_changed(&running), ["auth.lookup.client_secret"]);
}
