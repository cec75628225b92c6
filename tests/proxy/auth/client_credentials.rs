//! A proxy with client credentials of its own: two OAuth clients at the vendor, and callers that authenticate to the proxy.

use super::*;
use crate::support::test_bed::{FILE, Keys};
use tempfile::TempDir;

/// A caller's bearer token; each may do what its name says.
pub(crate) const FULL: &str = "full-7f3a";
pub(crate) const READER: &str = "reader-7f3a";
pub(crate) const WRITER: &str = "writer-7f3a";

/// Its config file, with its secrets beside it.
pub(crate) fn config(dir: &TempDir) -> String {
    let secret = dir.path().join("secret");
    std::fs::write(&secret, "s3cret\n").unwrap();
    let caller = |name: &str, token: &str, scopes: &str| {
        let token = sha256(token);
        format!("[[auth.callers]]\nname = \"{name}\"\ntoken_sha256 = \"{token}\"\nscopes = [{scopes}]\n")
    };
    let callers = caller("full", FULL, "\"read\", \"write\"")
        + &caller("reader", READER, "\"read\"")
        + &caller("writer", WRITER, "\"write\"");
    let side = |name: &str| {
        format!("[auth.{name}]\nclient_id = \"{name}\"\nclient_secret_file = \"{}\"\n", secret.display())
    };
    format!("[auth]\nmode = \"client_credentials\"\n{}{}{callers}", side("legacy"), side("new"))
}

/// A vendor that gives each client the scopes of its own side only.
pub(crate) async fn vendor(options: Options) -> Sandbox {
    let legacy: &[&str] = &[READ, WRITE, "funding:read_profile"];
    vendor_with(&[("legacy", legacy), ("new", &[NEW_READ, NEW_WRITE])], options).await
}

/// The test bed, with a client that has every scope.
pub(crate) async fn start(options: Options, keys: Keys<'_>) -> (TestBed, TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("shim.toml");
    std::fs::write(&file, config(&dir)).unwrap();
    let mut all = vec![(FILE, file.to_str().unwrap())];
    all.extend_from_slice(keys);
    let mut bed = TestBed::before(vendor(options).await, &all, |_| {}).await;
    bed.client = bed.client.with_token(FULL);
    (bed, dir)
}
