//! Configs whose single values are fine and that would still put money at risk. One function a rule, in the order of the
//! cutover's rules. Pure.

use super::Problem;
use super::modes::{Mode, Modes};
use super::settings::{Ledger, LedgerKind};
use crate::translate::route::Route;

/// Which key decided each route's mode, and where it came from. In the order of [`Route::ALL`].
#[derive(Clone, Debug)]
pub(super) struct Decided(pub(super) [(&'static str, String); 4]);

impl Decided {
    fn of(&self, route: Route) -> &(&'static str, String) {
        match route {
            Route::Create => &self.0[0],
            Route::Get => &self.0[1],
            Route::List => &self.0[2],
            Route::Cancel => &self.0[3],
        }
    }

    fn problem(&self, route: Route, message: String) -> Problem {
        let (key, source) = self.of(route);
        Problem::new(*key, message, source)
    }
}

/// What the rules look at.
pub(super) struct Judged<'a> {
    pub(super) modes: &'a Modes,
    pub(super) decided: &'a Decided,
    pub(super) ledger: Option<&'a Ledger>,
    pub(super) replicas: u32,
    /// Where `replicas` came from.
    pub(super) replicas_source: &'a str,
}

/// Everything that is refused without asking the ledger.
pub(super) fn all(judged: &Judged<'_>) -> Vec<Problem> {
    let mut problems = Vec::new();
    if matches!(judged.modes.create, Mode::Canary | Mode::New) {
        problems.extend(blind_readers(judged.modes, judged.decided));
    }
    problems.extend(readers_ahead(judged.modes, judged.decided));
    problems.extend(no_ledger(judged));
    problems.extend(ledger_of_one(judged));
    problems
}

/// Rule 1, and rule 5 once a create went to new: a reader that sees only legacy would say 404 for records made on new.
pub(super) fn blind_readers(modes: &Modes, decided: &Decided) -> Vec<Problem> {
    let refuse = |route| {
        let message = format!(
            "{} is {} and would not see conversions made on the new API; it must be both or new (to send creates back to \
             the old API, keep the stage and set routes.create = \"legacy\")",
            name(route),
            modes.of(route)
        );
        decided.problem(route, message)
    };
    readers().filter(|route| modes.of(*route).sees_only_legacy()).map(refuse).collect()
}

/// Rule 2: a reader of new alone would say 404 for records still made on legacy.
fn readers_ahead(modes: &Modes, decided: &Decided) -> Vec<Problem> {
    let refuse = |route| {
        let message = format!(
            "{} is new while create is {}: conversions made on the old API would not be seen",
            name(route),
            modes.create
        );
        decided.problem(route, message)
    };
    let ahead = modes.create != Mode::New;
    readers().filter(|route| ahead && modes.of(*route) == Mode::New).map(refuse).collect()
}

/// Rule 3: two sides in use and nothing that remembers which one a ref_id went to.
fn no_ledger(judged: &Judged<'_>) -> Option<Problem> {
    let both = readers().any(|route| judged.modes.of(route) == Mode::Both);
    let needed = match judged.modes.create {
        Mode::Canary => true,
        Mode::New => both,
        Mode::Legacy | Mode::Shadow | Mode::Hold | Mode::Both => false,
    };
    (needed && judged.ledger.is_none()).then(|| {
        let message = format!(
            "create is {} while the old API is in use, and no ledger is configured: a retry could convert twice; \
             set ledger.url",
            judged.modes.create
        );
        judged.decided.problem(Route::Create, message)
    })
}

/// Rule 4: replicas that cannot see each other's claims.
fn ledger_of_one(judged: &Judged<'_>) -> Option<Problem> {
    let sqlite = judged.ledger.is_some_and(|ledger| ledger.kind == LedgerKind::Sqlite);
    (judged.replicas > 1 && sqlite).then(|| {
        let message = format!(
            "is {} with a sqlite ledger, which only one process can use: use a postgres one",
            judged.replicas
        );
        Problem::new("replicas", message, judged.replicas_source)
    })
}

fn readers() -> impl Iterator<Item = Route> {
    Route::ALL.into_iter().filter(|route| *route != Route::Create)
}

const fn name(route: Route) -> &'static str {
    route.as_str()
}
