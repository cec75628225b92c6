//! The world around the machine: two replicas, requests with one reference, the ledger, both sides of the vendor.
//!
//! [`World::successors`] lists everything that may happen next. What a world rules out is a named switch in [`Bounds`].

use std::hash::{Hash as _, Hasher as _};

use conversion_shim::routes::create::events::{
    ClaimState, Context, CreateAnswer, CreateDecision, Effect, Event, Lookup, Reads,
};
use conversion_shim::routes::create::protocol::{self, State, Step};
use conversion_shim::routes::create::rules::{Rule, Rules};
use conversion_shim::translate::side::Side;

use crate::ledger::{Ledger, Row, Statement};

/// Most ledger writes that a fail-over loses.
const LOST_WRITES_MAX: usize = 4;

/// What may happen, and how often.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// The stages that the replicas begin in. From `Live` on, the operator has opened new.
    pub(crate) stages: [Stage; 2],
    /// Concurrent requests with the reference; the last one asks for another amount.
    pub(crate) requests: usize,
    /// Answers lost, late, foreign or refused; ledger statements that fail; lists that lag.
    pub(crate) faults: u8,
    /// Changes of a replica's stage.
    pub(crate) stage_changes: u8,
    /// Requests that die with their process.
    pub(crate) crashes: u8,
    /// Ledger writes that a fail-over may lose.
    pub(crate) lost_writes: usize,
    /// Which lists show the other side's conversions as well.
    pub(crate) mirror: Mirror,
    /// Whether creates through the new API's own path happen.
    pub(crate) native: bool,
    /// Whether the operator releases pinned claims.
    pub(crate) released: bool,
    /// Whether the claim and the mark are deleted by hand, and the operator accepts that.
    pub(crate) rows_deleted: bool,
    /// Whether HTTP/1.1 connections answer twice.
    pub(crate) strays: bool,
    /// The first request's body can be read in two ways; the one that the vendor does not take: 0 or 1.
    pub(crate) misread: Option<u8>,
    /// The first request has no reference and gets one, as creates on new do; the others repeat it with what they were told.
    pub(crate) generated: bool,
    /// Whether a side may refuse lookups for want of rights or of budget.
    pub(crate) lookups_refused: bool,
    /// Whether a withdrawal on new has used the reference.
    pub(crate) withdrawal: bool,
    /// The sides that walks make complete.
    pub(crate) walks: &'static [Side],
    /// Whether the second replica runs without the ledger at first.
    pub(crate) without_ledger: bool,
    /// Whether the reference was converted on legacy before there was a ledger.
    pub(crate) older: bool,
    /// Worlds that the documentation excludes.
    pub(crate) excluded: Excluded,
    pub(crate) rules: Rules,
}

/// Which list shows conversions that the other side made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mirror {
    Neither,
    NewShowsLegacy,
    LegacyShowsNew,
}

/// Worlds in which a promise does not hold. Each is off unless a test shows just that.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Excluded {
    /// `ledger accept` while a create is under way or not yet listed.
    pub(crate) accept_before_quiet: bool,
    /// `sealed` while or after a ledger that lost claims was accepted.
    pub(crate) seal_after_loss: bool,
    /// The ledger is replaced by an empty one, and nothing notices.
    pub(crate) unnoticed_loss: bool,
    /// A native create and a legacy create with one reference at the same instant, or before lists show the first.
    pub(crate) native_at_once: bool,
    /// A native create uses a reference whose claim was lost.
    pub(crate) native_after_loss: bool,
    /// Another request's refusal arrives while this request's POST is under way or not yet listed.
    pub(crate) stray_before_effect: bool,
    /// A client creates on legacy past the proxy, whose ledger is said to be the only door.
    pub(crate) other_door: bool,
}

impl Excluded {
    pub(crate) const NOTHING: Self = Self {
        accept_before_quiet: false,
        seal_after_loss: false,
        unnoticed_loss: false,
        native_at_once: false,
        native_after_loss: false,
        stray_before_effect: false,
        other_door: false,
    };
}

/// The stages that differ for a create.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Stage {
    Observe,
    Ready,
    Live,
    Sealed,
}

impl Stage {
    const ALL: [Self; 4] = [Self::Observe, Self::Ready, Self::Live, Self::Sealed];

    pub(crate) fn context(self, rules: Rules) -> Context {
        let (target, reads) = match self {
            Self::Observe => (Side::Legacy, Reads::LegacyOnly),
            Self::Ready => (Side::Legacy, Reads::Both),
            Self::Live => (Side::New, Reads::Both),
            Self::Sealed => (Side::New, Reads::NewOnly),
        };
        Context { target, reads, ledger: true, generated: false, readable: true, candidates: 1, rules }
    }
}

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
    /// The side of the record that the ledger knew when the request began.
    pub(crate) known_at_start: Option<Side>,
    /// The stage of its replica when it began.
    pub(crate) stage: Stage,
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
            known_at_start: None,
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
        let Request { known_at_start, stage, .. } = self.requests[at];
        // While nobody reads new, the old API answers a repeat by itself.
        let answers_itself = stage == Stage::Observe && known_at_start == Some(Side::Legacy);
        if known_at_start.is_some() && !answers_itself {
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
        self.requests[at].progress = match step {
            Step::Do(state, effect) => Progress::Running(state, effect),
            Step::Done(decision) => Progress::Done(decision),
        };
    }
}

/// Everything that may happen next.
pub(crate) struct Successors<'a> {
    pub(crate) world: World,
    pub(crate) bounds: &'a Bounds,
    pub(crate) found: Vec<(Happening, World)>,
    /// Words are made only when a trace is written.
    pub(crate) in_words: bool,
    /// Whether interchangeable requests are put in order.
    pub(crate) sorted: bool,
}

impl World {
    pub(crate) fn successors(self, bounds: &Bounds, in_words: bool) -> Vec<(Happening, Self)> {
        let mut all = Successors { world: self, bounds, found: Vec::new(), in_words, sorted: true };
        for at in 0..bounds.requests {
            all.of_request(at);
        }
        all.of_vendor();
        all.of_ledger();
        all.of_operator();
        if !bounds.walks.is_empty() {
            all.of_walks();
        }
        all.found
    }
}

impl World {
    /// What may happen next to one request, without sorting the requests; the usual course comes first.
    pub(crate) fn successors_of(self, at: usize, bounds: &Bounds) -> Vec<(Happening, Self)> {
        let mut all = Successors { world: self, bounds, found: Vec::new(), in_words: false, sorted: false };
        all.of_request(at);
        all.found
    }
}

impl Successors<'_> {
    fn add(&mut self, words: impl Fn() -> String, change: impl FnOnce(&mut World)) {
        let mut world = self.world;
        change(&mut world);
        // What no fail-over can bring back makes no difference.
        world.older[self.bounds.lost_writes..].fill(None);
        let words = if self.in_words { words() } else { String::new() };
        let (world, swapped) = if self.sorted { world.canonical(self.bounds) } else { (world, false) };
        self.found.push((Happening { words, swapped }, world));
    }

    /// Adds what costs a fault, while there are any left.
    fn fault(&mut self, words: impl Fn() -> String, change: impl FnOnce(&mut World)) {
        if self.world.faults > 0 {
            self.add(words, |world| {
                world.faults -= 1;
                change(world);
            });
        }
    }

    fn of_request(&mut self, at: usize) {
        match self.world.requests[at].progress {
            Progress::NotStarted => {
                let replicas = if self.world.unclaimed.running { 1 } else { 2 };
                for (replica, stage) in self.world.stages.into_iter().enumerate().take(replicas) {
                    let context = self.context(at, stage);
                    if !self.has_reference(at, context.target) {
                        continue;
                    }
                    self.add(
                        || format!("request {at} starts on replica {replica} in {stage:?}"),
                        |world| {
                            let row = world.ledger.row.filter(|row| row.has_record);
                            world.requests[at].known_at_start = row.map(|row| row.side);
                            world.requests[at].stage = stage;
                            world.go_on(at, protocol::start(context));
                        },
                    );
                }
            }
            Progress::Running(state, effect) => {
                self.perform(at, state, effect);
                if self.world.crashes > 0 {
                    self.add(
                        || format!("request {at} dies with its process"),
                        |world| {
                            world.crashes -= 1;
                            world.requests[at].progress = Progress::Crashed;
                        },
                    );
                }
            }
            Progress::Done(_) | Progress::Crashed => {}
        }
    }

    fn event(&mut self, at: usize, state: State, event: Event) {
        self.add(
            || format!("request {at}: {event:?}"),
            |world| world.go_on(at, protocol::next(state, event)),
        );
    }

    fn faulty_event(&mut self, at: usize, state: State, event: Event) {
        self.fault(
            || format!("request {at}: {event:?}"),
            |world| world.go_on(at, protocol::next(state, event)),
        );
    }

    fn perform(&mut self, at: usize, state: State, effect: Effect) {
        match effect {
            Effect::Pause { number } => {
                if number < 2 {
                    self.event(at, state, Event::Paused);
                }
                self.event(at, state, Event::TimeIsUp);
            }
            Effect::Lookup { candidate, .. } if self.is_misread(at, candidate) => {
                self.event(at, state, Event::Lookup(Lookup::Absent));
                self.faulty_event(at, state, Event::Lookup(Lookup::CouldNot));
            }
            Effect::Lookup { side, .. } => self.lookup(at, state, side),
            Effect::Send { side } => self.send(at, state, side),
            Effect::Claim { candidate, .. }
            | Effect::ChooseAnew { candidate, .. }
            | Effect::Begin { candidate, .. }
            | Effect::MarkChecked { candidate, .. }
            | Effect::MoveClaim { candidate, .. }
            | Effect::RememberId { candidate, .. }
            | Effect::Close { candidate, .. } => {
                let misread = self.is_misread(at, candidate);
                self.statement(at, state, Statement { effect, misread });
            }
        }
    }

    /// A reference is made for creates on new alone, and no client knows it before its answer.
    fn has_reference(&self, at: usize, target: Side) -> bool {
        let is_told = matches!(self.world.requests[0].progress, Progress::Done(_));
        !self.bounds.generated || if at == 0 { target == Side::New } else { is_told }
    }

    fn context(&self, at: usize, stage: Stage) -> Context {
        let generated = self.bounds.generated && at == 0;
        let context = Context { generated, ..stage.context(self.bounds.rules) };
        if self.world.requests[at].two_readings {
            // Such a body cannot be read strictly.
            Context { readable: false, candidates: 2, ..context }
        } else {
            context
        }
    }

    /// Whether the vendor does not take that reading of the request's reference.
    fn is_misread(&self, at: usize, candidate: u8) -> bool {
        self.world.requests[at].two_readings && self.bounds.misread == Some(candidate)
    }

    /// The reading that the vendor takes.
    fn reading(&self, at: usize) -> u8 {
        let other = self.bounds.misread.map_or(0, |misread| 1 - misread);
        if self.world.requests[at].two_readings { other } else { 0 }
    }

    /// A statement happens; or fails and has happened, will happen, or never does.
    fn statement(&mut self, at: usize, state: State, statement: Statement) {
        let rules = self.bounds.rules;
        let effect = statement.effect;
        self.add(
            || format!("request {at}: {effect:?}"),
            |world| {
                let event = world.write(statement, rules);
                world.go_on(at, protocol::next(state, event));
            },
        );
        if matches!(effect, Effect::MoveClaim { .. }) {
            self.fault(
                || format!("request {at}: {effect:?}, but the id cannot be stored"),
                |world| {
                    let event = world.write(statement, rules);
                    let moved = matches!(event, Event::Changed(Some(_)));
                    let row =
                        if statement.misread { &mut world.ledger.misread } else { &mut world.ledger.row };
                    row.iter_mut().filter(|_| moved).for_each(|row| row.has_record = false);
                    world.go_on(at, protocol::next(state, event));
                },
            );
        }
        let fail = |world: &mut World| world.go_on(at, protocol::next(state, Event::LedgerFailed));
        self.fault(|| format!("request {at}: {effect:?} fails, and nothing was written"), fail);
        self.fault(
            || format!("request {at}: {effect:?} is not confirmed, and was written"),
            |world| {
                world.write(statement, rules);
                fail(world);
            },
        );
        if self.world.late.is_none() {
            self.fault(
                || format!("request {at}: {effect:?} is not confirmed, and may be written later"),
                |world| {
                    world.late = Some(statement);
                    fail(world);
                },
            );
        }
    }

    fn lookup(&mut self, at: usize, state: State, side: Side) {
        let shown = self.world.shown(side, self.bounds.mirror);
        let body = self.world.requests[at].body;
        let truth = shown.map_or(Lookup::Absent, |made| Lookup::Found { matches: made == body });
        let other_kind = self.bounds.withdrawal && side == Side::New && truth == Lookup::Absent;
        if other_kind {
            self.event(at, state, Event::Lookup(Lookup::OtherKind));
            // Its list lags.
            self.faulty_event(at, state, Event::Lookup(Lookup::Absent));
        } else {
            self.event(at, state, Event::Lookup(truth));
        }
        self.faulty_event(at, state, Event::Lookup(Lookup::CouldNot));
        if self.bounds.lookups_refused {
            self.faulty_event(at, state, Event::Lookup(Lookup::Unauthorized));
            self.faulty_event(at, state, Event::Lookup(Lookup::Throttled));
        }
        // A stray refusal to a caller who may not look either cannot be told from its own.
        if !self.bounds.strays {
            self.faulty_event(at, state, Event::Lookup(Lookup::Forbidden));
        }
    }

    fn send(&mut self, at: usize, state: State, side: Side) {
        self.world.broken = self.world.broken.or(self.world.must_not_send(at, side));
        let answer = |answer| protocol::next(state, Event::Answer(answer));
        let made = self.world.vendor(side).made;
        let reading = self.reading(at);
        match made {
            None if self.bounds.withdrawal && side == Side::New => {
                self.event(at, state, Event::Answer(CreateAnswer::OtherKind));
                return;
            }
            None => {
                for listed in [true, false] {
                    let accept = |world: &mut World| {
                        world.apply(at, side, listed);
                        world.go_on(
                            at,
                            answer(CreateAnswer::Accepted { candidate: Some(reading), reused: false }),
                        );
                    };
                    let words = || format!("request {at}: {side} accepts; lists show it: {listed}");
                    if listed { self.add(words, accept) } else { self.fault(words, accept) }
                }
            }
            Some(made) => {
                self.event(
                    at,
                    state,
                    Event::Answer(CreateAnswer::Exists { candidate: Some(reading), reused: false }),
                );
                self.faulty_event(
                    at,
                    state,
                    Event::Answer(CreateAnswer::Exists { candidate: None, reused: false }),
                );
                let repeated = made == self.world.requests[at].body;
                let repeated = if repeated {
                    CreateAnswer::Accepted { candidate: Some(reading), reused: false }
                } else {
                    CreateAnswer::Foreign
                };
                self.faulty_event(at, state, Event::Answer(repeated));
            }
        }
        self.faulty_event(at, state, Event::Answer(CreateAnswer::NotSent));
        self.faulty_event(at, state, Event::Answer(CreateAnswer::Refused { reused: false }));
        let mut doubtful = vec![CreateAnswer::Unknown, CreateAnswer::Foreign];
        if self.bounds.strays {
            doubtful.extend([
                CreateAnswer::Refused { reused: true },
                CreateAnswer::Exists { candidate: None, reused: true },
            ]);
            if side == Side::Legacy {
                // Legacy's answers may leave the reference out.
                doubtful.push(CreateAnswer::Accepted { candidate: None, reused: true });
            }
        }
        for given in doubtful {
            self.doubtful(at, side, given, answer(given));
        }
    }

    /// An answer that says nothing certain: the POST took effect, will, or never does.
    fn doubtful(&mut self, at: usize, side: Side, given: CreateAnswer, step: Step) {
        let stray = matches!(given, CreateAnswer::Refused { .. });
        let racing = !stray || self.bounds.excluded.stray_before_effect;
        self.fault(
            || format!("request {at}: {given:?}, and {side} has not got it"),
            |world| world.go_on(at, step),
        );
        self.fault(
            || format!("request {at}: {given:?}, and {side} took it"),
            |world| {
                world.apply(at, side, true);
                world.go_on(at, step);
            },
        );
        if racing {
            self.fault(
                || format!("request {at}: {given:?}, and {side} may take it later"),
                |world| {
                    world.requests[at].in_flight = Some(side);
                    world.go_on(at, step);
                },
            );
        }
    }

    fn of_vendor(&mut self) {
        for at in 0..self.bounds.requests {
            let Some(side) = self.world.requests[at].in_flight else { continue };
            self.add(
                || format!("{side} takes the POST of request {at}"),
                |world| world.apply(at, side, true),
            );
            self.add(
                || format!("the POST of request {at} to {side} is lost"),
                |world| world.requests[at].in_flight = None,
            );
        }
        let mirror = self.bounds.mirror;
        for side in [Side::Legacy, Side::New] {
            let vendor = self.world.vendor(side);
            if vendor.made.is_some() && !vendor.mirrored && self.bounds.mirror != Mirror::Neither {
                let words = || format!("lists of {} show the record of {side}", side.other());
                self.add(words, |world| world.vendor_mut(side).mirrored = true);
            }
            if vendor.made.is_some() && !vendor.listed {
                self.add(
                    || format!("lists of {side} show the record"),
                    |world| {
                        let vendor = world.vendor_mut(side);
                        vendor.listed = true;
                        vendor.mirrored |= mirror == Mirror::Neither;
                    },
                );
            }
        }
    }

    fn of_ledger(&mut self) {
        let rules = self.bounds.rules;
        if let Some(statement) = self.world.late {
            let effect = statement.effect;
            self.add(
                || format!("the late {effect:?} is written"),
                |world| {
                    world.late = None;
                    world.write(statement, rules);
                },
            );
            self.add(|| format!("the late {effect:?} is lost"), |world| world.late = None);
        }
        if self.bounds.rows_deleted && self.world.ledger.row.is_some() {
            self.fault(
                || "the claim and the mark are deleted".into(),
                |world| world.ledger = Ledger { row: None, opened_new: false, hold: true, ..world.ledger },
            );
        }
        for lost in 0..self.bounds.lost_writes {
            let Some(older) = self.world.older[lost] else { continue };
            let noticed = !self.bounds.excluded.unnoticed_loss;
            self.fault(
                || format!("a fail-over loses the last {} writes", lost + 1),
                |world| {
                    world.ledger = Ledger { hold: noticed, ..older };
                    world.older = [None; LOST_WRITES_MAX];
                    world.late = None;
                },
            );
        }
    }

    fn of_operator(&mut self) {
        let (ledger, rules) = (self.world.ledger, self.bounds.rules);
        if self.world.stage_changes > 0 {
            for (replica, stage) in [0, 1].into_iter().flat_map(|at| Stage::ALL.map(|stage| (at, stage))) {
                if self.world.stages[replica] != stage && self.may_enter(stage) {
                    self.add(
                        || format!("replica {replica} moves to {stage:?}"),
                        |world| {
                            world.stage_changes -= 1;
                            world.stages[replica] = stage;
                        },
                    );
                }
            }
        }
        if !ledger.opened_new && !ledger.hold {
            self.add(|| "the operator opens new".into(), |world| world.ledger.opened_new = true);
        }
        let creates_on_new =
            self.world.stages.iter().any(|stage| matches!(stage, Stage::Live | Stage::Sealed));
        if creates_on_new && !ledger.other_on_new && !ledger.hold {
            self.add(
                || "another reference is claimed for new".into(),
                |world| world.ledger.other_on_new = true,
            );
        }
        let quiet = self.world.is_quiet() || self.bounds.excluded.accept_before_quiet;
        let unsealed = !self.world.stages.contains(&Stage::Sealed) || self.bounds.excluded.seal_after_loss;
        if ledger.hold && quiet && unsealed {
            // The config says whether new is in use; where rows were deleted, it was forgotten there too.
            let in_use = creates_on_new && !self.bounds.rows_deleted;
            self.add(
                || "the operator accepts the ledger as it is".into(),
                |world| {
                    world.ledger.accept(in_use, rules);
                    world.lost = true;
                },
            );
        }
        if let Some(row) = ledger.row
            && self.bounds.released
            && row.state != ClaimState::Refused
            && self.may_release()
        {
            self.add(
                || "the operator releases the claim".into(),
                |world| world.ledger.row = Some(Row { state: ClaimState::Refused, ..row }),
            );
        }
        if self.bounds.native {
            self.native();
        }
    }

    /// Neither side shows the reference, and every attempt is an hour old.
    fn may_release(&self) -> bool {
        let over = |request: &Request| {
            !matches!(request.progress, Progress::Running(..)) && request.in_flight.is_none()
        };
        self.world.requests.iter().all(over) && self.world.legacy.made.or(self.world.new.made).is_none()
    }

    /// What the loader lets pass.
    fn may_enter(&self, stage: Stage) -> bool {
        let (ledger, rules) = (&self.world.ledger, self.bounds.rules);
        match stage {
            // An operator who forgot that new is in use at least stays in stages that read it, unless a claim says so.
            Stage::Observe => {
                let forgotten = self.bounds.rows_deleted && self.world.lost && !ledger.other_on_new;
                !ledger.created_on_new(rules) && !ledger.hold && !forgotten
            }
            Stage::Ready => true,
            Stage::Live => ledger.opened_new && self.world.has_no_unclaimed_create_under_way(),
            Stage::Sealed => {
                let unclaimed = self.bounds.older || self.world.unclaimed.sent;
                ledger.opened_new
                    && self.world.has_no_unclaimed_create_under_way()
                    && (!unclaimed || ledger.complete[Side::Legacy as usize])
                    && !ledger.hold
                    && (!self.world.lost || self.bounds.excluded.seal_after_loss)
            }
        }
    }

    /// A create through the new API's own path: recorded beside the claims, refused when the reference is claimed for legacy.
    fn native(&mut self) {
        let claimed = self
            .world
            .ledger
            .row
            .is_some_and(|row| row.side == Side::Legacy && row.state != ClaimState::Refused);
        let at_once = self.bounds.excluded.native_at_once;
        if (self.world.lost || self.world.ledger.hold) && !self.bounds.excluded.native_after_loss {
            return;
        }
        if self.world.new.made.is_none() && (!claimed || at_once) && !self.world.ledger.native {
            self.add(
                || "a native create uses the reference on new".into(),
                |world| {
                    world.ledger.native = true;
                    world.new = Vendor { made: Some(Body::Native), listed: !at_once, mirrored: !at_once };
                },
            );
        }
    }
}

/// Walks, and the creates that only they find.
impl Successors<'_> {
    fn of_walks(&mut self) {
        let rules = self.bounds.rules;
        for side in self.bounds.walks {
            self.walk(*side);
        }
        let unclaimed = self.world.unclaimed;
        if (unclaimed.running || self.bounds.excluded.other_door) && !unclaimed.sent {
            self.add(
                || "a create without a claim is sent to legacy".into(),
                |world| (world.unclaimed.sent, world.unclaimed.in_flight) = (true, true),
            );
        }
        if unclaimed.running {
            self.add(
                || "the replica without the ledger starts with it".into(),
                |world| {
                    world.unclaimed.running = false;
                    world.change_ledger(|ledger| ledger.withdraw(rules));
                },
            );
        }
        if unclaimed.in_flight {
            for listed in [true, false] {
                let take = |world: &mut World| {
                    world.unclaimed.in_flight = false;
                    if world.legacy.made.is_none() {
                        world.legacy = Vendor { made: Some(Body::Usual), listed, mirrored: listed };
                    }
                };
                let words = || format!("legacy takes the create without a claim; lists show it: {listed}");
                if listed { self.add(words, take) } else { self.fault(words, take) }
            }
            self.add(
                || "the create without a claim is lost".into(),
                |world| world.unclaimed.in_flight = false,
            );
        }
    }

    fn walk(&mut self, side: Side) {
        let World { ledger, unclaimed, .. } = self.world;
        let at = side as usize;
        if ledger.hold || ledger.complete[at] {
            return;
        }
        if ledger.walked[at] {
            self.add(
                || format!("the walk over {side} ends: it is complete"),
                |world| world.change_ledger(|ledger| ledger.complete[at] = true),
            );
            return;
        }
        // The ledger does not know of a replica that runs without it; from its start on, the longest create has to pass first.
        let is_late_enough = unclaimed.running || self.world.unclaimed_is_over();
        let counts = is_late_enough || !self.bounds.rules.keep(Rule::WalkEndsAfterLastUnclaimedCreate);
        let own = self.world.vendor(side);
        let shows = own.made.is_some() && own.listed;
        self.add(
            || format!("a walk reads the list of {side}"),
            |world| {
                world.change_ledger(|ledger| {
                    ledger.walked[at] = counts;
                    if shows {
                        ledger.adopt(side);
                    }
                });
            },
        );
    }
}
