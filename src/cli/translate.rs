//! `translate`: the mapping without the proxy, for the people who rewrite a client.

use std::io::Read as _;

use clap::Args;
use serde_json::Value;
use uuid::Uuid;

use super::exit::{FAILED, INPUT, OK};
use super::output::{complain, json_line, print, print_error};
use crate::translate::create::CreateRequest;
use crate::translate::get;
use crate::translate::list::ListQuery;
use crate::translate::paths::{CONVERSIONS, ORCHESTRATIONS};
use crate::translate::route::{self, Matched, Route};
use crate::translate::side::Side;

pub(super) fn about() -> String {
    format!(
        "\
Print the new request of a legacy request, or the legacy record of an orchestration. Nothing is sent.

  conversion-shim translate < create.json
  conversion-shim translate GET '/v2{CONVERSIONS}?created_at.begin=2026-04-20T11:00:00Z'
  conversion-shim translate POST /v2{CONVERSIONS} < create.json
  conversion-shim translate --back < orchestration.json"
    )
}

#[derive(Debug, Args)]
pub(super) struct TranslateArgs {
    /// GET, POST or DELETE; without it, the body of a create is read from standard input
    #[arg(requires = "target")]
    method: Option<http::Method>,
    /// PATH?QUERY as a client sends it, including the base path
    target: Option<String>,
    /// Translate an orchestration on standard input to a conversion
    #[arg(long, conflicts_with = "method")]
    back: bool,
    /// Base path of the clients' URLs
    #[arg(long, default_value = "/v2", value_name = "PATH")]
    base_path: String,
}

pub(super) fn run(arguments: &TranslateArgs) -> u8 {
    let translated = match (&arguments.method, &arguments.target) {
        _ if arguments.back => input().and_then(|body| back(&body)),
        (Some(method), Some(target)) => call(method, target, &arguments.base_path),
        _ => input().and_then(|body| create(&body, &arguments.base_path)),
    };
    match translated {
        Ok(text) => print(&text, OK),
        Err(TranslateError(code, message)) => {
            complain(message);
            code
        }
    }
}

/// Exit code and message.
struct TranslateError(u8, String);

type Translated = Result<String, TranslateError>;

fn invalid(message: impl std::fmt::Display) -> TranslateError {
    TranslateError(INPUT, message.to_string())
}

fn note(text: &str) {
    print_error(&format!("note: {text}\n"));
}

fn input() -> Result<Vec<u8>, TranslateError> {
    let mut body = Vec::new();
    let read = std::io::stdin().lock().read_to_end(&mut body);
    read.map_err(|error| TranslateError(FAILED, format!("standard input: {error}")))?;
    Ok(body)
}

fn call(method: &http::Method, target: &str, base_path: &str) -> Translated {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    match route::route(method, path, base_path) {
        Matched::Route(Route::Create, _) => create(&input()?, base_path),
        Matched::Route(Route::Get, id) => Ok(format!("GET {base_path}{}\n", id.path_on(Side::New))),
        Matched::Route(Route::List, _) => list(query, base_path),
        Matched::Route(Route::Cancel, id) => Err(invalid(format!(
            "the new API cannot cancel; the proxy reads {base_path}{} and answers 403, or 404",
            id.path_on(Side::New)
        ))),
        Matched::UnroutedWrite => Err(invalid(
            "not a request to one of the four routes, but a write to their paths: with a ledger, and wherever creates may go to the new API, \
             the proxy answers 404; otherwise it passes it through unchanged",
        )),
        Matched::PassThrough => {
            Err(invalid("not a request to one of the four routes; the proxy would pass it through unchanged"))
        }
    }
}

fn create(body: &[u8], base_path: &str) -> Translated {
    let request = CreateRequest::parse(body).map_err(invalid)?;
    if request.ref_id.is_none() {
        note("no ref_id, which the new API requires; the proxy generates one for every request");
    }
    let json = request.to_orchestration(&Uuid::new_v4().to_string());
    Ok(format!("POST {base_path}{ORCHESTRATIONS}\n\n{}", pretty(json.as_bytes())?))
}

fn list(query: &str, base_path: &str) -> Translated {
    let query = ListQuery::parse(query).map_err(invalid)?;
    if !query.updated.is_open() {
        note("the new API has no updated_at filter; the proxy filters the rows of the answer");
    }
    let translated = query.to_orchestrations(query.limit, None);
    let separator = if translated.is_empty() { "" } else { "?" };
    Ok(format!("GET {base_path}{ORCHESTRATIONS}{separator}{translated}\n"))
}

fn back(body: &[u8]) -> Translated {
    let mapped = get::answer(body).map_err(invalid)?.map_err(|reason| {
        invalid(format!("not visible to legacy clients: the old API could not have created it ({reason:?})"))
    })?;
    if let Some(status) = mapped.unknown_status {
        note(&format!("status {} is unknown; it is shown as CREATED", status.as_written()));
    }
    let mut json = Vec::new();
    mapped.conversion.write(&mut json);
    pretty(&json)
}

fn pretty(json: &[u8]) -> Translated {
    let value: Value = serde_json::from_slice(json).map_err(invalid)?;
    serde_json::to_string_pretty(&value).map(|text| json_line(&text)).map_err(invalid)
}
