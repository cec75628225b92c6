//! Who may say 404.

use super::{Reply, is_problem_document};

/// Whether the answer is the vendor's "there is no such record": status 404 with a problem document. A gateway's 404 says nothing about
/// records.
#[must_use]
pub(crate) fn is_not_found(reply: &Reply<'_>) -> bool {
    reply.status == 404 && is_problem_document(reply)
}
