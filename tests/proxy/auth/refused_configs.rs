//! What the loader says of `[auth]`: everything that is wrong at once, each with its key, and never a secret.

use super::*;
use conversion_shim::config::explain;
use conversion_shim::config::load::{Loaded, Sources, load};

fn loaded(text: &str) -> Result<Loaded, Vec<String>> {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("shim.toml");
    std::fs::write(&file, text.replace("DIR", dir.path().to_str().unwrap())).unwrap();
    std::fs::write(dir.path().join("empty"), " \n").unwrap();
    let messages = |problems: Vec<conversion_shim::config::ConfigProblem>| {
        let folder = dir.path().to_str().unwrap();
        let text = |it: &conversion_shim::config::ConfigProblem| {
            format!("{}: {}", it.key, it.message.replace(folder, "DIR"))
        };
        problems.iter().map(text).collect()
    };
    load(&Sources { file: Some(file), ..Sources::default() }).map_err(messages)
}

fn refused(text: &str) -> Vec<String> {
    let problems = loaded(text).expect_err(text);
    assert!(!format!("{problems:?}").contains("hunter2"), "{problems:?}");
    problems
}

#[test]
fn own_credentials_without_caller_authentication_are_refused() {
    let problems = refused(
        "[auth]\nmode = \"client_credentials\"\nscopes = \"some\"\ntoken_path = \"token\"\ntimeout = \"0s\"",
    );
    let keys: Vec<_> = problems.iter().map(|problem| problem.split_once(": ").unwrap().0).collect();
    assert_eq!(
        keys,
        ["auth.token_path", "auth.scopes", "auth.timeout"],
        "what can be judged alone comes first"
    );
    let problems = refused("[auth]\nmode = \"client_credentials\"");
    assert_eq!(
        problems,
        [
            "auth.callers: is empty while auth.mode is client_credentials: everyone could use the proxy's credentials; list who \
             may call",
            "auth.legacy.client_id: is required while auth.mode is client_credentials",
            "auth.new.client_id: is required while auth.mode is client_credentials",
        ]
    );
}

#[test]
fn half_a_client_is_refused() {
    for (text, problem) in [
        ("[auth.new]\nclient_id = \"a\"", "auth.new.client_secret: is required with auth.new.client_id"),
        (
            "[auth.new]\nclient_secret = \"hunter2\"",
            "auth.new.client_id: is required with auth.new.client_secret",
        ),
        (
            "[auth.lookup]\nclient_id = \"a\"\nclient_secret_file = \"DIR/empty\"",
            "auth.lookup.client_secret_file: names an empty file, DIR/empty",
        ),
        (
            "[auth.legacy]\nclient_id = \"a\"\nclient_secret = \"hunter2\"\nclient_secret_file = \"DIR/empty\"",
            "auth.legacy.client_secret_file: is set while auth.legacy.client_secret is set too; keep one of them",
        ),
        (
            "[auth.lookup]\nscopes = [\"a b\"]",
            "auth.lookup.scopes: has a scope with a blank in it; write a list of scopes",
        ),
        (
            "[auth]\ntoken_path = \"/v2/conversion/x\"",
            "auth.token_path: is /v2/conversion or below it, which are the paths of the conversions",
        ),
    ] {
        assert_eq!(refused(text), [problem], "{text}");
    }
    let missing = refused("[auth.lookup]\nclient_id = \"a\"\nclient_secret_file = \"/nowhere/at/all\"");
    assert!(
        missing[0].starts_with(
            "auth.lookup.client_secret_file: names a file that cannot be read, /nowhere/at/all: "
        ),
        "{missing:?}"
    );
}

#[test]
fn a_secret_by_flag_is_refused() {
    let flag = |key: &str, value: &str| conversion_shim::config::load::Flag::new("--set", key, value);
    let flags = vec![flag("auth.lookup.client_id", "a"), flag("auth.lookup.client_secret", "hunter2")];
    let problems = load(&Sources { flags, ..Sources::default() }).unwrap_err();
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(problems[0].to_string().contains("other users of the machine"), "{problems:?}");
    assert!(!format!("{problems:?}").contains("hunter2"));
    let name = |key: &str| format!("SHIM_AUTH__LOOKUP__{key}");
    let environment = vec![(name("CLIENT_ID"), "a".into()), (name("CLIENT_SECRET"), "hunter2".into())];
    let loaded = load(&Sources { environment, ..Sources::default() }).unwrap();
    assert!(!format!("{:?} {loaded:?}", explain(&loaded)).contains("hunter2"));
}

#[test]
fn a_caller_that_cannot_be_right_is_refused() {
    let digest = sha256("t");
    let caller = |fields: &str| refused(&format!("[[auth.callers]]\n{fields}"));
    for (fields, message) in [
        ("scopes = [\"read\"]".to_owned(), "has no name"),
        ("name = \" a\"".to_owned(), "has no name"),
        ("name = \"a\"\nscopes = [\"read\"]".to_owned(), "neither token_sha256 nor certificate_sha256"),
        (
            "name = \"a\"\ntoken_sha256 = \"hunter2\"\nscopes = [\"read\"]".to_owned(),
            "token_sha256 is not 64 hex digits",
        ),
        (format!("name = \"a\"\ntoken_sha256 = \"{digest}\""), "scopes must be"),
        (format!("name = \"a\"\ntoken_sha256 = \"{digest}\"\nscopes = [\"admin\"]"), "scopes must be"),
        (format!("name = \"a\"\ntoken_sha256 = \"{digest}\"\nscopes = []"), "scopes must be"),
        ("name = \"a\"\ntoken = \"hunter2\"\nscopes = [\"read\"]".to_owned(), "\"token\" is none of name"),
        ("name = 7".to_owned(), "name must be text"),
    ] {
        let problems = caller(&fields);
        assert!(problems.len() == 1 && problems[0].starts_with("auth.callers: number 1: "), "{problems:?}");
        assert!(problems[0].contains(message), "{problems:?}");
    }
    let one = |name: &str, token: &str| {
        format!(
            "[[auth.callers]]\nname = \"{name}\"\ntoken_sha256 = \"{}\"\nscopes = [\"read\"]\n",
            sha256(token)
        )
    };
    assert_eq!(refused(&(one("a", "1") + &one("a", "2"))), ["auth.callers: names \"a\" twice"]);
    assert_eq!(
        refused(&(one("a", "1") + &one("b", "1"))),
        ["auth.callers: has the same credentials for \"a\" and \"b\""]
    );
    assert!(refused("[auth]\ncallers = [\"a\"]")[0].contains("[[auth.callers]]"));
}

#[test]
fn callers_are_shown_without_their_secrets() {
    let one = format!(
        "[[auth.callers]]\nname = \"a\"\ntoken_sha256 = \"{}\"\nscopes = [\"read\", \"write\"]\n",
        sha256("t")
    );
    let first = loaded(&one).unwrap();
    let row = explain(&first).into_iter().find(|row| row.key == "auth.callers").unwrap();
    assert_eq!(row.value, format!("a (read,write) token {}", &sha256("t")[..12]));
    let second = loaded(&one.replace(&sha256("t"), &sha256("u"))).unwrap();
    assert_ne!(first.hash(), second.hash(), "another token is another config");
}

#[test]
fn a_caller_certificate_without_client_authentication_is_refused() {
    let caller = format!(
        "[[auth.callers]]\nname = \"a\"\ncertificate_sha256 = \"{}\"\nscopes = [\"read\"]\n",
        sha256("c")
    );
    let message = "auth.callers: has a certificate_sha256, and clients are not asked for a certificate; set tls.client_auth and \
                   tls.client_ca";
    let served = "[tls]\ncertificate = \"/c\"\nkey = \"/k\"\n";
    for tls in [String::new(), served.to_owned(), format!("{served}client_auth = \"off\"\n")] {
        assert_eq!(refused(&(caller.clone() + &tls)), [message], "{tls}");
        // A token beside it does not help: what is configured must match, all of it.
        let with_token = caller.replace("scopes", &format!("token_sha256 = \"{}\"\nscopes", sha256("t")));
        assert_eq!(refused(&(with_token + &tls)), [message], "{tls}");
    }
    for asked in ["optional", "required"] {
        let tls = format!("{served}client_ca = \"/a\"\nclient_auth = \"{asked}\"\n");
        assert!(loaded(&(caller.clone() + &tls)).is_ok(), "{asked}");
    }
}
