//! What to walk, and how.

use std::time::Duration;

use jiff::Timestamp;

use super::LAG;
use super::side_walk::whole_second;
use super::walk::Sides;
use crate::config::{Config, keys};
use crate::ledger::{Completeness, WalkKind};
use crate::translate::list::LIMIT_MAX;
use crate::translate::side::Side;

/// How long a side may still work on a create after its timeout.
const SETTLES_IN: Duration = Duration::from_secs(10 * 60);

/// What to walk, and how.
#[derive(Clone, Debug)]
pub struct WalkOptions {
    pub kind: WalkKind,
    pub sides: Sides,
    /// The begin of the window; `None`: the vendor's first record.
    pub begin: Option<Timestamp>,
    /// The end of the window: what is younger is left for the next walk.
    pub end: Timestamp,
    pub limit: u16,
    /// How long a record may take to become final.
    pub stuck_after: Duration,
    /// Whether a walk that did not finish is resumed.
    pub resume: bool,
    /// Whether claims that name the new side may be written: the ledger is open for creates there.
    pub may_claim_new: bool,
    /// How long a create may take to become a record.
    pub longest_create: Duration,
    /// The shortest window of a reconcile from whose end completeness may follow.
    pub window: Duration,
    /// How much a list may lag: what is younger is left for the next walk.
    pub lag: Duration,
    /// How long completeness follows from a clean reconcile; `None`: not at all.
    pub clean_for: Option<Duration>,
    /// What beside the facts decides how rows are judged: hosts and credentials. A walk that was judged by something else is not resumed.
    pub judged_by: String,
}

impl WalkOptions {
    /// A walk over both sides, from the vendor's first record to `end`.
    #[must_use]
    pub fn new(kind: WalkKind, end: Timestamp) -> Self {
        Self {
            kind,
            sides: Sides::Both,
            begin: None,
            end,
            limit: LIMIT_MAX,
            stuck_after: Duration::from_secs(60 * 60),
            resume: true,
            may_claim_new: false,
            longest_create: SETTLES_IN,
            window: Duration::ZERO,
            lag: LAG,
            clean_for: None,
            judged_by: String::new(),
        }
    }

    /// Whether the window holds no whole second: both of its ends are cut to one.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.first_second() >= whole_second(self.end)
    }

    pub(super) fn first_second(&self) -> Timestamp {
        whole_second(self.begin.unwrap_or(Timestamp::UNIX_EPOCH))
    }

    /// The same walk, with what the config says about completeness.
    #[must_use]
    pub(crate) fn under(self, config: &Config) -> Self {
        let only_door = config.ledger.as_ref().is_some_and(|ledger| ledger.only_door);
        Self {
            longest_create: config.timeouts.create + SETTLES_IN,
            window: config.reconcile.window,
            judged_by: judged_by(config),
            // Twice the interval: one walk may be late before completeness ends.
            clean_for: config.reconcile.interval().filter(|_| only_door).map(|every| every * 2),
            ..self
        }
    }
}

/// The hosts that are walked, and the credentials that read them: other ones may show other records.
fn judged_by(config: &Config) -> String {
    let side = |side| {
        let upstream = config.upstream.side(side);
        let reader = config.auth.reading_credentials(side).and_then(|set| config.auth.credentials(set));
        let client = reader.map_or("", |client| client.client_id.as_str());
        format!("{side} {}://{}{} {client}\n", upstream.scheme, upstream.authority, upstream.path_prefix)
    };
    [Side::Legacy, Side::New].map(side).concat()
}

/// What keeps a side from being complete; `None`: nothing.
pub(crate) fn missing(side: &Completeness, config: &Config, now: Timestamp) -> Option<String> {
    if !config.ledger.as_ref().is_some_and(|ledger| ledger.may_be_complete(side.side)) {
        let only_door = keys::LEDGER_ONLY_DOOR;
        return Some(match side.side {
            Side::Legacy => format!("{only_door} is false"),
            Side::New => {
                format!("{only_door} is false, or creates on the new API's own path are not recorded")
            }
        });
    }
    if side.holds_at(now) {
        return None;
    }
    let (name, why) = (side.side, &side.why);
    let due = side.unclaimed_until + config.timeouts.create + SETTLES_IN;
    Some(match side.walked_to {
        None => format!(
            "no walk began at its first record: run `conversion-shim ledger backfill --side {name}` ({why})"
        ),
        Some(walked_to) if walked_to < due => format!("a walk has to reach {due} ({why})"),
        Some(_) => "no reconcile was clean lately".into(),
    })
}
