//! Captures a body while it is forwarded, bounded for each body and for all captures together. Forwarding is neither delayed nor changed,
//! whether or not the capture fits.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The memory budget of all captures. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct MemoryBudget(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    used: AtomicUsize,
    max: usize,
}

impl MemoryBudget {
    /// `max` is in bytes.
    pub(crate) fn new(max: usize) -> Self {
        Self(Arc::new(Inner { used: AtomicUsize::new(0), max }))
    }

    pub(crate) fn used(&self) -> usize {
        self.0.used.load(Ordering::Relaxed)
    }

    fn try_reserve(&self, bytes: usize) -> bool {
        // One step for the check and the sum, so that captures at the same time stay within the limit together.
        let fits = |used: usize| used.checked_add(bytes).filter(|sum| *sum <= self.0.max);
        self.0.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits).is_ok()
    }
}

/// A captured body. Dropping it releases its share of the [`MemoryBudget`].
#[derive(Debug)]
pub(crate) struct CapturedBody {
    bytes: Vec<u8>,
    max: usize,
    state: CaptureState,
    reserved: usize,
    budget: MemoryBudget,
}

/// How much of the body was captured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CaptureState {
    /// Not all of it: the body has not ended, or was aborted.
    Partial,
    Whole,
    /// Nothing: the body is longer than the limit of one capture.
    TooLong,
    /// Nothing: the memory budget was used up.
    OverBudget,
}

impl CapturedBody {
    /// Captures at most `max` bytes.
    pub(crate) const fn new(max: usize, budget: MemoryBudget) -> Self {
        Self { bytes: Vec::new(), max, state: CaptureState::Partial, reserved: 0, budget }
    }

    pub(crate) fn add(&mut self, bytes: &[u8]) {
        if self.state != CaptureState::Partial {
            return;
        }
        if self.bytes.len() + bytes.len() > self.max {
            self.discard(CaptureState::TooLong);
        } else if self.budget.try_reserve(bytes.len()) {
            self.reserved += bytes.len();
            self.bytes.extend_from_slice(bytes);
        } else {
            self.discard(CaptureState::OverBudget);
        }
    }

    /// Marks the body as complete.
    pub(crate) fn end(&mut self) {
        if self.state == CaptureState::Partial {
            self.state = CaptureState::Whole;
        }
    }

    pub(crate) const fn state(&self) -> CaptureState {
        self.state
    }

    /// The limit of this capture in bytes.
    pub(crate) const fn max(&self) -> usize {
        self.max
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    fn discard(&mut self, state: CaptureState) {
        self.bytes = Vec::new();
        self.state = state;
        self.release();
    }

    fn release(&mut self) {
        self.budget.0.used.fetch_sub(self.reserved, Ordering::Relaxed);
        self.reserved = 0;
    }
}

impl Drop for CapturedBody {
    fn drop(&mut self) {
        self.release();
    }
}

/// Feeds a capture, and hands it to a callback once: when the body ends or is dropped.
pub(crate) struct Tee {
    captured: Option<CapturedBody>,
    on_end: Option<Box<dyn FnOnce(CapturedBody) + Send>>,
}

impl Tee {
    pub(crate) fn new(captured: CapturedBody, on_end: impl FnOnce(CapturedBody) + Send + 'static) -> Self {
        Self { captured: Some(captured), on_end: Some(Box::new(on_end)) }
    }

    pub(crate) fn add(&mut self, bytes: &[u8]) {
        if let Some(captured) = &mut self.captured {
            captured.add(bytes);
        }
    }

    /// Marks the body as complete and hands the capture on.
    pub(crate) fn end(&mut self) {
        if let Some(captured) = &mut self.captured {
            captured.end();
        }
        self.hand_on();
    }

    fn hand_on(&mut self) {
        if let (Some(captured), Some(on_end)) = (self.captured.take(), self.on_end.take()) {
            on_end(captured);
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
        // Bodies never appear in logs.
        out.debug_struct("Tee")
            .field("state", &self.captured.as_ref().map(CapturedBody::state))
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    fn whole(bytes: &[u8], max: usize, budget: &MemoryBudget) -> CapturedBody {
        let mut captured = CapturedBody::new(max, budget.clone());
        captured.add(bytes);
        captured.end();
        captured
    }

    #[test]
    fn a_capture_reserves_memory_and_releases_it() {
        let budget = MemoryBudget::new(10);
        let one = whole(b"123456", 100, &budget);
        assert_eq!((one.state(), one.bytes(), budget.used()), (CaptureState::Whole, &b"123456"[..], 6));
        let two = whole(b"12345", 100, &budget);
        assert_eq!((two.state(), two.bytes(), budget.used()), (CaptureState::OverBudget, &b""[..], 6));
        drop(one);
        assert_eq!(budget.used(), 0);
        assert_eq!(whole(b"12345", 100, &budget).state(), CaptureState::Whole);
        assert_eq!(whole(b"12345", 4, &budget).state(), CaptureState::TooLong);
        drop(two);
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn a_capture_over_its_limit_is_released_at_once() {
        let budget = MemoryBudget::new(10);
        let mut captured = CapturedBody::new(4, budget.clone());
        captured.add(b"123");
        captured.add(b"45");
        captured.add(b"6");
        captured.end();
        assert_eq!((captured.state(), captured.bytes(), budget.used()), (CaptureState::TooLong, &b""[..], 0));
    }

    #[test]
    fn a_tee_hands_its_capture_on_once_whether_the_body_ends_or_not() {
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
