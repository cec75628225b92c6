//! Callers that prove themselves by a client certificate, while the proxy holds the credentials: whom a certificate opens the door to,
//! and that one which is merely verified opens nothing.

use conversion_shim::config::reload::ReloadOutcome;
use conversion_shim::sandbox::{Operation, Sandbox};
use conversion_shim::translate::side::Side;
use reqwest::header::AUTHORIZATION;
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

use crate::support::wire::caller::{Answer, Caller, answer};
use crate::support::wire::shim::Shim;
use crate::support::wire::tls::{Authority, Identity, Pair};
use crate::support::wire::{LEGACY, conversion, vendor};

const TOKEN: &str = "payroll-7f3a";

/// A proxy that asks clients for certificates of one authority, and the certificates that it knows.
struct Door {
    sandbox: Sandbox,
    shim: Shim,
    server: Pair,
    /// May read and write, by certificate alone.
    full: Identity,
    /// May read, by certificate alone.
    reader: Identity,
    /// May read and write, with [`TOKEN`] and certificate together.
    both: Identity,
    /// Verified like the others, and nobody's.
    stranger: Identity,
    dir: TempDir,
}

fn fingerprint(identity: &Identity) -> String {
    hex(&identity.chain()[0])
}

fn hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Door {
    async fn open(stage: &str, asked: &str) -> Self {
        let (server, ours) = (Pair::new(), Authority::new("clients"));
        let [full, reader, both, stranger] = ["full", "reader", "both", "full"].map(|name| ours.signs(name));
        let (sandbox, dir) = (vendor().await, tempfile::tempdir().unwrap());
        let (certificate, key) = server.write(dir.path());
        let (url, token_url, ca) = (sandbox.base_url(), sandbox.token_url(), ours.write(dir.path()));
        let config = format!(
            "stage = \"{stage}\"
upstream.legacy.url = \"{url}\"
upstream.new.url = \"{url}\"
upstream.oauth.url = \"{token_url}\"
reload.poll_interval = \"1h\"
[tls]
certificate = \"{}\"
key = \"{}\"
client_ca = \"{}\"
client_auth = \"{asked}\"
[auth]
mode = \"client_credentials\"
legacy = {{ client_id = \"legacy\", client_secret = \"s3cret\" }}
new = {{ client_id = \"new\", client_secret = \"s3cret\" }}
[[auth.callers]]
name = \"full\"
certificate_sha256 = \"{}\"
scopes = [\"read\", \"write\"]
[[auth.callers]]
name = \"reader\"
certificate_sha256 = \"{}\"
scopes = [\"read\"]
[[auth.callers]]
name = \"both\"
certificate_sha256 = \"{}\"
token_sha256 = \"{}\"
scopes = [\"read\", \"write\"]
",
            certificate.display(),
            key.display(),
            ca.display(),
            fingerprint(&full),
            fingerprint(&reader),
            fingerprint(&both),
            hex(TOKEN.as_bytes()),
        );
        let file = dir.path().join("shim.toml");
        std::fs::write(&file, config).unwrap();
        let shim = Shim::start_with(Some(file), &[]).await;
        Self { sandbox, shim, server, full, reader, both, stranger, dir }
    }

    /// A client that shows this certificate, or none.
    fn with(&self, identity: Option<&Identity>) -> Caller {
        let mut http = self.server.trusting();
        if let Some(identity) = identity {
            let pem = identity.certificate.clone() + &identity.key;
            http = http.identity(reqwest::Identity::from_pem(pem.as_bytes()).unwrap());
        }
        Caller::with(&format!("https://{}", self.shim.address), http)
    }

    /// Everything that reached the vendor but token requests.
    fn calls(&self) -> usize {
        let seen = self.sandbox.inspector().requests();
        seen.iter().filter(|seen| seen.operation != Operation::Token).count()
    }
}

/// A read and a write without any token.
async fn bare(client: &Caller) -> [Answer; 2] {
    let without = |request: reqwest::RequestBuilder| {
        let (client, request) = request.build_split();
        let mut request = request.unwrap();
        request.headers_mut().remove(AUTHORIZATION);
        answer(reqwest::RequestBuilder::from_parts(client, request))
    };
    let create = client.ask(reqwest::Method::POST, LEGACY).body(conversion("r").to_string());
    [without(client.ask(reqwest::Method::GET, LEGACY)).await, without(create).await]
}

#[tokio::test]
async fn a_certificate_authenticates_the_caller_it_names() {
    for stage in ["observe", "sealed"] {
        for asked in ["required", "optional"] {
            let door = Door::open(stage, asked).await;
            let [read, written] = bare(&door.with(Some(&door.full))).await;
            assert_eq!((read.status, written.status), (200, 200), "{stage} {asked} {read:?} {written:?}");
            assert_eq!(door.calls(), 2);
        }
    }
}

#[tokio::test]
async fn a_certificate_that_is_merely_verified_opens_nothing() {
    let door = Door::open("sealed", "optional").await;
    for identity in [Some(&door.stranger), None] {
        let client = door.with(identity);
        for refused in bare(&client).await {
            refused.problem(401);
        }
        // Nor does saying that one has the right one.
        let claimed = client
            .ask(reqwest::Method::GET, LEGACY)
            .header("x-client-certificate-sha256", fingerprint(&door.full))
            .header("x-forwarded-client-cert", format!("Hash={}", fingerprint(&door.full)));
        answer(claimed).await.problem(401);
        client.get("/v2/profiles").await.problem(401);
    }
    assert_eq!(door.sandbox.inspector().requests().len(), 0, "not even a token was asked for");
}

#[tokio::test]
async fn a_reader_by_certificate_cannot_write() {
    for stage in ["observe", "sealed"] {
        let door = Door::open(stage, "required").await;
        let [read, written] = bare(&door.with(Some(&door.reader))).await;
        assert_eq!(read.status, 200, "{stage}");
        written.problem(403);
        let client = door.with(Some(&door.reader));
        client.delete(&format!("{LEGACY}/some-id")).await.problem(403);
        let inspector = door.sandbox.inspector();
        let posts = [Side::Legacy, Side::New].map(|side| inspector.arrived(side, Operation::Create));
        assert_eq!((posts, door.calls()), ([0, 0], 1), "{stage}");
    }
}

#[tokio::test]
async fn where_certificate_and_token_are_configured_both_are_required() {
    let door = Door::open("sealed", "optional").await;
    let only_certificate = door.with(Some(&door.both));
    for refused in bare(&only_certificate).await {
        refused.problem(401);
    }
    only_certificate.token("another").create("r").await.problem(401);
    for identity in [Some(&door.stranger), None] {
        door.with(identity).token(TOKEN).create("r").await.problem(401);
    }
    assert_eq!(door.sandbox.inspector().requests().len(), 0);
    // Another's certificate is another's right, whatever token comes with it.
    door.with(Some(&door.reader)).token(TOKEN).create("r").await.problem(403);
    assert_eq!(door.with(Some(&door.both)).token(TOKEN).create("r").await.status, 200);
}

#[tokio::test]
async fn the_vendor_never_sees_what_a_caller_showed() {
    let door = Door::open("observe", "required").await;
    assert_eq!(door.with(Some(&door.both)).token(TOKEN).create("r").await.status, 200);
    assert_eq!(door.with(Some(&door.both)).token(TOKEN).get("/v2/profiles").await.status, 200);
    for seen in door.sandbox.inspector().requests() {
        let arrived = format!("{:?} {} {:?}", seen.headers, seen.path_and_query, seen.body);
        assert!(!arrived.contains(TOKEN) && !arrived.contains(&fingerprint(&door.both)), "{arrived}");
    }
}

#[tokio::test]
async fn a_certificate_that_is_taken_out_counts_no_more_on_open_connections() {
    let door = Door::open("sealed", "required").await;
    let client = door.with(Some(&door.full));
    assert_eq!(client.create("r").await.status, 200);
    let file = door.dir.path().join("shim.toml");
    let config = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, config.replace(&fingerprint(&door.full), &hex(b"nobody's"))).unwrap();
    let outcome = door.shim.handle.reload().await.unwrap();
    assert!(matches!(outcome, ReloadOutcome::Accepted { .. }), "{outcome:?}");
    client.create("another").await.problem(401);
}
