//! `[reconcile]`

use std::time::Duration;

use crate::config::read::KeyReader;
use crate::config::values::MILLISECOND;

const EVERY: &str = "reconcile.every";
const WINDOW: &str = "reconcile.window";

#[derive(Clone, Debug)]
pub(crate) struct Reconcile {
    /// Between two walks; zero = none.
    pub(crate) every: Duration,
    /// Length of the window of each walk.
    pub(crate) window: Duration,
    /// How long a conversion may take to become final.
    pub(crate) stuck_after: Duration,
}

impl Reconcile {
    /// Between two walks; `None` = there are none.
    pub(crate) fn interval(&self) -> Option<Duration> {
        Some(self.every).filter(|every| !every.is_zero())
    }
}

pub(in crate::config) fn read(keys: &mut KeyReader) -> Option<Reconcile> {
    let every = keys.on_reload(EVERY).duration(Duration::ZERO);
    let window = keys.on_reload(WINDOW).duration(MILLISECOND);
    let stuck_after = keys.on_reload("reconcile.stuck_after").duration(MILLISECOND);
    if every.zip(window).is_some_and(|(every, window)| window < every) {
        keys.problem(WINDOW, "is shorter than reconcile.every, so that some time would never be walked");
    }
    Some(Reconcile { every: every?, window: window?, stuck_after: stuck_after? })
}

/// What walks need of other sections. `None`: it could not be read, and has a problem of its own.
pub(in crate::config) struct Needs {
    pub(in crate::config) ledger: Option<bool>,
    /// Credentials that may read both sides.
    pub(in crate::config) credentials: Option<bool>,
    /// A share of the rate limit.
    pub(in crate::config) budget: Option<bool>,
}

pub(in crate::config) fn check(keys: &mut KeyReader, reconcile: Option<&Reconcile>, has: &Needs) {
    if !keys.complete || reconcile.is_none_or(|reconcile| reconcile.interval().is_none()) {
        return;
    }
    let needs = [
        (has.ledger, "no ledger is configured: set ledger.url"),
        (has.credentials, "the proxy has no credentials to read both sides with: set [auth.lookup]"),
        (has.budget, "budget.shadow_share is 0, which is the share that it reads with"),
    ];
    for (_, missing) in needs.into_iter().filter(|(has, _)| *has == Some(false)) {
        keys.problem(EVERY, format!("is set, and {missing}"));
    }
}
