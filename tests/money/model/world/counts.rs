//! How often what happened: a model in which hardly anything happens proves nothing.

/// Over the life of one world, or of all of them.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    pub(crate) steps: u64,
    pub(crate) creates: u64,
    pub(crate) accepted: u64,
    pub(crate) conflicts: u64,
    pub(crate) unknown: u64,
    pub(crate) unavailable: u64,
    pub(crate) gets: u64,
    pub(crate) listings: u64,
    pub(crate) flips: u64,
    pub(crate) outages: u64,
    /// Ledgers that were lost, exchanged or replaced by an older copy.
    pub(crate) exchanged: u64,
    /// Starts that were refused, and those that held creates until `ledger accept`.
    pub(crate) refused: u64,
    pub(crate) held: u64,
}

impl Counts {
    pub(crate) fn add(&mut self, one: Self) {
        self.steps += one.steps;
        self.creates += one.creates;
        self.accepted += one.accepted;
        self.conflicts += one.conflicts;
        self.unknown += one.unknown;
        self.unavailable += one.unavailable;
        self.gets += one.gets;
        self.listings += one.listings;
        self.flips += one.flips;
        self.outages += one.outages;
        self.exchanged += one.exchanged;
        self.refused += one.refused;
        self.held += one.held;
    }
}
