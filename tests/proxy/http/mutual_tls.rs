//! Who proves what to whom: clients to the proxy, the proxy to upstreams, and which versions of TLS that takes.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use conversion_shim::sandbox::Options;
use rustls::pki_types::ServerName;
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::support::soon;
use crate::support::wire::binary::Binary;
use crate::support::wire::shim::Shim;
use crate::support::wire::tls::{Authority, Identity, Pair};
use crate::support::wire::{before, vendor, vendor_with};

type Versions = [&'static SupportedProtocolVersion];

/// The status of `GET /v2/profiles`, asked with that certificate; an error when TLS fails.
async fn ask(
    address: SocketAddr,
    server: &Pair,
    versions: &Versions,
    own: Option<&Identity>,
) -> io::Result<String> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut roots = RootCertStore::empty();
    roots.add(server.der().to_vec().into()).unwrap();
    let config = ClientConfig::builder_with_protocol_versions(versions).with_root_certificates(roots);
    let config = match own {
        None => config.with_no_client_auth(),
        Some(own) => config.with_client_auth_cert(own.chain(), own.private()).unwrap(),
    };
    let talk = async {
        let stream = TcpStream::connect(address).await?;
        let name = ServerName::try_from("127.0.0.1").unwrap();
        let mut stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await?;
        stream
            .write_all(b"GET /v2/profiles HTTP/1.1\r\nhost: shim\r\nauthorization: Bearer sandbox\r\nconnection: close\r\n\r\n")
            .await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        Ok(answer.split(' ').nth(1).unwrap_or_default().to_owned())
    };
    soon(talk).await
}

/// The keys that make the proxy speak TLS with this certificate, and ask clients for one of that authority.
fn keys(
    server: &Pair,
    clients: &Authority,
    dir: &std::path::Path,
    asked: &str,
) -> Vec<(&'static str, String)> {
    let (certificate, key) = server.write(dir);
    let text = |path: std::path::PathBuf| path.to_str().unwrap().to_owned();
    vec![
        ("tls.certificate", text(certificate)),
        ("tls.key", text(key)),
        ("tls.client_ca", text(clients.write(dir))),
        ("tls.client_auth", asked.to_owned()),
    ]
}

#[tokio::test]
async fn clients_are_asked_for_a_certificate_as_configured() {
    let (server, ours, other) = (Pair::new(), Authority::new("clients"), Authority::new("clients"));
    let (known, stranger) = (ours.signs("wallet"), other.signs("wallet"));
    for (asked, without) in [("required", false), ("optional", true)] {
        let dir = tempfile::tempdir().unwrap();
        let keys = keys(&server, &ours, dir.path(), asked);
        let keys: Vec<_> = keys.iter().map(|(key, value)| (*key, value.as_str())).collect();
        let bed = before(vendor().await, "observe", &keys).await;
        for versions in [&[&TLS13][..], &[&TLS12]] {
            let ask = |own| ask(bed.shim.address, &server, versions, own);
            assert_eq!(ask(Some(&known)).await.unwrap(), "200", "{asked}");
            ask(Some(&stranger)).await.expect_err("of an authority that is not trusted");
            assert_eq!(ask(None).await.is_ok(), without, "{asked}");
        }
        let arrived = bed.sandbox.inspector().requests().len();
        assert_eq!(arrived, if without { 4 } else { 2 }, "{asked}: nothing passes a handshake that failed");
    }
}

#[tokio::test]
async fn a_certificate_is_logged_by_fingerprint_and_a_new_authority_applies_at_once() {
    let (server, ours, other) = (Pair::new(), Authority::new("one"), Authority::new("two"));
    let (known, later) = (ours.signs("wallet, \"x\""), other.signs("later"));
    let sandbox = vendor().await;
    let dir = tempfile::tempdir().unwrap();
    let url = sandbox.base_url();
    let mut keys = keys(&server, &ours, dir.path(), "required");
    keys.extend([("log.filter", "info,server=debug".to_owned()), ("upstream.legacy.url", url.clone())]);
    let keys: Vec<_> = keys.iter().map(|(key, value)| (*key, value.as_str())).collect();
    let shim = Binary::serve(tempfile::tempdir().unwrap(), "", &keys).await;
    assert_eq!(ask(shim.address, &server, &[&TLS13], Some(&known)).await.unwrap(), "200");
    let digest = Sha256::digest(&known.chain()[0]);
    let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    let verified = shim.line("client certificate verified").await;
    assert!(verified.contains(&hex) && verified.contains("CN=wallet"), "{verified}");
    let line = shim.line("\"message\":\"request\"").await;
    assert!(line.contains(&format!("\"client_certificate\":\"{hex}\"")), "{line}");
    ask(shim.address, &server, &[&TLS13], Some(&later)).await.expect_err("not yet");
    other.write(dir.path());
    shim.signal("HUP");
    shim.line("new certificates are in force").await;
    assert_eq!(ask(shim.address, &server, &[&TLS13], Some(&later)).await.unwrap(), "200");
    ask(shim.address, &server, &[&TLS13], Some(&known)).await.expect_err("no more");
}

#[tokio::test]
async fn an_older_version_of_tls_than_allowed_is_not_spoken_with_clients() {
    let (server, dir) = (Pair::new(), tempfile::tempdir().unwrap());
    let (certificate, key) = server.write(dir.path());
    let (certificate, key) = (certificate.to_str().unwrap(), key.to_str().unwrap());
    for (least, old_is_fine) in [("1.2", true), ("1.3", false)] {
        let keys = [("tls.certificate", certificate), ("tls.key", key), ("tls.min_version", least)];
        let bed = before(vendor().await, "observe", &keys).await;
        let address = bed.shim.address;
        assert_eq!(ask(address, &server, &[&TLS12], None).await.is_ok(), old_is_fine, "{least}");
        assert_eq!(ask(address, &server, &[&TLS13], None).await.unwrap(), "200", "{least}");
    }
}

/// The status that the proxy answers before an upstream with that TLS.
async fn through(upstream: Arc<rustls::ServerConfig>, trusted: &Pair, more: &[(&str, &str)]) -> u16 {
    let sandbox = vendor_with(Options { tls: Some(upstream), ..Options::default() }).await;
    let dir = tempfile::tempdir().unwrap();
    let (authority, _) = trusted.write(dir.path());
    let mut keys = vec![("upstream.ca_file", authority.to_str().unwrap())];
    keys.extend_from_slice(more);
    let bed = before(sandbox, "observe", &keys).await;
    bed.client.get("/v2/profiles").await.status
}

#[tokio::test]
async fn the_proxy_shows_its_certificate_to_upstreams_that_ask() {
    let (upstream, ours, other) = (Pair::new(), Authority::new("proxies"), Authority::new("others"));
    let server = || upstream.server_that(rustls::ALL_VERSIONS, Some(&ours));
    for (signed_by, status) in [(Some(&ours), 200), (Some(&other), 503), (None, 503)] {
        let dir = tempfile::tempdir().unwrap();
        let files = signed_by.map(|authority| authority.signs("proxy").write(dir.path()));
        let keys = files.as_ref().map_or_else(Vec::new, |(certificate, key)| {
            vec![
                ("upstream.client_certificate", certificate.to_str().unwrap()),
                ("upstream.client_key", key.to_str().unwrap()),
            ]
        });
        let answered = through(server(), &upstream, &keys).await;
        // With TLS 1.3 the refusal comes after the request has left.
        assert!(answered == status || (status == 503 && answered == 502), "{answered}");
    }
}

#[tokio::test]
async fn an_older_version_of_tls_than_allowed_is_not_spoken_with_upstreams() {
    let upstream = Pair::new();
    for (least, status) in [("1.2", 200), ("1.3", 503)] {
        let server = upstream.server_that(&[&TLS12], None);
        assert_eq!(through(server, &upstream, &[("upstream.tls_min_version", least)]).await, status);
    }
}

#[tokio::test]
async fn plain_http_is_not_answered_on_a_port_with_tls() {
    let (server, dir) = (Pair::new(), tempfile::tempdir().unwrap());
    let (certificate, key) = server.write(dir.path());
    let keys = [("tls.certificate", certificate.to_str().unwrap()), ("tls.key", key.to_str().unwrap())];
    let shim = Shim::start(&keys).await;
    let mut line = crate::support::wire::raw::RawConnection::to(shim.address).await;
    line.say("GET /v2/profiles HTTP/1.1\r\nhost: shim\r\n\r\n").await;
    let heard = line.rest_or_reset().await;
    assert!(!heard.starts_with(b"HTTP"), "{heard:?}");
}
