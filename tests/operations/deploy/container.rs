//! The image, and the machine that compose makes of it.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use serde_json::Value;

use super::settings::{COMPOSE, drain, files, port, run, settings};
use super::{read, repository, seconds, words, yaml};

const DOCKERFILE: &str = "deploy/Dockerfile";
const VERSION: &str = env!("CARGO_PKG_VERSION");

#[test]
fn the_image_is_built_by_the_toolchain_of_the_repository() {
    let toolchain = words("rust-toolchain.toml", "channel = ").remove(0).trim_matches('"').to_owned();
    assert!(read(DOCKERFILE).contains(&format!("FROM rust:{toolchain}-bookworm AS build")), "{toolchain}");
    assert_eq!(words(DOCKERFILE, "ENV "), [format!("RUSTUP_TOOLCHAIN={toolchain}")]);
}

#[test]
fn the_oldest_supported_rust_is_the_one_that_ci_builds_with() {
    let stated = env!("CARGO_PKG_RUST_VERSION");
    let toolchain = words("rust-toolchain.toml", "channel = ").remove(0).trim_matches('"').to_owned();
    assert!(toolchain.starts_with(&format!("{stated}.")), "{toolchain} is not {stated}");
    let documented = format!("- **Rust:** {stated} is the oldest version that is supported");
    assert!(read("docs/releasing.md").contains(&documented), "{documented}");
}

#[test]
fn what_the_build_reads_is_not_ignored() {
    let kept: Vec<_> =
        read(".dockerignore").lines().filter_map(|line| Some(line.strip_prefix('!')?.to_owned())).collect();
    assert_eq!(kept, ["Cargo.toml", "Cargo.lock", "benches", "config", "src"]);
    assert!(kept.iter().all(|path| repository(path).exists()));
}

#[test]
fn the_health_check_is_a_command_of_the_program() {
    let dockerfile = read(DOCKERFILE);
    let check = dockerfile
        .lines()
        .find_map(|line| line.trim().strip_prefix("CMD [\"/usr/local/bin/conversion-shim\", "));
    let check: Vec<String> = serde_json::from_str(&format!("[{}", check.unwrap())).unwrap();
    let mut check: Vec<&str> = check.iter().map(String::as_str).collect();
    let admin = check.pop().unwrap();
    assert_eq!(admin.rsplit(':').next().unwrap(), port(&settings(COMPOSE), "admin.listen").to_string());
    // Nobody listens there: it is refused, for a reason that is not the command line.
    let (code, said) = run(&[check, vec!["127.0.0.1:1"]].concat());
    assert_eq!(code, Some(1), "{said}");
}

#[test]
fn the_program_accepts_the_arguments_of_the_image() {
    let command = words(DOCKERFILE, "CMD [\"serve\",").join(" ");
    assert_eq!(command, r#""--config", "/etc/conversion-shim/conversion-shim.toml"]"#);
}

#[test]
fn compose_gives_the_proxy_what_its_config_asks_for() {
    let (compose, settings) = (yaml("deploy/compose.yaml"), settings(COMPOSE));
    let proxy = &compose["services"]["proxy"];
    assert_eq!(proxy["image"], format!("conversion-shim:{VERSION}"));
    for key in ["listen", "admin.listen"] {
        let published = format!("127.0.0.1:{0}:{0}", port(&settings, key));
        assert!(has(&proxy["ports"], &published), "{published}");
    }
    assert!(seconds(proxy["stop_grace_period"].as_str().unwrap()) > drain(&settings));
    assert!(proxy["ulimits"]["nofile"].as_u64().unwrap() > files(&settings));
    for secret in ["ledger-url", "redaction-key"] {
        assert!(read(COMPOSE).contains(&format!("\"/run/secrets/{secret}\"")), "{secret}");
        assert!(has(&proxy["secrets"], secret), "{secret}");
    }
    assert!(
        has(&proxy["volumes"], "./compose/config:/etc/conversion-shim:ro"),
        "a folder, or it would never reload"
    );
    assert_eq!((&proxy["read_only"], &proxy["cap_drop"][0]), (&true.into(), &"ALL".into()));
}

#[test]
fn every_secret_of_compose_is_made_by_the_script() {
    let (compose, script) = (yaml("deploy/compose.yaml"), read("deploy/compose/secrets/make"));
    for (name, secret) in compose["secrets"].as_object().unwrap() {
        assert_eq!(secret["file"], format!("./compose/secrets/{name}"));
        assert!(script.contains(name.as_str()), "{name}");
    }
}

#[test]
fn a_script_that_is_stopped_leaves_no_short_secret() {
    let dir = tempfile::tempdir().unwrap();
    let made = |name: &str| std::fs::read_to_string(dir.path().join(name)).unwrap_or_default();
    std::fs::copy(repository("deploy/compose/secrets/make"), dir.path().join("make")).unwrap();
    // A `tr` that dies halfway, as the machine may.
    let broken = dir.path().join("bin");
    std::fs::create_dir(&broken).unwrap();
    std::fs::write(broken.join("tr"), "#!/bin/sh\nprintf abc\nexit 1\n").unwrap();
    std::fs::set_permissions(broken.join("tr"), Permissions::from_mode(0o755)).unwrap();
    let usual = std::env::var("PATH").unwrap();
    let make = |path: &str| {
        Command::new(dir.path().join("make")).env("PATH", path).output().unwrap().status.success()
    };
    assert!(!make(&format!("{}:{usual}", broken.display())));
    assert_eq!(made("postgres-password"), "");
    assert!(make(&usual));
    for name in ["postgres-password", "grafana-password", "redaction-key"] {
        assert_eq!(made(name).len(), 48, "{name}");
    }
    let url = made("ledger-url");
    assert!(url.contains(&made("postgres-password")), "{url}");
    assert!(make(&usual), "once more");
    assert_eq!(made("ledger-url"), url, "what is there is kept");
    let left = std::fs::read_dir(dir.path()).unwrap().count();
    assert_eq!(left, 6, "four secrets, the script and the broken program");
}

#[test]
fn the_sandbox_of_the_image_answers_its_health_check() {
    let readme = read("deploy/README.md");
    let (_, command) = readme.split_once("docker run ").expect("the image is tried");
    let command = command.split("\n```").next().unwrap().replace("\\\n", " ");
    let arguments = command.split_once(&format!("conversion-shim:{VERSION} ")).unwrap().1;
    let port = port(&settings(COMPOSE), "admin.listen");
    assert!(arguments.contains("--sandbox") && arguments.contains(&format!("admin.listen=127.0.0.1:{port}")));
}

#[test]
fn prometheus_asks_the_proxy_where_it_answers() {
    let prometheus = yaml("deploy/prometheus/prometheus.yml");
    let asked = &prometheus["scrape_configs"][0];
    assert_eq!(asked["job_name"], "conversion-shim", "the alerts ask for this job");
    let admin = port(&settings(COMPOSE), "admin.listen");
    assert_eq!(asked["static_configs"][0]["targets"][0], format!("proxy:{admin}"));
}

fn has(list: &Value, text: &str) -> bool {
    list.as_array().unwrap().iter().any(|entry| entry == text)
}
