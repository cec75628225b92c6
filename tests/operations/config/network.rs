//! What the loader says to keys that guard the edge: TLS, http upstreams, trusted proxies, caps.
use std::path::PathBuf;

use conversion_shim::config::load::{Loaded, Overlay, Sources, load};
use conversion_shim::config::{ClientAuth, ConfigProblem, TlsVersion};

fn set(flags: &[&str]) -> Result<Loaded, Vec<ConfigProblem>> {
    let flags = flags.iter().map(|flag| flag.parse().unwrap()).collect();
    load(&Sources { flags, ..Sources::default() })
}

/// The keys that are complained about.
fn refused(flags: &[&str]) -> Vec<String> {
    let problems = set(flags).map(|_| ()).unwrap_err();
    problems.into_iter().map(|problem| problem.key.to_string()).collect()
}

#[test]
fn an_upstream_over_http_is_refused_unless_it_is_allowed_or_on_this_machine() {
    for side in ["legacy", "new", "oauth"] {
        let key = format!("upstream.{side}.url");
        let clear = format!("{key}=http://api.example/v2");
        assert_eq!(refused(&[&clear]), [key.as_str()]);
        assert!(set(&[&clear, "upstream.allow_http=true"]).is_ok());
        for here in ["localhost:81", "127.0.0.1:81", "127.1.2.3", "[::1]:81"] {
            assert!(set(&[&format!("{key}=http://{here}/v2")]).is_ok(), "{here}");
        }
    }
    let problem = set(&["upstream.legacy.url=http://api.example/v2"]).map(|_| ()).unwrap_err().remove(0);
    assert!(problem.message.contains("upstream.allow_http"), "{problem}");
    let sandbox = Sources { overlay: Some(Overlay::Sandbox), ..Sources::default() };
    assert!(load(&sandbox).is_ok());
}

#[test]
fn keys_of_tls_that_mean_nothing_alone_are_refused() {
    let both = ["tls.certificate=/c", "tls.key=/k"];
    assert_eq!(refused(&["upstream.client_certificate=/c"]), ["upstream.client_certificate"]);
    assert_eq!(refused(&["upstream.client_key=/k"]), ["upstream.client_key"]);
    assert_eq!(refused(&[both[0], both[1], "tls.client_ca=/a"]), ["tls.client_ca"]);
    for asked in ["optional", "required"] {
        let asked = format!("tls.client_auth={asked}");
        assert_eq!(refused(&[both[0], both[1], &asked]), ["tls.client_auth"]);
        assert_eq!(refused(&["tls.client_ca=/a", &asked]), ["tls.client_auth"], "without TLS");
    }
    assert_eq!(refused(&[both[0], both[1], "tls.client_ca=/a", "tls.client_auth=on"]), ["tls.client_auth"]);
    assert_eq!(
        refused(&["tls.min_version=1.1", "upstream.tls_min_version=1"]),
        ["upstream.tls_min_version", "tls.min_version"]
    );
}

#[test]
fn what_is_said_of_tls_is_meant() {
    let flags = ["tls.certificate=/c", "tls.key=/k", "tls.client_ca=/a", "tls.client_auth=required"];
    let loaded =
        set(&[&flags[..], &["tls.min_version=1.3", "upstream.tls_min_version=1.3"]].concat()).unwrap();
    let tls = loaded.config.tls.as_ref().unwrap();
    assert!(matches!(&tls.client_auth, ClientAuth::Required(path) if path == &PathBuf::from("/a")));
    assert_eq!(
        (tls.min_version, loaded.config.upstream.tls_min_version),
        (TlsVersion::V1_3, TlsVersion::V1_3)
    );
    assert_eq!(tls.files(), ["/c", "/k", "/a"].map(PathBuf::from), "each is watched");
}

#[test]
fn trusted_proxies_are_networks() {
    let proxies = |named: &str| set(&[&format!("forwarding.trusted_proxies={named}")]);
    let loaded = proxies("10.0.0.0/8, 192.0.2.1/32,fd00::/8").unwrap();
    assert_eq!(loaded.config.forwarding.trusted_proxies.len(), 3);
    for wrong in ["10.0.0.1", "10.0.0.1/8", "10.0.0.0/33", "proxy.example", "*"] {
        assert!(proxies(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn caps_are_at_least_one_and_whole_seconds_are_asked_for() {
    for cap in ["all", "client", "create", "get", "list", "cancel", "pass_through"] {
        let key = format!("limits.in_flight.{cap}");
        assert_eq!(refused(&[&format!("{key}=0")]), [key.as_str()]);
    }
    assert_eq!(refused(&["limits.in_flight.retry_after=1500ms"]), ["limits.in_flight.retry_after"]);
    assert_eq!(refused(&["limits.headers_max=1"]), ["limits.headers_max"]);
    assert_eq!(refused(&["limits.http2_streams_max=0"]), ["limits.http2_streams_max"]);
}
