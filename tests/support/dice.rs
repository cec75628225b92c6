//! The dice of a run whose seed can be given.

use conversion_shim::sandbox::Dice;

/// The seed that `PROCESS_SEED` names, or one that no run had before; printed, so that the run can be repeated.
pub(crate) fn from_environment() -> Dice {
    let given =
        std::env::var("PROCESS_SEED").ok().map(|seed| seed.parse().expect("PROCESS_SEED is a number"));
    let seed = given.unwrap_or_else(|| uuid::Uuid::new_v4().as_u64_pair().0);
    eprintln!("PROCESS_SEED={seed}");
    Dice::new(seed)
}
