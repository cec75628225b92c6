//! Chance with a seed: SplitMix64, the same on every machine.

use std::time::Duration;

#[derive(Clone)]
pub(crate) struct Dice(u64);

impl Dice {
    /// The seed that `PROCESS_SEED` names, or one that no run had before; printed, so that the run can be repeated.
    pub(crate) fn from_environment() -> Self {
        let told =
            std::env::var("PROCESS_SEED").ok().map(|seed| seed.parse().expect("PROCESS_SEED is a number"));
        let seed = told.unwrap_or_else(|| uuid::Uuid::new_v4().as_u64_pair().0);
        eprintln!("PROCESS_SEED={seed}");
        Self(seed)
    }

    /// Dice of their own for one task, so that the plan of a task does not hang on the others' speed.
    pub(crate) fn fork(&mut self) -> Self {
        Self(self.next())
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    pub(crate) fn one_in(&mut self, many: u64) -> bool {
        self.below(many) == 0
    }

    pub(crate) fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[usize::try_from(self.below(from.len() as u64)).unwrap()]
    }

    pub(crate) fn millis(&mut self, end: u64) -> Duration {
        Duration::from_millis(self.below(end))
    }
}
