//! What all jobs on the shadow thread share.

use std::cell::RefCell;

use super::handle::Shadow;
use super::record_writer::RecordWriter;
use super::redact::Redactor;
use super::shadow_client::ShadowClient;

pub(super) struct Worker {
    pub(super) client: ShadowClient,
    pub(super) redactor: Redactor,
    pub(super) shadow: Shadow,
    pub(super) writer: RefCell<RecordWriter>,
}
