//! The world around the machine: two replicas, requests with one reference, the ledger, both sides of the vendor.
//!
//! [`World::successors`] lists everything that may happen next. What a world rules out is a named switch in [`Bounds`].

mod bounds;
mod operator;
mod request;
mod successors;
mod walks;

use std::hash::{Hash as _, Hasher as _};

use conversion_shim::routes::create::events::{CreateDecision, Effect, Event};
use conversion_shim::routes::create::protocol::{State, Step};
use conversion_shim::routes::create::rules::Rules;
use conversion_shim::translate::side::Side;

pub(crate) use self::bounds::{Bounds, Excluded, Mirror, Stage};
use crate::ledger::{Ledger, Statement};

/// Most ledger writes that a fail-over loses.
const LOST_WRITES_MAX: usize = 4;

/// One side of the vendor. It keeps to one conversion a reference by itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Vendor {
    /// Whose body made the conversion.
    pub(crate) made: Option<Body>,
    /// Whether this side's lists show it.
    pub(crate) listed: bool,
    /// Whether the other side's lists would show it, where they mirror this side.
    pub(crate) mirrored: bool,
}

/// What a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Body {
    Usual,
    OtherAmount,
    Native,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Progress {
    NotStarted,
    Running(State, Effect),
    Done(CreateDecision),
    Crashed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Request {
    pub(crate) body: Body,
    pub(crate) progress: Progress,
    /// A POST that left and may take effect later.
    pub(crate) in_flight: Option<Side>,
    /// Its body can be read in two ways.
    pub(crate) two_readings: bool,
    /// Its POST made the conversion.
    pub(crate) effective: bool,
    /// The side of the record that the ledger knew when the request began, or showed it before the send.
    pub(crate) known: Option<Side>,
    /// How far its lookup has come.
    pub(crate) looking: Looking,
    /// The stage of its replica when it began.
    pub(crate) stage: Stage,
}

/// How far a lookup has come that met an empty list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) enum Looking {
    #[default]
    NotYet,
    /// The list was empty; the positive control is next.
    Controlling,
    /// The control passed; the list is asked for once more.
    Again,
}

/// A create on legacy that no claim knows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Unclaimed {
    /// The second replica runs without the ledger.
    pub(crate) running: bool,
    pub(crate) sent: bool,
    pub(crate) in_flight: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct World {
    pub(crate) ledger: Ledger,
    pub(crate) unclaimed: Unclaimed,
    /// The ledger before the last write, and before those before it.
    pub(crate) older: [Option<Ledger>; LOST_WRITES_MAX],
    /// A statement that failed and may still happen.
    pub(crate) late: Option<Statement>,
    pub(crate) legacy: Vendor,
    pub(crate) new: Vendor,
    /// Legacy's index is empty for a while.
    pub(crate) emptied: bool,
    pub(crate) stages: [Stage; 2],
    pub(crate) requests: [Request; 3],
    /// A ledger that lost claims was accepted.
    pub(crate) lost: bool,
    /// A promise that was broken by what was sent, whatever came of it.
    pub(crate) broken: Option<&'static str>,
    pub(crate) faults: u8,
    pub(crate) stage_changes: u8,
    pub(crate) crashes: u8,
}

/// Something that happened.
#[derive(Clone, Debug)]
pub(crate) struct Happening {
    /// In words; empty unless a trace is written.
    pub(crate) words: String,
    /// Whether the first two requests changed places afterwards.
    pub(crate) swapped: bool,
}

impl World {
    pub(crate) fn first(bounds: &Bounds) -> Self {
        let request = |body| Request {
            body,
            progress: Progress::NotStarted,
            in_flight: None,
            two_readings: false,
            effective: false,
            known: None,
            looking: Looking::NotYet,
            stage: Stage::Observe,
        };
        let (faults, stage_changes, crashes) = (bounds.faults, bounds.stage_changes, bounds.crashes);
        let last = if bounds.requests > 2 { Body::OtherAmount } else { Body::Usual };
        let opened_new = bounds.stages.iter().any(|stage| matches!(stage, Stage::Live | Stage::Sealed));
        let made = bounds.older.then_some(Body::Usual);
        let first = Request { two_readings: bounds.misread.is_some(), ..request(Body::Usual) };
        Self {
            ledger: Ledger { opened_new, ..Ledger::default() },
            unclaimed: Unclaimed { running: bounds.without_ledger, ..Unclaimed::default() },
            older: [None; LOST_WRITES_MAX],
            late: None,
            legacy: Vendor { made, listed: bounds.older, mirrored: bounds.older },
            new: Vendor::default(),
            emptied: false,
            stages: bounds.stages,
            requests: [first, request(Body::Usual), request(last)],
            lost: false,
            broken: None,
            faults,
            stage_changes,
            crashes,
        }
    }

    pub(crate) fn vendor(&self, side: Side) -> Vendor {
        match side {
            Side::Legacy => self.legacy,
            Side::New => self.new,
        }
    }

    pub(crate) fn vendor_mut(&mut self, side: Side) -> &mut Vendor {
        match side {
            Side::Legacy => &mut self.legacy,
            Side::New => &mut self.new,
        }
    }

    /// What a list of that side shows.
    pub(crate) fn shown(&self, side: Side, mirror: Mirror) -> Option<Body> {
        let own = self.vendor(side);
        let other = self.vendor(side.other());
        let mirrored = match mirror {
            Mirror::Neither => false,
            Mirror::NewShowsLegacy => side == Side::New,
            Mirror::LegacyShowsNew => side == Side::Legacy,
        };
        own.made.filter(|_| own.listed).or(other.made.filter(|_| other.mirrored && mirrored))
    }

    /// The side that made the record, where lists of both show that one.
    fn side_of_the_one(&self, mirror: Mirror) -> Option<Side> {
        let shows = |side| self.shown(side, mirror).is_some();
        let made = |side: Side| self.vendor(side).made.is_some();
        let one = [Side::Legacy, Side::New].into_iter().find(|side| made(*side) && !made(side.other()));
        one.filter(|_| shows(Side::Legacy) && shows(Side::New))
    }

    /// Requests with one body are interchangeable: their order carries no meaning. A single one keeps its place.
    pub(crate) fn canonical(mut self, bounds: &Bounds) -> (Self, bool) {
        let key = |request: &Request| {
            let mut hasher = std::hash::DefaultHasher::new();
            request.hash(&mut hasher);
            hasher.finish()
        };
        let swapped = bounds.requests > 1
            && self.requests[0].body == self.requests[1].body
            && bounds.misread.is_none()
            && !bounds.generated
            && key(&self.requests[0]) > key(&self.requests[1]);
        if swapped {
            self.requests.swap(0, 1);
        }
        (self, swapped)
    }

    /// Records the ledger as it was, for a fail-over.
    fn write(&mut self, statement: Statement, rules: Rules) -> Event {
        let mut event = Event::LedgerFailed;
        self.change_ledger(|ledger| event = ledger.execute(statement, rules));
        event
    }

    fn change_ledger(&mut self, change: impl FnOnce(&mut Ledger)) {
        let before = self.ledger;
        change(&mut self.ledger);
        if self.ledger != before {
            self.older.rotate_right(1);
            self.older[0] = Some(before);
        }
    }

    /// No request runs, no POST is under way, and lists show everything.
    pub(crate) fn is_quiet(&self) -> bool {
        let idle = |request: &Request| {
            !matches!(request.progress, Progress::Running(..)) && request.in_flight.is_none()
        };
        self.requests.iter().all(idle) && self.late.is_none() && self.everything_is_listed()
    }

    /// Every replica runs with the ledger, and whatever was sent without it has ended and is listed.
    fn has_no_unclaimed_create_under_way(&self) -> bool {
        !self.unclaimed.running && self.unclaimed_is_over()
    }

    fn unclaimed_is_over(&self) -> bool {
        !self.unclaimed.in_flight
            && (!self.unclaimed.sent || self.legacy.made.is_none() || self.legacy.listed)
    }

    fn everything_is_listed(&self) -> bool {
        [self.legacy, self.new]
            .iter()
            .all(|vendor| vendor.made.is_none() || (vendor.listed && vendor.mirrored))
    }

    /// Why this POST should never leave, whatever the vendor makes of it.
    fn must_not_send(&self, at: usize, side: Side) -> Option<&'static str> {
        let Request { known, stage, .. } = self.requests[at];
        // While nobody reads new, the old API answers a repeat by itself.
        let answers_itself = stage == Stage::Observe && known == Some(Side::Legacy);
        if known.is_some() && !answers_itself {
            return Some("a POST was sent for a reference whose record the ledger knew");
        }
        (stage == Stage::Sealed && side == Side::Legacy).then_some("a POST was sent to the API that is gone")
    }

    /// A POST takes effect.
    fn apply(&mut self, at: usize, side: Side, listed: bool) {
        let body = self.requests[at].body;
        self.requests[at].in_flight = None;
        let vendor = self.vendor_mut(side);
        if vendor.made.is_none() {
            *vendor = Vendor { made: Some(body), listed, mirrored: listed };
            self.requests[at].effective = true;
        }
    }

    pub(crate) fn go_on(&mut self, at: usize, step: Step) {
        self.requests[at].looking = Looking::NotYet;
        self.requests[at].progress = match step {
            Step::Do(state, effect) => Progress::Running(state, effect),
            Step::Done(decision) => Progress::Done(decision),
        };
    }
}
