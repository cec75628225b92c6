//! Process metrics, most of them from `/proc`. Outside Linux, or where `/proc` is hidden, those are missing.

use crate::http::descriptors;

/// From `VmRSS` in `/proc/self/status`; `None` where there is no such file.
pub(super) fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kibibytes.checked_mul(1024)
}

/// Open file descriptors, without the one that reads the directory.
pub(super) fn open_fds() -> Option<u64> {
    match std::fs::read_dir("/proc/self/fd") {
        Ok(open) => u64::try_from(open.count()).ok()?.checked_sub(1),
        // All of them are in use.
        Err(error) if descriptors::is_lack_of(&error) => max_fds(),
        Err(_) => None,
    }
}

/// Maximum number of open file descriptors; `None` also when unlimited.
pub(super) fn max_fds() -> Option<u64> {
    descriptors::limit()
}
