//! The process's limit on open files, and what the listeners leave of it for each other.

use std::io;
use std::os::fd::{AsFd, AsRawFd};

use rustix::io::Errno;
use rustix::process::{Resource, getrlimit};

/// Maximum number of open file descriptors of the process (RLIMIT_NOFILE); `None` when unlimited.
pub(crate) fn limit() -> Option<u64> {
    getrlimit(Resource::Nofile).current
}

/// Keeps descriptors free for what must go on when clients or upstreams use up the others. The admin listener, the ledger and files have
/// none: what the others leave is theirs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Headroom {
    /// The first number that is not for a connection of this kind.
    first: Option<u64>,
}

impl Headroom {
    /// For connections of clients: an eighth of the process's limit, at most 128.
    pub(crate) fn of_clients() -> Self {
        Self::of(8, 128)
    }

    /// For connections to upstreams: half of what clients leave.
    pub(crate) fn of_upstreams() -> Self {
        Self::of(16, 64)
    }

    fn of(share: u64, max: u64) -> Self {
        Self { first: limit().map(|limit| limit - (limit / share).min(max)) }
    }

    /// Whether another connection leaves enough. A new descriptor has the lowest free number, so that number shows how many are in use
    /// without counting them.
    pub(crate) fn is_left(self, any: &impl AsFd) -> bool {
        any.as_fd().try_clone_to_owned().is_ok_and(|lowest| self.allows(&lowest))
    }

    /// Whether this connection may be kept. Its own number decides: the lowest free one says little while many connections are being
    /// opened at once, because those that are refused free lower numbers.
    pub(crate) fn allows(self, connection: &impl AsRawFd) -> bool {
        let number = u64::try_from(connection.as_raw_fd());
        self.first.is_none_or(|first| number.is_ok_and(|number| number < first))
    }

    /// The error of a connection that is not opened for lack of it.
    pub(crate) fn exhausted() -> io::Error {
        io::Error::other(
            "almost all file descriptors are in use; the rest is kept for the admin listener, the ledger and files",
        )
    }
}

/// Whether the process or the system has no descriptor left.
pub(crate) fn is_lack_of(error: &io::Error) -> bool {
    [Errno::MFILE, Errno::NFILE].iter().any(|errno| error.raw_os_error() == Some(errno.raw_os_error()))
}
