//! Chance with a seed, for those who play with the vendor: `demo`, `simulate` and the tests. Own code, because a seed that once failed must
//! give the same events for ever, on every machine, and no crate promises that of its generators over its versions.

use std::time::Duration;

/// SplitMix64 (Steele, Lea and Flood, 2014).
#[derive(Clone)]
pub struct Dice(u64);

impl Dice {
    /// Every seed is as good as another, 0 and neighbours too.
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The dice of one world of a run: worlds and seeds that are neighbours have nothing in common.
    pub const fn of(seed: u64, world: u64) -> Self {
        Self(mix(seed) ^ mix(world.wrapping_add(0x517c_c1b7_2722_0a95)))
    }

    /// Dice of their own for one part, so that its plan does not depend on how fast the others are.
    pub const fn fork(&mut self) -> Self {
        Self(self.next())
    }

    /// Any part of the 64 bits is as random as the whole.
    pub const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    /// A number below `end`, which is small: the bias does not matter.
    pub fn below(&mut self, end: u64) -> u64 {
        self.next() % end.max(1)
    }

    /// True with a probability of 1 / `many`.
    pub fn one_in(&mut self, many: u64) -> bool {
        self.below(many) == 0
    }

    /// True so many times out of a hundred.
    pub fn percent(&mut self, chance: u64) -> bool {
        self.below(100) < chance
    }

    /// A position in something with `length` elements; 0 if it has none.
    pub fn index(&mut self, length: usize) -> usize {
        usize::try_from(self.below(length as u64)).unwrap_or_default()
    }

    /// A time between the two, in milliseconds; `to` is left out.
    pub fn milliseconds(&mut self, from: u64, to: u64) -> Duration {
        Duration::from_millis(from + self.below(to - from))
    }

    /// One of them, each as likely as the others; an array, so that it is never empty by accident.
    pub fn pick<T: Copy, const N: usize>(&mut self, from: [T; N]) -> T {
        from[self.index(N)]
    }
}

const fn mix(of: u64) -> u64 {
    let mixed = (of ^ (of >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}
