//! The contract as example pairs: every file of `tests/fixtures` is one rule of the mapping, before and after.
//!
//! One test a folder. A fixture that no test reads, that holds an unknown key or that expects nothing fails here.

mod fixture;
mod schema;

use conversion_shim::translate::create::{self, CreateRequest};
use conversion_shim::translate::evidence::lookup_path;
use conversion_shim::translate::list::ListQuery;
use conversion_shim::translate::list::page::PageBuilder;
use conversion_shim::translate::list::rows::{DroppedRows, Rows};
use conversion_shim::translate::mapping::{Mapped, NotAConversion};
use conversion_shim::translate::route::{Matched, Route, route};
use conversion_shim::translate::side::Side;
use conversion_shim::translate::{get, problem};
use fixture::{Body, assert_json, each, expect_ok};
use http::Method;
use schema::Specs;
use serde::Deserialize;

const FOLDERS: [&str; 7] = ["cancel", "create", "get", "list", "problem", "route", "status"];

#[test]
fn every_fixture_is_in_a_folder_that_a_test_reads() {
    let found: Vec<_> = fixture::names("").into_iter().filter(|name| name != "README.md").collect();
    assert_eq!(found, FOLDERS, "folders of tests/fixtures");
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Create {
    rule: String,
    legacy_request: Option<Body>,
    #[serde(default)]
    made_ref_id: String,
    new_request: Option<Body>,
    invalid: Option<String>,
    new_answer: Option<Body>,
    legacy_answer: Option<Body>,
    unreadable: Option<String>,
    unknown_status: Option<String>,
}

#[test]
fn create() {
    let specs = Specs::find();
    each("create", |name, case: Create| {
        assert!(!case.rule.is_empty(), "{name}: say which rule this shows");
        assert!(case.legacy_request.is_some() || case.new_answer.is_some(), "{name} shows nothing");
        assert_eq!(
            case.legacy_request.is_some(),
            case.new_request.is_some() != case.invalid.is_some(),
            "{name}: a request is translated or invalid"
        );
        if let Some(request) = &case.legacy_request {
            create_request(name, &case, &request.bytes(), &specs);
        }
        let answer = case.new_answer.as_ref().map(Body::bytes);
        let result = answer.as_deref().map(|body| create::answer(body).map_err(|error| error.to_string()));
        let (legacy, unreadable, unknown_status) = (case.legacy_answer, case.unreadable, case.unknown_status);
        check_answer(name, result, Expected { legacy, unreadable, unknown_status }, &specs);
    });
}

fn create_request(name: &str, case: &Create, body: &[u8], specs: &Specs) {
    let result = CreateRequest::parse(body).map_err(|invalid| invalid.to_string());
    if let Some(invalid) = &case.invalid {
        assert_eq!(result.err().as_ref(), Some(invalid), "{name}");
        return;
    }
    let new = expect_ok(name, result).to_orchestration(&case.made_ref_id);
    assert_json(name, "the new request", new.as_bytes(), case.new_request.as_ref().unwrap());
    specs.assert_new(name, "CreateOrchestrationRequest", new.as_bytes());
}

/// What a fixture expects of an answer: a legacy document, or the reason why it is unreadable.
struct Expected {
    legacy: Option<Body>,
    unreadable: Option<String>,
    unknown_status: Option<String>,
}

fn check_answer(name: &str, result: Option<Result<Mapped<'_>, String>>, expected: Expected, specs: &Specs) {
    let Expected { legacy, unreadable, unknown_status } = expected;
    let expected = usize::from(legacy.is_some()) + usize::from(unreadable.is_some());
    assert_eq!(expected, usize::from(result.is_some()), "{name}: an answer is mapped or unreadable");
    match (result, legacy) {
        (Some(result), Some(legacy)) => {
            let mapped = expect_ok(name, result);
            let mut out = Vec::new();
            mapped.conversion.write(&mut out);
            assert_json(name, "the legacy answer", &out, &legacy);
            let found = mapped.unknown_status.map(|status| status.as_written().to_owned());
            assert_eq!(found, unknown_status, "{name}: unknown status");
            specs.assert_legacy(name, "StablecoinConversion", &out);
        }
        (Some(result), None) => assert_eq!(result.err(), unreadable, "{name}"),
        (None, _) => {}
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Get {
    rule: String,
    new_answer: Body,
    legacy_answer: Option<Body>,
    not_found: Option<Hidden>,
    unreadable: Option<String>,
    unknown_status: Option<String>,
}

/// A record that is not there for a legacy client.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Hidden {
    because: String,
    id: String,
    problem: Body,
}

#[test]
fn get() {
    reads("get");
}

#[test]
fn status() {
    reads("status");
}

fn reads(folder: &str) {
    let specs = Specs::find();
    each(folder, |name, case: Get| {
        assert!(!case.rule.is_empty(), "{name}: say which rule this shows");
        let body = case.new_answer.bytes();
        match (get::answer(&body).map_err(|error| error.to_string()), case.not_found) {
            (Ok(Err(why)), hidden) => {
                let hidden = hidden.unwrap_or_else(|| panic!("{name}: hidden, because {why:?}"));
                assert_eq!(reason(why), hidden.because, "{name}");
                let problem = get::not_found(&hidden.id).to_json();
                assert_json(name, "the 404", &problem, &hidden.problem);
                specs.assert_legacy(name, "Problem", &problem);
            }
            (_, Some(_)) => panic!("{name}: expected to be hidden"),
            (result, None) => {
                let result = result.map(|shown| shown.expect("hidden is dealt with above"));
                let (legacy, unreadable, unknown_status) =
                    (case.legacy_answer, case.unreadable, case.unknown_status);
                check_answer(name, Some(result), Expected { legacy, unreadable, unknown_status }, &specs);
            }
        }
    });
}

fn reason(why: NotAConversion) -> &'static str {
    match why {
        NotAConversion::Source => "source",
        NotAConversion::Destination => "destination",
        NotAConversion::SameAsset => "same asset",
        NotAConversion::Rule => "rule",
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Cancel {
    rule: String,
    id: String,
    problem: Body,
}

#[test]
fn cancel() {
    let specs = Specs::find();
    each("cancel", |name, case: Cancel| {
        assert!(!case.rule.is_empty(), "{name}: say which rule this shows");
        let problem = get::cannot_be_cancelled(&case.id).to_json();
        assert_json(name, "the problem", &problem, &case.problem);
        specs.assert_legacy(name, "Problem", &problem);
    });
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Problem {
    rule: String,
    status: u16,
    new_answer: Body,
    legacy_answer: Body,
}

#[test]
fn problem() {
    let specs = Specs::find();
    each("problem", |name, case: Problem| {
        assert!(!case.rule.is_empty(), "{name}: say which rule this shows");
        let problem = problem::from_orchestrations(case.status, &case.new_answer.bytes()).to_json();
        assert_json(name, "the problem", &problem, &case.legacy_answer);
        specs.assert_legacy(name, "Problem", &problem);
    });
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RouteCase {
    rule: String,
    base_path: String,
    requests: Vec<Request>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Request {
    method: String,
    path: String,
    is: String,
}

#[test]
fn routes() {
    each("route", |name, case: RouteCase| {
        assert!(!case.rule.is_empty() && !case.requests.is_empty(), "{name} shows nothing");
        for Request { method, path, is } in case.requests {
            let matched = route(&Method::from_bytes(method.as_bytes()).unwrap(), &path, &case.base_path);
            let found = match matched {
                Matched::Route(Route::Create, _) => "create".to_owned(),
                Matched::Route(Route::List, _) => "list".to_owned(),
                Matched::Route(Route::Get, id) => format!("get {}", id.to_segment()),
                Matched::Route(Route::Cancel, id) => format!("cancel {}", id.to_segment()),
                Matched::UnroutedWrite => "unrouted-write".to_owned(),
                Matched::PassThrough => "pass-through".to_owned(),
            };
            assert_eq!(found, is, "{name}: {method} {path}");
        }
    });
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct List {
    rule: String,
    query: String,
    invalid: Option<String>,
    new_query: Option<String>,
    /// What the new side answers to the first call, the second, …
    #[serde(default)]
    new_answers: Vec<Body>,
    legacy_answer: Option<Body>,
    unreadable: Option<String>,
    #[serde(default)]
    never_conversions: usize,
    #[serde(default)]
    filtered: usize,
    #[serde(default)]
    unknown_statuses: Vec<String>,
}

#[test]
fn list() {
    let specs = Specs::find();
    each("list", |name, case: List| {
        assert!(!case.rule.is_empty(), "{name}: say which rule this shows");
        let expectations = [case.invalid.is_some(), case.new_query.is_some(), !case.new_answers.is_empty()];
        assert!(expectations.contains(&true), "{name} shows nothing");
        let result = ListQuery::parse(&case.query).map_err(|invalid| invalid.to_string());
        if case.invalid.is_some() {
            assert_eq!(result.err(), case.invalid, "{name}");
            return;
        }
        let query = expect_ok(name, result);
        if let Some(expected) = &case.new_query {
            assert_eq!(query.to_orchestrations(query.limit, None), *expected, "{name}");
        }
        if !case.new_answers.is_empty() {
            list_answers(name, &case, &query, &specs);
        }
    });
}

fn list_answers(name: &str, case: &List, query: &ListQuery, specs: &Specs) {
    let mut page = PageBuilder::new(query, &[Side::New]);
    for (at, answer) in case.new_answers.iter().enumerate() {
        assert_eq!(page.needs().len(), 1, "{name}: nobody asks for answer {at}");
        match Rows::of(Side::New, &answer.bytes(), query) {
            Ok(rows) => page.add(Side::New, rows),
            Err(error) => {
                assert_eq!(Some(error.to_string()), case.unreadable, "{name}");
                return;
            }
        }
    }
    assert_eq!(case.unreadable, None, "{name}");
    assert_eq!(page.needs(), [], "{name}: the page wants more answers");
    let finished = page.finish().unwrap();
    let expected = case.legacy_answer.as_ref().unwrap_or_else(|| panic!("{name} expects no answer"));
    assert_json(name, "the legacy answer", &finished.body, expected);
    specs.assert_legacy(name, "ListStablecoinConversionsResponse", &finished.body);
    let noticed = DroppedRows {
        mirrored: 0,
        never_conversions: case.never_conversions,
        filtered: case.filtered,
        unknown_statuses: case.unknown_statuses.clone(),
    };
    assert_eq!(finished.dropped, noticed, "{name}");
}

#[test]
fn a_lookup_by_reference_escapes_it() {
    let path = lookup_path(Side::New, "a b&ref_id=ü/1");
    assert_eq!(path, "/orchestration/orchestrations?ref_id=a%20b%26ref_id%3D%C3%BC%2F1");
}

#[test]
fn a_conflict_that_the_proxy_finds_reads_like_the_vendors() {
    let problem = problem::already_exists("it's \"mine\"", Some(br#"{"id":"1"}"#));
    let expected = concat!(
        r#"{"type":"https://developer.paxos.com/docs/v2/problems/already-exists","title":"Already Exists","status":409,"#,
        r#""detail":"conversion already exists with ref_id 'it's \"mine\"'","meta":{"existing":{"id":"1"}}}"#,
    );
    assert_eq!(String::from_utf8(problem.to_json()).unwrap(), expected);
}

#[test]
fn a_request_that_asks_for_what_exists_is_recognised() {
    let request = |json: &'static str| CreateRequest::parse(json.as_bytes()).unwrap();
    let asked = request(r#"{"profile_id":"p","amount":"100.0","source_asset":"USD","target_asset":"PYUSD"}"#);
    let directed = request(
        r#"{"profile_id":"p","amount":"100","source_asset":"USD","target_asset":"PYUSD","recipient_profile_id":"q"}"#,
    );
    let found = |amount: &str, profile: &str, target: &str, destination: &str| {
        format!(
            r#"{{"id":"1","profile_id":"p","source_asset":"USD","destination_asset":"{target}","source_amount":"{amount}",
            "status":"PROCESSING","source":{{"profile":{{"profile_id":"{profile}"}}}},
            "destination":{{"profile":{{"profile_id":"{destination}"}}}}}}"#
        )
    };
    for (request, json, same) in [
        (&asked, found("100", "p", "PYUSD", "p"), true),
        (&asked, found("0100.00", "\\u0070", "PYUSD", "p"), true),
        (&asked, found("100.01", "p", "PYUSD", "p"), false),
        (&asked, found("100", "x", "PYUSD", "x"), false),
        (&asked, found("100", "p", "USDG", "p"), false),
        (&asked, found("100", "p", "PYUSD", "q"), false),
        (&directed, found("100", "p", "PYUSD", "q"), true),
        (&directed, found("100", "p", "PYUSD", "p"), false),
        (&directed, found("100", "p", "PYUSD", "r"), false),
    ] {
        let found = create::answer(json.as_bytes()).unwrap().conversion;
        assert_eq!(request.asks_for(&found), same, "{json}");
    }
}
