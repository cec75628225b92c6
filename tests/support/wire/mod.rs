//! What the tests stand on: the proxy in this process, the proxy as a process, a client, and bare sockets. No second vendor.

pub(crate) mod binary;
pub(crate) mod caller;
pub(crate) mod frame_peer;
pub(crate) mod http2_client;
pub(crate) mod http2_peer;
pub(crate) mod raw;
pub(crate) mod scripted;
pub(crate) mod shim;
pub(crate) mod tls;

use std::time::Duration;

use conversion_shim::sandbox::{Options, PROFILE, Sandbox};
use serde_json::{Value, json};

use self::caller::Caller;
use self::shim::Shim;

pub(crate) const LEGACY: &str = "/v2/conversion/stablecoins";

/// A vendor whose conversions settle only when told, with 1000 USD in the default profile.
pub(crate) async fn vendor() -> Sandbox {
    vendor_with(Options::default()).await
}

pub(crate) async fn vendor_with(options: Options) -> Sandbox {
    let sandbox = Sandbox::start(Options { settle_after: Duration::MAX, ..options }).await.unwrap();
    assert!(sandbox.inspector().credit(PROFILE, "USD", "1000"));
    sandbox
}

/// The proxy before a vendor, and a client before the proxy.
pub(crate) struct TestBed {
    pub(crate) sandbox: Sandbox,
    pub(crate) shim: Shim,
    pub(crate) client: Caller,
}

/// A test bed at that stage, with further keys of the config.
pub(crate) async fn bed(stage: &str, more: &[(&str, &str)]) -> TestBed {
    before(vendor().await, stage, more).await
}

/// The proxy before that vendor.
pub(crate) async fn before(sandbox: Sandbox, stage: &str, more: &[(&str, &str)]) -> TestBed {
    let url = sandbox.base_url();
    let mut flags = vec![("stage", stage), ("upstream.legacy.url", &url), ("upstream.new.url", &url)];
    flags.extend_from_slice(more);
    let shim = Shim::start(&flags).await;
    let client = Caller::of(&format!("http://{}", shim.address));
    TestBed { sandbox, shim, client }
}

/// A legacy create.
pub(crate) fn conversion(ref_id: &str) -> Value {
    json!({
        "profile_id": PROFILE, "amount": "100", "source_asset": "USD", "target_asset": "PYUSD", "ref_id": ref_id,
        "metadata": { "zebra": "1", "apple": "2" },
    })
}
