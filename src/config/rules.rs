//! Rules over several sections: configs whose single values are valid and that would put money at risk. One function per
//! rule.

use super::problem::ConfigProblem;
use super::sections::general::REPLICAS;
use super::sections::keys;
use super::sections::ledger::{LedgerKind, LedgerSection};
use super::sections::modes::Mode;
use super::sections::routes::Routes;
use crate::translate::route::Route;

/// The values that the rules judge.
pub(super) struct RuleInput<'a> {
    pub(super) routes: &'a Routes,
    pub(super) ledger: Option<&'a LedgerSection>,
    pub(super) replicas: u32,
    /// Whether there are lookup credentials.
    pub(super) reads_new: bool,
    /// Whether every upstream is the embedded vendor.
    pub(super) embedded_vendor: bool,
    /// Where a key's value came from.
    pub(super) source: &'a dyn Fn(&str) -> String,
}

/// The violations that can be found without asking the ledger.
pub(super) fn violations(input: &RuleInput<'_>) -> Vec<ConfigProblem> {
    let mut problems = Vec::new();
    if matches!(input.routes.modes.create, Mode::Canary | Mode::New) {
        problems.extend(reads_without_new(input.routes));
    }
    problems.extend(reads_without_legacy(input.routes));
    problems.extend(mixed_reads(input.routes));
    problems.extend(no_ledger(input));
    problems.extend(unopened_ledger(input));
    problems.extend(unshared_ledger(input));
    problems.extend(only_door_without_credentials(input));
    problems
}

/// Rule 1, and rule 5 once any create went to new: a route that reads only legacy would answer 404 for records on new.
pub(super) fn reads_without_new(routes: &Routes) -> Vec<ConfigProblem> {
    let problem = |route: Route| {
        let message = format!(
            "{route} is {} and would not see conversions made on the new API; it must be both or new (to send creates back to \
             the old API, keep the stage and set {} = \"legacy\")",
            routes.modes.of(route),
            keys::ROUTES_CREATE
        );
        routes.origins.problem(route, message)
    };
    READS.into_iter().filter(|route| routes.modes.of(*route).sees_only_legacy()).map(problem).collect()
}

/// Rule 2: a route that reads only new would answer 404 for records that are still made on legacy.
fn reads_without_legacy(routes: &Routes) -> Vec<ConfigProblem> {
    let create = routes.modes.create;
    let problem = |route: Route| {
        let message = format!(
            "{route} is new while create is {create}: conversions made on the old API would not be seen"
        );
        routes.origins.problem(route, message)
    };
    // With creates on legacy, or on both sides in canary, a read of new alone answers 404 for a conversion that exists.
    let violates = |route: &Route| create != Mode::New && routes.modes.of(*route) == Mode::New;
    READS.into_iter().filter(violates).map(problem).collect()
}

/// Rule 2, while create is new (else each read on new is refused already): one route would find a record of legacy that another one
/// denies. Reported where a route deviates from its stage, because no stage mixes the two.
fn mixed_reads(routes: &Routes) -> Vec<ConfigProblem> {
    let on = |mode| READS.into_iter().filter(move |route| routes.modes.of(*route) == mode);
    let is_mixed = on(Mode::Both).next().is_some() && on(Mode::New).next().is_some();
    if routes.modes.create != Mode::New || !is_mixed {
        return Vec::new();
    }
    let names = |mode| on(mode).map(Route::as_str).collect::<Vec<_>>().join(" and ");
    let message = format!(
        "new is the mode of {} and both that of {}: a record of the old API would be found by one route and be a 404 by \
         another; set get, list and cancel all to both, or all to new",
        names(Mode::New),
        names(Mode::Both)
    );
    // Reported at the routes that were set apart, which is where the operator can mend it.
    let deviating = READS.into_iter().filter(|route| routes.origins.deviates(*route));
    deviating.map(|route| routes.origins.problem(route, message.clone())).collect()
}

/// Rule 3: only a ledger remembers which side a `ref_id` went to. At the embedded vendor, where no money is, creates may all go to new
/// without one.
fn no_ledger(input: &RuleInput<'_>) -> Option<ConfigProblem> {
    let modes = &input.routes.modes;
    let uses_legacy = READS.into_iter().any(|route| modes.of(route) != Mode::New);
    let needs_ledger = match modes.create {
        Mode::Canary => true,
        // The embedded vendor has no conversions of before; any other may have made some on legacy.
        Mode::New => uses_legacy || !input.embedded_vendor,
        Mode::Legacy | Mode::Shadow | Mode::Hold | Mode::Both => false,
    };
    (needs_ledger && input.ledger.is_none()).then(|| {
        let (create, url) = (modes.create, keys::LEDGER_URL);
        let message = if uses_legacy {
            format!(
                "create is {create} while the old API is in use, and no ledger is configured: a retry could convert twice; set {url}"
            )
        } else {
            format!(
                "create is {create}, and no ledger is configured: a retry of a create that the old API made would convert again; set \
                 {url} (without one only `serve --sandbox` may go to the new API)"
            )
        };
        input.routes.origins.problem(Route::Create, message)
    })
}

/// Rule 3, second half: creates go to new only with the ledger that the operator opened for it, by name.
fn unopened_ledger(input: &RuleInput<'_>) -> Vec<ConfigProblem> {
    let create = input.routes.modes.create;
    let Some(ledger) = input.ledger.filter(|_| matches!(create, Mode::Canary | Mode::New)) else {
        return Vec::new();
    };
    let problem = |key: &'static str, message: String| ConfigProblem::new(key, message, (input.source)(key));
    let id = ledger.id.is_none().then(|| {
        let message = format!(
            "is not set, and create is {create}: a lost or exchanged ledger would not be noticed; `conversion-shim ledger init` \
             prints the id"
        );
        problem(keys::LEDGER_ID, message)
    });
    let mark = (!ledger.new_in_use).then(|| {
        let message = format!(
            "is false, and create is {create}: run `conversion-shim ledger open-new` and set it to true"
        );
        problem(keys::LEDGER_NEW_IN_USE, message)
    });
    id.into_iter().chain(mark).collect()
}

/// Rule 4: replicas with a SQLite ledger each would not see the claims of the others.
fn unshared_ledger(input: &RuleInput<'_>) -> Option<ConfigProblem> {
    let sqlite = input.ledger.is_some_and(|ledger| ledger.kind == LedgerKind::Sqlite);
    (input.replicas > 1 && sqlite).then(|| {
        let message = format!(
            "is {} with a sqlite ledger, which only one process can use: use a postgres one",
            input.replicas
        );
        ConfigProblem::new(REPLICAS, message, (input.source)(REPLICAS))
    })
}

/// The records on new can be compared with the ledger only by a proxy that may read them.
fn only_door_without_credentials(input: &RuleInput<'_>) -> Option<ConfigProblem> {
    let only_door = input.ledger.is_some_and(|ledger| ledger.only_door);
    let message =
        "is true, and the proxy has no credentials to read the new API with at start: set [auth.lookup]";
    (only_door && !input.reads_new)
        .then(|| ConfigProblem::new(keys::LEDGER_ONLY_DOOR, message, (input.source)(keys::LEDGER_ONLY_DOOR)))
}

/// The routes that find an existing record. Cancel is one of them: it has to find the record first.
const READS: [Route; 3] = [Route::Get, Route::List, Route::Cancel];
