//! A copy of a body as it passes: bounded by what one copy and what all copies together may take. What passes is neither held
//! up nor changed, whether there is room for the copy or not.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The memory that all copies together may take. Clones share it.
#[derive(Clone, Debug)]
pub struct MemoryBudget(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    taken: AtomicUsize,
    max: usize,
}

impl MemoryBudget {
    /// Room for `max` bytes.
    #[must_use]
    pub fn new(max: usize) -> Self {
        Self(Arc::new(Inner { taken: AtomicUsize::new(0), max }))
    }

    /// Bytes taken now.
    #[must_use]
    pub fn taken(&self) -> usize {
        self.0.taken.load(Ordering::Relaxed)
    }

    fn take(&self, bytes: usize) -> bool {
        let fits = |taken: usize| taken.checked_add(bytes).filter(|sum| *sum <= self.0.max);
        self.0.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits).is_ok()
    }
}

/// What was copied. Its part of the [`MemoryBudget`] is free again when it is dropped.
#[derive(Debug)]
pub struct CapturedBody {
    kept: Vec<u8>,
    max: usize,
    state: CaptureState,
    taken: usize,
    room: MemoryBudget,
}

/// How much of the body a copy holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CaptureState {
    /// Not all of it: the body has not ended, or never will.
    Partial,
    /// All of it.
    Whole,
    /// Nothing: the body is longer than a copy may be.
    TooLong,
    /// Nothing: the room was full.
    NoRoom,
}

impl CapturedBody {
    /// An empty copy of at most `max` bytes.
    #[must_use]
    pub const fn new(max: usize, room: MemoryBudget) -> Self {
        Self { kept: Vec::new(), max, state: CaptureState::Partial, taken: 0, room }
    }

    /// Keeps what passes.
    pub fn add(&mut self, bytes: &[u8]) {
        if self.state != CaptureState::Partial {
            return;
        }
        if self.kept.len() + bytes.len() > self.max {
            self.forget(CaptureState::TooLong);
        } else if self.room.take(bytes.len()) {
            self.taken += bytes.len();
            self.kept.extend_from_slice(bytes);
        } else {
            self.forget(CaptureState::NoRoom);
        }
    }

    /// The body has come to its end.
    pub fn end(&mut self) {
        if self.state == CaptureState::Partial {
            self.state = CaptureState::Whole;
        }
    }

    /// How much of the body this is.
    #[must_use]
    pub const fn state(&self) -> CaptureState {
        self.state
    }

    /// The most that it may hold, in bytes.
    #[must_use]
    pub const fn max(&self) -> usize {
        self.max
    }

    /// What was kept.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.kept
    }

    fn forget(&mut self, why: CaptureState) {
        self.kept = Vec::new();
        self.state = why;
        self.give_back();
    }

    fn give_back(&mut self) {
        self.room.0.taken.fetch_sub(self.taken, Ordering::Relaxed);
        self.taken = 0;
    }
}

impl Drop for CapturedBody {
    fn drop(&mut self) {
        self.give_back();
    }
}

/// A copy in the making, and what becomes of it when the body ends or is given up.
pub struct Tee {
    copy: Option<CapturedBody>,
    end: Option<Box<dyn FnOnce(CapturedBody) + Send>>,
}

impl Tee {
    /// Copies into `copy` and hands it to `end`.
    #[must_use]
    pub fn new(copy: CapturedBody, end: impl FnOnce(CapturedBody) + Send + 'static) -> Self {
        Self { copy: Some(copy), end: Some(Box::new(end)) }
    }

    /// Keeps what passes.
    pub fn add(&mut self, bytes: &[u8]) {
        if let Some(copy) = &mut self.copy {
            copy.add(bytes);
        }
    }

    /// The body has come to its end; the copy is handed on.
    pub fn end(&mut self) {
        if let Some(copy) = &mut self.copy {
            copy.end();
        }
        self.hand_on();
    }

    fn hand_on(&mut self) {
        if let (Some(copy), Some(end)) = (self.copy.take(), self.end.take()) {
            end(copy);
        }
    }
}

impl Drop for Tee {
    fn drop(&mut self) {
        self.hand_on();
    }
}

impl std::fmt::Debug for Tee {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Not what it holds: a body is never shown.
        out.debug_struct("Tee")
            .field("state", &self.copy.as_ref().map(CapturedBody::state))
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    fn whole(bytes: &[u8], max: usize, room: &MemoryBudget) -> CapturedBody {
        let mut copy = CapturedBody::new(max, room.clone());
        copy.add(bytes);
        copy.end();
        copy
    }

    #[test]
    fn a_copy_takes_room_and_gives_it_back() {
        let room = MemoryBudget::new(10);
        let one = whole(b"123456", 100, &room);
        assert_eq!((one.state(), one.bytes(), room.taken()), (CaptureState::Whole, &b"123456"[..], 6));
        let two = whole(b"12345", 100, &room);
        assert_eq!((two.state(), two.bytes(), room.taken()), (CaptureState::NoRoom, &b""[..], 6));
        drop(one);
        assert_eq!(room.taken(), 0);
        assert_eq!(whole(b"12345", 100, &room).state(), CaptureState::Whole);
        assert_eq!(whole(b"12345", 4, &room).state(), CaptureState::TooLong);
        drop(two);
        assert_eq!(room.taken(), 0);
    }

    #[test]
    fn a_copy_that_grew_too_long_is_let_go_at_once() {
        let room = MemoryBudget::new(10);
        let mut copy = CapturedBody::new(4, room.clone());
        copy.add(b"123");
        copy.add(b"45");
        copy.add(b"6");
        copy.end();
        assert_eq!((copy.state(), copy.bytes(), room.taken()), (CaptureState::TooLong, &b""[..], 0));
    }

    #[test]
    fn a_tee_hands_its_copy_on_once_whether_the_body_ends_or_not() {
        let (hand, handed) = mpsc::channel();
        let tee = |hand: &mpsc::Sender<CapturedBody>| {
            let hand = hand.clone();
            let mut tee =
                Tee::new(CapturedBody::new(10, MemoryBudget::new(10)), move |copy| hand.send(copy).unwrap());
            tee.add(b"1");
            tee
        };
        let mut ended = tee(&hand);
        ended.end();
        drop(ended);
        drop(tee(&hand));
        drop(hand);
        let states: Vec<_> = handed.iter().map(|copy| copy.state()).collect();
        assert_eq!(states, [CaptureState::Whole, CaptureState::Partial]);
    }
}
