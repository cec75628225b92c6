//! What counts: counters and histograms by typed labels, each a fixed block of atomics. Adding is one or two atomic adds; nothing
//! is looked up, allocated or locked. Knows neither what is counted nor how it is shown: that is `telemetry::metrics`.

use std::sync::atomic::{AtomicU64, Ordering};

/// A label and its value.
pub type Label = (&'static str, &'static str);

/// A label with few values, all of them known.
pub trait Name: Copy + 'static {
    /// The label's name.
    const LABEL: &'static str;
    /// Every value; each at its [`place`](Self::place).
    const ALL: &'static [Self];
    /// The value's place in [`ALL`](Self::ALL).
    fn place(self) -> usize;
    /// The value as it is shown.
    fn text(self) -> &'static str;
}

/// What a count is told apart by: one label, some of them, or none.
pub trait Key: Copy {
    /// How many there are.
    const COUNT: usize;
    /// Where it stands among them.
    fn place(self) -> usize;
    /// The one that stands there; `place` is below [`COUNT`](Self::COUNT).
    fn at(place: usize) -> Self;
    /// Its labels, added to `labels`.
    fn tell(self, labels: &mut Vec<Label>);
}

impl<N: Name> Key for (N,) {
    const COUNT: usize = N::ALL.len();

    fn place(self) -> usize {
        self.0.place()
    }

    fn at(place: usize) -> Self {
        (N::ALL[place],)
    }

    fn tell(self, labels: &mut Vec<Label>) {
        labels.push((N::LABEL, self.0.text()));
    }
}

impl<N: Name> Key for (Option<N>,) {
    const COUNT: usize = N::ALL.len() + 1;

    fn place(self) -> usize {
        self.0.map_or(0, |name| name.place() + 1)
    }

    fn at(place: usize) -> Self {
        (place.checked_sub(1).map(|place| N::ALL[place]),)
    }

    fn tell(self, labels: &mut Vec<Label>) {
        labels.push((N::LABEL, self.0.map_or("none", N::text)));
    }
}

impl Key for () {
    const COUNT: usize = 1;

    fn place(self) -> usize {
        0
    }

    fn at(_: usize) -> Self {}

    fn tell(self, _: &mut Vec<Label>) {}
}

impl<A, B> Key for (A, B)
where
    A: Copy,
    B: Copy,
    (A,): Key,
    (B,): Key,
{
    const COUNT: usize = <(A,)>::COUNT * <(B,)>::COUNT;

    fn place(self) -> usize {
        (self.0,).place() * <(B,)>::COUNT + (self.1,).place()
    }

    fn at(place: usize) -> Self {
        let (first, second) = (<(A,)>::at(place / <(B,)>::COUNT), <(B,)>::at(place % <(B,)>::COUNT));
        (first.0, second.0)
    }

    fn tell(self, labels: &mut Vec<Label>) {
        (self.0,).tell(labels);
        (self.1,).tell(labels);
    }
}

impl<A, B, C, D> Key for (A, B, C, D)
where
    A: Copy,
    B: Copy,
    C: Copy,
    D: Copy,
    (A, B): Key,
    (C, D): Key,
{
    const COUNT: usize = <(A, B)>::COUNT * <(C, D)>::COUNT;

    fn place(self) -> usize {
        (self.0, self.1).place() * <(C, D)>::COUNT + (self.2, self.3).place()
    }

    fn at(place: usize) -> Self {
        let (first, second) = (<(A, B)>::at(place / <(C, D)>::COUNT), <(C, D)>::at(place % <(C, D)>::COUNT));
        (first.0, first.1, second.0, second.1)
    }

    fn tell(self, labels: &mut Vec<Label>) {
        (self.0, self.1).tell(labels);
        (self.2, self.3).tell(labels);
    }
}

/// Gives an enum whose variants carry nothing its place among the labels.
macro_rules! label {
    ($name:ty, $label:literal, $($variant:ident = $text:literal),+ $(,)?) => {
        impl $crate::telemetry::metrics::registry::Name for $name {
            const LABEL: &'static str = $label;
            const ALL: &'static [Self] = &[$(Self::$variant),+];

            fn place(self) -> usize {
                self as usize
            }

            fn text(self) -> &'static str {
                match self {
                    $(Self::$variant => $text),+
                }
            }
        }
    };
}
pub(crate) use label;

fn cells(count: usize) -> Box<[AtomicU64]> {
    (0..count).map(|_| AtomicU64::new(0)).collect()
}

/// One counter for each key.
#[derive(Debug)]
pub struct Counters<K> {
    cells: Box<[AtomicU64]>,
    key: std::marker::PhantomData<fn(K)>,
}

impl<K: Key> Default for Counters<K> {
    fn default() -> Self {
        Self { cells: cells(K::COUNT), key: std::marker::PhantomData }
    }
}

impl<K: Key> Counters<K> {
    /// One more.
    pub fn add(&self, key: K) {
        self.add_many(key, 1);
    }

    /// `many` more.
    pub fn add_many(&self, key: K, many: u64) {
        self.cells[key.place()].fetch_add(many, Ordering::Relaxed);
    }

    /// How many so far.
    #[must_use]
    pub fn get(&self, key: K) -> u64 {
        self.cells[key.place()].load(Ordering::Relaxed)
    }

    /// Every key and its count.
    pub fn all(&self) -> impl Iterator<Item = (K, u64)> {
        self.cells.iter().enumerate().map(|(place, cell)| (K::at(place), cell.load(Ordering::Relaxed)))
    }
}

/// Where the buckets of a histogram end, inclusive, ascending.
#[derive(Debug)]
pub struct Buckets {
    /// The ends, in what is observed.
    pub ends: &'static [u64],
    /// How many of what is observed make one of what is shown.
    pub per_unit: u64,
}

/// Times: observed in microseconds, shown in seconds. From a local call to the longest time that a create may take.
pub const TIMES: Buckets = Buckets {
    ends: &[
        500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000,
        5_000_000, 10_000_000, 30_000_000,
    ],
    per_unit: 1_000_000,
};

/// Small numbers.
pub const FEW: Buckets = Buckets { ends: &[1, 2, 3, 4, 6, 8, 10, 20, 50], per_unit: 1 };

/// What one histogram has seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistogramSnapshot {
    /// How many fell into each bucket; the last one has no end.
    pub counts: Vec<u64>,
    /// All that was observed, together.
    pub sum: u64,
}

impl HistogramSnapshot {
    /// How many were observed.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }
}

/// One histogram for each key.
#[derive(Debug)]
pub struct Histograms<K> {
    /// Where its buckets end.
    pub scale: &'static Buckets,
    cells: Box<[AtomicU64]>,
    key: std::marker::PhantomData<fn(K)>,
}

impl<K: Key> Histograms<K> {
    /// Nothing observed yet.
    #[must_use]
    pub fn new(scale: &'static Buckets) -> Self {
        let key = std::marker::PhantomData;
        Self { scale, cells: cells(K::COUNT * Self::width(scale)), key }
    }

    /// The buckets, the one without an end, and the sum.
    const fn width(scale: &Buckets) -> usize {
        scale.ends.len() + 2
    }

    fn cells_of(&self, place: usize) -> &[AtomicU64] {
        let width = Self::width(self.scale);
        &self.cells[place * width..][..width]
    }

    /// Notes one number.
    pub fn observe(&self, key: K, observed: u64) {
        let cells = self.cells_of(key.place());
        let bucket = self.scale.ends.partition_point(|end| *end < observed);
        cells[bucket].fetch_add(1, Ordering::Relaxed);
        cells[cells.len() - 1].fetch_add(observed, Ordering::Relaxed);
    }

    /// Notes a time, on a scale of [`TIMES`].
    pub fn elapsed(&self, key: K, time: std::time::Duration) {
        self.observe(key, u64::try_from(time.as_micros()).unwrap_or(u64::MAX));
    }

    /// Every key and what was seen of it.
    pub fn all(&self) -> impl Iterator<Item = (K, HistogramSnapshot)> {
        (0..K::COUNT).map(|place| {
            let mut counts: Vec<_> =
                self.cells_of(place).iter().map(|cell| cell.load(Ordering::Relaxed)).collect();
            let sum = counts.pop().unwrap_or_default();
            (K::at(place), HistogramSnapshot { counts, sum })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    enum Colour {
        Red,
        Blue,
    }
    label!(Colour, "colour", Red = "red", Blue = "blue");

    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    enum Size {
        Small,
        Middle,
        Large,
    }
    label!(Size, "size", Small = "small", Middle = "middle", Large = "large");

    #[test]
    fn every_key_has_a_place_of_its_own_and_finds_back() {
        type All = (Colour, Option<Size>, Size, Colour);
        for place in 0..All::COUNT {
            assert_eq!(All::at(place).place(), place);
        }
        assert_eq!(All::COUNT, 2 * 4 * 3 * 2);
        let counters = Counters::<All>::default();
        let key = (Colour::Blue, None, Size::Large, Colour::Red);
        counters.add_many(key, 2);
        let counted: Vec<_> = counters.all().filter(|(_, count)| *count > 0).collect();
        assert_eq!((counted, counters.get(key)), (vec![(key, 2)], 2));
        let mut labels = Vec::new();
        key.tell(&mut labels);
        assert_eq!(labels, [("colour", "blue"), ("size", "none"), ("size", "large"), ("colour", "red")]);
    }

    #[test]
    fn a_bucket_holds_its_end_and_the_last_one_holds_the_rest() {
        let histograms = Histograms::<(Colour,)>::new(&FEW);
        for observed in [0, 1, 2, 50, 51] {
            histograms.observe((Colour::Blue,), observed);
        }
        let shapes: Vec<_> = histograms.all().collect();
        assert_eq!(shapes[0].1.count(), 0, "red has a block of its own");
        let blue = &shapes[1].1;
        assert_eq!((blue.counts.as_slice(), blue.sum), (&[2, 1, 0, 0, 0, 0, 0, 0, 1, 1][..], 104));
    }
}
