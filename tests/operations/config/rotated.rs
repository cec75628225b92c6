//! Secrets and certificates that are rotated under the real binary, which is not restarted.

use std::fmt::Write as _;
use std::process::Command;
use std::time::Duration;

use conversion_shim::sandbox::{Options, Sandbox};
use serde_json::Value;

use crate::support::postgres::Postgres;
use crate::support::process::{Config, Shim};
use crate::support::wire::tls::{Authority, Pair};
use crate::support::{ledger, soon};

async fn status_of(shim: &Shim) -> u16 {
    reqwest::get(shim.public("/v2/profiles")).await.unwrap().status().as_u16()
}

/// Asks until the vendor answers: 401, for there is no token.
async fn reaches_the_vendor(shim: &Shim) {
    soon(async {
        while status_of(shim).await != 401 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
}

fn refusals(shim: &Shim) -> Vec<Value> {
    let refused = "new certificates are refused; the old ones stay in force";
    shim.log().into_iter().filter(|line| line["message"] == refused).collect()
}

#[tokio::test]
async fn authority_and_identity_towards_upstreams_are_read_again() {
    let (upstream, ours) = (Pair::new(), Authority::new("proxies"));
    let tls = upstream.server_that(rustls::ALL_VERSIONS, Some(&ours));
    let vendor = Sandbox::start(Options { tls: Some(tls), ..Options::default() }).await.unwrap();
    let config = Config::new(&vendor);
    let folder = tempfile::tempdir().unwrap();
    let old = tempfile::tempdir().unwrap();
    let (authority, _) = Pair::new().write(folder.path());
    let (certificate, key) = Authority::new("others").signs("proxy").write(folder.path());
    let mut keys = String::from("stage = \"observe\"\n");
    for (name, path) in [("ca_file", &authority), ("client_certificate", &certificate), ("client_key", &key)]
    {
        writeln!(keys, "upstream.{name} = \"{}\"", path.display()).unwrap();
    }
    config.write(&keys);
    let shim = Shim::start(&config).await;
    assert!(status_of(&shim).await >= 502, "neither trusts the other");
    // Half of it: the new certificate beside the old key.
    let (new_authority, _) = upstream.write(old.path());
    std::fs::copy(new_authority, &authority).unwrap();
    let new = ours.signs("proxy");
    std::fs::write(&certificate, &new.certificate).unwrap();
    shim.logged("new certificates are refused; the old ones stay in force").await;
    let reported = refusals(&shim);
    assert!(
        reported[0]["error"].as_str().unwrap().starts_with("upstream.client_certificate /"),
        "{reported:?}"
    );
    assert!(status_of(&shim).await >= 502);
    std::fs::write(&key, &new.key).unwrap();
    reaches_the_vendor(&shim).await;
    // One that cannot be read changes nothing, and what comes in its place is found.
    std::fs::remove_file(&authority).unwrap();
    shim.logged("watched file cannot be read, the last one stays").await;
    assert_eq!(status_of(&shim).await, 401);
}

fn psql(postgres: &Postgres, url: &str, statement: &str) {
    let mut command = postgres.command("psql");
    run(command.args([url, "-c", statement]));
}

fn run(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{output:?}");
}

async fn is_refused(shim: &Shim, why: &str) {
    let refused = "config refused, nothing changed";
    shim.line_that(why, |line| line["message"] == refused && line.to_string().contains(why)).await;
}

/// The password of the database is changed by changing the user: the test's server trusts every user that may log in.
#[tokio::test]
async fn another_user_of_the_ledgers_database_is_taken_over_even_where_the_old_one_is_refused() {
    let Some(postgres) = Postgres::shared() else { return };
    let _ = rustls::crypto::ring::default_provider().install_default();
    let vendor = Sandbox::start(Options::default()).await.unwrap();
    let url = postgres.fresh_database();
    ledger::make(&url, false);
    let database = url.rsplit('/').next().unwrap().split('?').next().unwrap().to_owned();
    let (one, two) = (format!("one_{database}"), format!("two_{database}"));
    for user in [&one, &two] {
        psql(postgres, &url, &format!("CREATE ROLE \"{user}\" SUPERUSER LOGIN"));
    }
    let of = |user: &str| {
        let separator = if url.contains('?') { '&' } else { '?' };
        format!("{url}{separator}user={user}")
    };
    let config = Config::new(&vendor);
    let secret = config.file("url", &of(&one));
    let id = ledger::ID;
    config.write_only(&format!(
        "stage = \"observe\"\nadmin.listen = \"127.0.0.1:0\"\nledger.url_file = \"{}\"\nledger.id = \"{id}\"\n",
        secret.display()
    ));
    let shim = Shim::start(&config).await;
    // A user that the database does not know: the old one stays.
    std::fs::write(&secret, of("nobody")).unwrap();
    let refused = shim.logged("config refused, nothing changed").await;
    assert_eq!(refused["key"], "ledger.url", "{refused}");
    assert!(
        refused["source"].as_str().unwrap().contains("/url") && !refused.to_string().contains("nobody\""),
        "{refused}"
    );
    // A user whose search path leads to a copy of the claims, and one that may not write them.
    let (copy, reader) = (format!("copy_{database}"), format!("reader_{database}"));
    psql(postgres, &url, &format!("CREATE ROLE \"{copy}\" SUPERUSER LOGIN"));
    psql(postgres, &url, &format!("CREATE SCHEMA \"{copy}\""));
    psql(postgres, &url, &format!("CREATE TABLE \"{copy}\".ref_claims AS SELECT * FROM public.ref_claims"));
    psql(postgres, &url, &format!("CREATE ROLE \"{reader}\" LOGIN"));
    psql(postgres, &url, &format!("GRANT SELECT ON ALL TABLES IN SCHEMA public TO \"{reader}\""));
    for (user, why) in [(&copy, "search_path"), (&reader, "may not write")] {
        std::fs::write(&secret, of(user)).unwrap();
        is_refused(&shim, why).await;
    }
    psql(postgres, &url, &format!("ALTER ROLE \"{one}\" NOLOGIN"));
    psql(
        postgres,
        &url,
        &format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{one}'"),
    );
    shim.logged("the ledger fails; creates are refused until it works again").await;
    std::fs::write(&secret, of(&two)).unwrap();
    let reloaded = shim.logged("config reloaded").await;
    assert_eq!(reloaded["keys"], "ledger.url", "{reloaded}");
    shim.logged("the ledger works again").await;
}

/// Opening a pipe that nobody writes to would hold the thread that reads, and with it every reload.
#[tokio::test]
async fn a_pipe_in_place_of_a_secret_is_refused_until_a_file_is_there_again() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let vendor = Sandbox::start(Options::default()).await.unwrap();
    let config = Config::new(&vendor);
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("key");
    std::fs::write(&key, "a key of some length, for the test").unwrap();
    let named = format!("shadow.redaction_key_file = \"{}\"\n", key.display());
    config.write(&format!("stage = \"observe\"\n{named}"));
    let shim = Shim::start(&config).await;
    std::fs::remove_file(&key).unwrap();
    run(Command::new("mkfifo").arg(&key));
    let refused = shim.logged("config refused, nothing changed").await;
    assert_eq!(refused["key"], "shadow.redaction_key_file", "{refused}");
    assert!(refused["problem"].as_str().unwrap().contains("not a regular file"), "{refused}");
    assert_eq!(status_of(&shim).await, 401);

    std::fs::remove_file(&key).unwrap();
    std::fs::write(&key, "another key of some length").unwrap();
    shim.logged("config reloaded").await;
    config.write(&format!("stage = \"shadow\"\n{named}"));
    shim.logged("mode changed").await;
}
