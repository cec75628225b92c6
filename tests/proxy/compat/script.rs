//! What every client does: the whole old API, then paths that pass through.
//!
//! One step a line, six columns between tabs: name, flags, method, path, query, body; `-` is none. `{token}`, `{id}` and `{created_at}`
//! come from earlier answers. Query and form hold plain values, which the client encodes as its stack does.
//!
//! | flag | the client |
//! |---|---|
//! | `save` | remembers token, or id and creation time, of the answer |
//! | `bare` | sends no token |
//! | `pages` | repeats with `page_cursor` while the answer has a cursor |
//! | `twenty` | asks twenty times |
//! | `chunked` | does not say the length of the body before |
//! | `gzip` | compresses the body |
//! | `stream` | reads the answer piece by piece |
//! | `expect` | sends `Expect: 100-continue` |
//!
//! | body | |
//! |---|---|
//! | `json:TEXT` | JSON |
//! | `form:FIELDS` | a form |
//! | `bytes:N` | so many bytes, each its position modulo 251 |
//! | `pad:N:TEXT` | JSON with spaces behind it, to so many bytes |
//!
//! A client prints one line an answer, five columns between tabs: step, status, version of HTTP, headers between bars, and the body: in
//! Base64, or, when longer than 16 KiB, as `sha256:LENGTH:DIGEST`. Without an answer the status is `error` and the body the error.

use conversion_shim::sandbox::{PROFILE, SECOND_PROFILE};
use serde_json::json;

use crate::support::wire::LEGACY;

/// The steps that may be answered before the body was read, which may cost the connection.
pub(crate) const EARLY: usize = 2;

pub(crate) fn steps() -> String {
    let all = [token(), writes(), reads(), refusals(), pass_through(), early_answers()].concat();
    all.iter().map(|step| step.join("\t") + "\n").collect()
}

type Step = [String; 6];

fn step(name: &str, flags: &str, method: &str, target: &str, body: &str) -> Step {
    let (path, query) = target.split_once('?').unwrap_or((target, "-"));
    [name, flags, method, path, query, body].map(str::to_owned)
}

fn get(name: &str, flags: &str, target: &str) -> Step {
    step(name, flags, "GET", target, "-")
}

fn echo(name: &str, flags: &str) -> Step {
    step(name, flags, "POST", "/sandbox/echo", "bytes:1048576")
}

fn create(name: &str, flags: &str, ref_id: &str, more: serde_json::Value) -> Step {
    let mut body = json!({
        "profile_id": PROFILE, "amount": "100.50", "source_asset": "USD", "target_asset": "PYUSD", "ref_id": ref_id,
    });
    body.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap_or_default());
    step(name, flags, "POST", LEGACY, &format!("json:{body}"))
}

fn token() -> Vec<Step> {
    let scope = "conversion:read_conversion_stablecoin conversion:write_conversion_stablecoin";
    let form =
        format!("form:grant_type=client_credentials&client_id=old&client_secret=a+b/c%=é&scope={scope}");
    vec![step("token", "save", "POST", "/oauth2/token", &form)]
}

fn writes() -> Vec<Step> {
    let mut steps = vec![
        create("create", "save", "compat-1", json!({ "metadata": { "zebra": "ü €", "apple": "2" } })),
        create("create_again", "-", "compat-1", json!({})),
        create("create_to_another", "-", "compat 2+ü", json!({ "recipient_profile_id": SECOND_PROFILE })),
        padded("create_chunked", "chunked", "compat-3", 2000),
        padded("create_expect", "expect", "compat-4", 2000),
    ];
    steps.extend((5..8).map(|n| create("create_more", "-", &format!("compat-{n}"), json!({}))));
    steps
}

/// A create with spaces behind it, to that length.
fn padded(name: &str, flags: &str, ref_id: &str, length: usize) -> Step {
    let mut step = create(name, flags, ref_id, json!({}));
    step[5] = step[5].replacen("json:", &format!("pad:{length}:"), 1);
    step
}

fn reads() -> Vec<Step> {
    let list = |name, flags, query: &str| get(name, flags, &format!("{LEGACY}?{query}"));
    let years = "created_at.begin=2020-01-01T01:00:00+01:00&created_at.end=2090-01-01T00:00:00.000Z";
    vec![
        get("get", "-", &format!("{LEGACY}/{{id}}")),
        list("list", "pages", "created_at.begin={created_at}&order=ASC&limit=2"),
        list("list_backwards", "pages", &format!("profile_id={PROFILE}&order=DESC&limit=3")),
        list("list_by_ref", "-", &format!("{years}&ref_id=compat 2+ü")),
        list("list_updated", "-", "updated_at.begin={created_at}&limit=100"),
        list("list_none", "-", "ref_id=nobody's, or no one's"),
        create("too_much", "-", "compat-x", json!({ "amount": "900000000" })),
        create("create_to_cancel", "save", "compat-9", json!({})),
        step("cancel", "-", "DELETE", &format!("{LEGACY}/{{id}}"), "-"),
        get("get_cancelled", "-", &format!("{LEGACY}/{{id}}")),
    ]
}

fn refusals() -> Vec<Step> {
    let nobody = format!("{LEGACY}/00000000-0000-4000-8000-000000000000");
    vec![
        get("get_unknown", "-", &nobody),
        step("cancel_unknown", "-", "DELETE", &nobody, "-"),
        create("without_target", "-", "compat-x", json!({ "target_asset": null })),
        create("amount_zero", "-", "compat-x", json!({ "amount": "0" })),
        create("amount_no_string", "-", "compat-x", json!({ "amount": 5 })),
        create(
            "unknown_profile",
            "-",
            "compat-x",
            json!({ "profile_id": "00000000-0000-4000-8000-000000000001" }),
        ),
        get("limit_zero", "-", &format!("{LEGACY}?limit=0")),
        get("without_token", "bare", LEGACY),
        create("create_without_token", "bare", "compat-x", json!({})),
        create("invalid_without_token", "bare", "compat-x", json!({ "amount": null })),
    ]
}

fn pass_through() -> Vec<Step> {
    vec![
        get("twenty", "twenty", "/v2/profiles"),
        step("head", "-", "HEAD", "/v2/profiles", "-"),
        get("no_such_path", "-", "/v2/no/such/path"),
        echo("echo", "-"),
        echo("echo_chunked", "chunked"),
        echo("echo_stream", "stream"),
        echo("echo_gzip", "gzip"),
        echo("echo_expect", "expect"),
    ]
}

fn early_answers() -> Vec<Step> {
    vec![
        padded("upload_without_token", "bare", "compat-x", 900 << 10),
        padded("too_long", "-", "compat-x", 4 << 20),
        get("afterwards", "-", "/v2/profiles"),
    ]
}
