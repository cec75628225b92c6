//! What may happen next to one request: each effect that the machine asks for is carried out, fails, or is left in doubt.

use conversion_shim::routes::create::events::{
    Context, CreateAnswer, Effect, Event, Lookup, Purpose, Refusal,
};
use conversion_shim::routes::create::protocol::{self, State, Step};
use conversion_shim::routes::create::rules::Rule;
use conversion_shim::simulate::claim_row::shown_record;
use conversion_shim::translate::side::Side;

use super::bounds::Stage;
use super::successors::Successors;
use super::{Looking, Progress, World};
use crate::ledger::Statement;

impl Successors<'_> {
    pub(super) fn of_request(&mut self, at: usize) {
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
                            world.requests[at].known = row.map(|row| row.side);
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
            Effect::Lookup { side, purpose, .. } if self.bounds.outages && purpose != Purpose::Resolve => {
                self.controlled_lookup(at, state, (side, purpose));
            }
            Effect::Lookup { side, purpose, .. } => self.lookup(at, state, (side, purpose)),
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
                let shown = shown_record(event).filter(|_| !statement.misread);
                world.requests[at].known = world.requests[at].known.or(shown);
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

    /// Until an empty list counts as absence, as `routes::lookup` asks for it; the record of the positive control is always there.
    fn controlled_lookup(&mut self, at: usize, state: State, on: (Side, Purpose)) {
        let (side, looking) = (on.0, self.world.requests[at].looking);
        let emptied = self.world.emptied && side == Side::Legacy;
        let is_empty = emptied || self.world.shown(side, self.bounds.mirror).is_none();
        match looking {
            Looking::NotYet if is_empty => self.add(
                || format!("request {at}: the list of {side} is empty"),
                |world| world.requests[at].looking = Looking::Controlling,
            ),
            Looking::Controlling if emptied => self.event(at, state, Event::Lookup(Lookup::CouldNot)),
            Looking::Controlling if self.bounds.rules.keep(Rule::ListIsAskedAfterControl) => self.add(
                || format!("request {at}: the positive control on {side} passes"),
                |world| world.requests[at].looking = Looking::Again,
            ),
            Looking::Again if is_empty => self.event(at, state, Event::Lookup(Lookup::Absent)),
            Looking::Controlling => self.event(at, state, Event::Lookup(Lookup::Absent)),
            Looking::NotYet | Looking::Again => self.lookup(at, state, on),
        }
    }

    fn lookup(&mut self, at: usize, state: State, (side, purpose): (Side, Purpose)) {
        let shown = self.world.shown(side, self.bounds.mirror);
        let body = self.world.requests[at].body;
        let found = |made_on| move |made| Lookup::Found { matches: made == body, made_on };
        let made_on =
            self.world.side_of_the_one(self.bounds.mirror).filter(|_| purpose == Purpose::ConfirmMove);
        let truth = shown.map_or(Lookup::Absent, found(made_on));
        if made_on.is_some() {
            self.event(at, state, Event::Lookup(truth));
        }
        // Or nothing shows that it is one.
        let truth = shown.map_or(Lookup::Absent, found(None));
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
        self.faulty_event(at, state, Event::Lookup(Lookup::Forbidden));
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
        self.faulty_event(
            at,
            state,
            Event::Answer(CreateAnswer::Refused { reused: false, refusal: Refusal::Other }),
        );
        let mut doubtful = vec![CreateAnswer::Unknown, CreateAnswer::Foreign];
        if self.bounds.strays {
            doubtful.extend([
                CreateAnswer::Refused { reused: true, refusal: Refusal::Other },
                CreateAnswer::Exists { candidate: None, reused: true },
            ]);
            if self.bounds.lookups_refused {
                doubtful.extend(
                    [Refusal::Unauthorized, Refusal::Forbidden]
                        .map(|refusal| CreateAnswer::Refused { reused: true, refusal }),
                );
            }
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
        let denied = stray && !matches!(given, CreateAnswer::Refused { refusal: Refusal::Other, .. });
        let own = denied && !self.bounds.excluded.stray_denial;
        self.fault(
            || format!("request {at}: {given:?}, and {side} has not got it"),
            |world| world.go_on(at, step),
        );
        if own {
            return;
        }
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
}
