//! The claims that this process changed last. A database that lacks one of them has gone back in time.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use super::claim::Claim;
use super::queries::OwnedKey;

const KEPT: usize = 10;

/// A claim as this process last saw it committed.
#[derive(Clone)]
pub(super) struct Committed {
    pub(super) key: OwnedKey,
    pub(super) generation: i64,
    pub(super) begun: i64,
}

/// The newest claims of a process. Clones share them.
#[derive(Clone, Default)]
pub(super) struct Newest(Arc<Mutex<VecDeque<Committed>>>);

impl Newest {
    pub(super) fn add(&self, key: OwnedKey, claim: &Claim) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Calls end in any order, and a newer state of a claim implies the older one.
        let newer = |known: &Committed| (known.generation, known.begun) > (claim.generation, claim.begun);
        if kept.iter().any(|known| known.key == key && newer(known)) {
            return;
        }
        kept.retain(|known| known.key != key);
        kept.push_back(Committed { key, generation: claim.generation, begun: claim.begun });
        if kept.len() > KEPT {
            kept.pop_front();
        }
    }

    pub(super) fn clear(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    pub(super) fn all(&self) -> Vec<Committed> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }
}
