//! Gates: what a change of effective modes needs that goes further than the furthest on record. `known` reads what the ledger says,
//! `conditions`, `walked` and `reported` judge it (pure), `guard` asks both before a start or reload. Going back, and what is at or
//! behind the record, needs nothing.

mod conditions;
mod guard;
mod known;
mod reported;
mod walked;

use crate::config::{Config, CreateProgress, CutoverProgress, Modes, ReadProgress};
use crate::ledger::effective_modes::tenant_of;
use crate::ledger::{LedgerError, Reader};

pub(crate) use guard::guarded;
pub(crate) use reported::thresholds;

/// A step of the cutover.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StageStep {
    /// A read route uses both sides.
    ReadsOnBoth,
    FirstCreates,
    AllCreates,
    /// A read route uses new alone.
    Sealed,
    /// None: a read route uses the old API alone. It needs nothing, and is refused while the other API may hold records.
    GoingBack,
}

impl StageStep {
    #[must_use]
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::ReadsOnBoth => "reads on both",
            Self::FirstCreates => "first creates on new",
            Self::AllCreates => "all creates on new",
            Self::Sealed => "sealed",
            Self::GoingBack => "going back",
        }
    }
}

/// Something that a step needs.
#[derive(Clone, Debug)]
pub(crate) struct Condition {
    pub(crate) step: StageStep,
    /// A name that stays, such as `report`.
    pub(crate) name: &'static str,
    pub(crate) met: bool,
    /// What is needed, and what there is, with the numbers of both.
    pub(crate) text: String,
}

/// The steps between two positions, in their order.
pub(crate) fn steps(from: CutoverProgress, to: CutoverProgress) -> Vec<StageStep> {
    let passed = |before: bool, after: bool| !before && after;
    let all = [
        (StageStep::ReadsOnBoth, from.reads >= ReadProgress::Both, to.reads >= ReadProgress::Both),
        (StageStep::FirstCreates, from.creates >= CreateProgress::Some, to.creates >= CreateProgress::Some),
        (StageStep::AllCreates, from.creates >= CreateProgress::All, to.creates >= CreateProgress::All),
        // Compared by what clients are answered from, not by the name of the stage: single routes may override it.
        (StageStep::Sealed, from.reads >= ReadProgress::New, to.reads >= ReadProgress::New),
    ];
    all.into_iter().filter(|(_, before, after)| passed(*before, *after)).map(|(step, ..)| step).collect()
}

/// Why a step to these modes needs nothing.
///
/// # Errors
/// [`LedgerError`].
pub(crate) async fn needs_nothing(
    reader: &Reader,
    config: &Config,
    target: &Modes,
) -> Result<&'static str, LedgerError> {
    let to = config.progress_of(target);
    Ok(match reader.furthest(tenant_of(config)).await? {
        _ if (to.creates, to.reads) == (CreateProgress::None, ReadProgress::Legacy) => {
            "no client is answered by the new API in it"
        }
        None => "no modes are on record yet, and those that are in force first are the record",
        Some(_) => "it is at or behind the furthest modes on record",
    })
}

/// Every condition of the steps that lead from what is on record to these modes; none for modes at or behind it.
///
/// # Errors
/// [`LedgerError`]: what cannot be read is not met.
pub(crate) async fn conditions(
    reader: &Reader,
    config: &Config,
    target: &Modes,
) -> Result<Vec<Condition>, LedgerError> {
    // Without a record the ledger is of a version that kept none: what is in force first is its record.
    let Some(furthest) = reader.furthest(tenant_of(config)).await? else { return Ok(Vec::new()) };
    let steps = steps(furthest, config.progress_of(target));
    if steps.is_empty() {
        return Ok(Vec::new());
    }
    let known = known::Known::read(reader, config).await?;
    // One config, one time of its facts: asked for once, however many steps there are.
    let has_facts = steps.contains(&StageStep::ReadsOnBoth);
    let of_any = steps.last().map(|step| conditions::of_any(*step, &known, config)).into_iter().flatten();
    let of_any = of_any.filter(|condition| !(has_facts && condition.name == conditions::FACTS_NAME));
    let of_each = steps.iter().flat_map(|step| conditions::of(*step, &known, config, target));
    Ok(of_each.chain(of_any).collect())
}

/// The trip, if these modes go forward from those in force, though not beyond the furthest on record: what was in force once needs no
/// evidence again, and is no way on while creates are held.
///
/// # Errors
/// [`LedgerError`].
pub(crate) async fn tripped_on_the_way(
    reader: &Reader,
    config: &Config,
    (from, target): (Option<CutoverProgress>, &Modes),
) -> Result<Option<Condition>, LedgerError> {
    let Some(from) = from else { return Ok(None) };
    let to = config.progress_of(target);
    let Some(step) = steps(from, to).into_iter().rfind(|step| *step != StageStep::ReadsOnBoth) else {
        return Ok(None);
    };
    let furthest = reader.furthest(tenant_of(config)).await?;
    if furthest.is_none_or(|furthest| !steps(furthest, to).is_empty()) || reader.trip().await?.is_none() {
        return Ok(None);
    }
    let known = known::Known::read(reader, config).await?;
    Ok(Some(conditions::trip(step, &known, config)))
}

/// Why the loader refuses these modes whatever evidence there is; `None` if it does not. Its own guard says the same of a config.
///
/// # Errors
/// [`LedgerError`].
pub(crate) async fn refused_reads(
    reader: &Reader,
    config: &Config,
    target: &Modes,
) -> Result<Option<Condition>, LedgerError> {
    let is_open = reader.identified(None).await?.is_open;
    let problems = config.modes_against_history(target, is_open);
    let problems: Vec<_> = problems.into_iter().map(|problem| problem.message).collect();
    let text = || format!("the ledger is open for creates on the new API: {}", problems.join("; "));
    Ok((!problems.is_empty()).then(|| Condition {
        step: StageStep::GoingBack,
        name: "reads",
        met: false,
        text: text(),
    }))
}
