//! What all jobs on the shadow thread share.

use std::cell::RefCell;
use std::rc::Rc;

use super::handle::Shadow;
use super::record_writer::RecordWriter;
use super::redact::Redactor;
use super::shadow_client::ShadowClient;
use crate::config::Secret;

pub(super) struct Worker {
    pub(super) client: ShadowClient,
    pub(super) redactors: RedactorCell,
    pub(super) shadow: Shadow,
    pub(super) writer: RefCell<RecordWriter>,
}

/// The redactor of the config in force. Another key makes another one; without a key it is the same until there is one.
pub(super) struct RedactorCell(RefCell<(Option<Secret>, Rc<Redactor>)>);

impl RedactorCell {
    pub(super) fn new(key: Option<&Secret>) -> Self {
        Self(RefCell::new((key.cloned(), redactor(key))))
    }

    pub(super) fn with_key(&self, key: Option<&Secret>) -> Rc<Redactor> {
        let mut current = self.0.borrow_mut();
        // Not rebuilt for each job: without a key the random one must stay, or equal values would have different hashes.
        if current.0.as_ref() != key {
            *current = (key.cloned(), redactor(key));
        }
        Rc::clone(&current.1)
    }
}

fn redactor(key: Option<&Secret>) -> Rc<Redactor> {
    Rc::new(Redactor::new(key.map(Secret::reveal)))
}
