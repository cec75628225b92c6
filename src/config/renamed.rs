//! Keys that were renamed. A config that uses an old name is refused with the new one: a key that nobody reads would
//! leave its default in force without a sign.

/// Old and new name of a key, or of a section with all its keys; `docs/upgrade.md` lists the same.
pub(super) const RENAMED: [(&str, &str); 2] = [
    // 0.2.0
    ("budget.fence_share", "budget.lookup_share"),
    ("retirement", "deprecation"),
];

/// The name that a key has now; `None` for a key that was never renamed.
pub(super) fn new_name(key: &str) -> Option<String> {
    RENAMED.iter().find_map(|(old, new)| {
        let rest = key.strip_prefix(old)?;
        (rest.is_empty() || rest.starts_with('.')).then(|| format!("{new}{rest}"))
    })
}
