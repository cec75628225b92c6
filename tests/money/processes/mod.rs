//! The real binary, as operators run it: started, flipped, killed and stopped while clients keep asking. The vendor is a
//! [`Sandbox`](conversion_shim::sandbox::Sandbox) in this process, because its inspector is the oracle: for every reference, conversions on
//! legacy plus conversions on new are at most one.
//!
//! `PROCESS_SECONDS` makes the long test longer (20 s otherwise), `STORM_CREATES` the storm (3000 references otherwise), `PROCESS_SEED` repeats the plan of an earlier run. Clocks and
//! schedulers are not part of the plan, so that a repeated run is alike and not the same.

mod chaos;
mod clients;
mod drain;
mod exchanged;
mod outage;
mod single;
mod storm;
mod weather;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use conversion_shim::sandbox::{Options, PROFILE, SECOND_PROFILE, Sandbox};

use crate::support::{ledger, soon};

/// The only profile that creates on new while create is in mode canary.
const CANARY_PROFILE: &str = SECOND_PROFILE;
/// What every profile owns at the start, in whole dollars.
const FORTUNE: u64 = 1_000_000_000;

/// A vendor whose customers are rich. What is converted has arrived by the next look.
async fn vendor() -> Sandbox {
    let options = Options { settle_after: Duration::ZERO, ..Options::default() };
    let sandbox = Sandbox::start(options).await.unwrap();
    for profile in [PROFILE, SECOND_PROFILE] {
        assert!(sandbox.inspector().credit(profile, "USD", &FORTUNE.to_string()));
    }
    sandbox
}

/// Where an operator has moved one replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Position {
    /// Everything on legacy, references recorded.
    Observe,
    /// No creates, readers on both.
    Hold,
    /// One profile creates on new.
    Canary,
    /// Everybody creates on new.
    Live,
    /// Going back: everybody creates on legacy, readers stay on both.
    Back,
}

impl Position {
    fn as_toml(self) -> &'static str {
        match self {
            Self::Observe => "stage = \"observe\"",
            Self::Hold => "stage = \"hold\"",
            Self::Canary => "stage = \"canary\"",
            Self::Live => "stage = \"live\"",
            Self::Back => "stage = \"hold\"\nroutes.create = \"legacy\"",
        }
    }
}

/// One replica's config file.
pub(crate) struct ConfigFile {
    pub(crate) path: PathBuf,
    ledger: String,
    /// Whether the ledger was opened for creates on new.
    opened: AtomicBool,
    /// What does not change while it runs.
    rest: String,
}

impl ConfigFile {
    /// `more` are further lines of top-level keys.
    fn new(directory: &Path, name: &str, vendor: &Sandbox, ledger: &str, more: &str) -> Self {
        Self::before(directory, name, &vendor.base_url(), ledger, more)
    }

    /// As [`new`](Self::new), for a vendor at this base URL.
    pub(crate) fn before(directory: &Path, name: &str, url: &str, ledger: &str, more: &str) -> Self {
        let token_url = url.replace("/v2", "/oauth2/token");
        ledger::make(ledger, false);
        let rest = format!(
            "{more}
admin.listen = \"\"
budget.per_second = 100000
budget.cooldown = \"0s\"
upstream.legacy.url = \"{url}\"
upstream.new.url = \"{url}\"
upstream.oauth.url = \"{token_url}\"
canary.profiles = [\"{CANARY_PROFILE}\"]
reload.poll_interval = \"100ms\"
gate.enforce = false
log.format = \"json\"
log.filter = \"warn,config=info,server=info,ledger=info\"
"
        );
        Self { path: directory.join(name), ledger: ledger.to_owned(), opened: AtomicBool::new(false), rest }
    }

    /// Puts the file there in one step, so that nobody reads half of it.
    fn write(&self, position: Position) {
        // In `observe` no create has gone to new; in every later position one may have.
        self.write_stage(position.as_toml(), position != Position::Observe);
    }

    /// As [`write`](Self::write), with these lines of the stage and its exceptions. `new_in_use` stays so.
    pub(crate) fn write_stage(&self, stage: &str, new_in_use: bool) {
        if new_in_use && !self.opened.swap(true, Ordering::Relaxed) {
            ledger::make(&self.ledger, true);
        }
        let ledger = ledger::named(&self.ledger, new_in_use);
        let whole = format!("{stage}\n{ledger}{}", self.rest);
        let draft = self.path.with_extension("draft");
        std::fs::write(&draft, whole).unwrap();
        std::fs::rename(&draft, &self.path).unwrap();
    }
}
