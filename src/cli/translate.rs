//! `translate`: the mapping without the proxy, for the people who rewrite a client.

use std::io::Read as _;

use clap::Args;
use serde_json::Value;
use uuid::Uuid;

use super::{FAILED, INPUT, OK, complain, json_line, print};
use crate::translate::create::CreateRequest;
use crate::translate::get;
use crate::translate::list::ListQuery;
use crate::translate::paths::{self, ORCHESTRATIONS};
use crate::translate::route::{self, Matched, Route};

pub(super) const ABOUT: &str = "\
Show what a legacy request becomes, or what an orchestration is to a legacy client. Nothing is sent anywhere.

  conversion-shim translate < create.json
  conversion-shim translate GET '/v2/conversion/stablecoins?created_at.begin=2026-04-20T11:00:00Z'
  conversion-shim translate POST /v2/conversion/stablecoins < create.json
  conversion-shim translate --back < orchestration.json";

#[derive(Debug, Args)]
pub(super) struct TranslateArgs {
    /// GET, POST or DELETE; left out, a create is read from standard input
    #[arg(requires = "target")]
    method: Option<http::Method>,
    /// PATH?QUERY as a client sends it, with the base path
    target: Option<String>,
    /// The other way: an orchestration on standard input becomes a conversion
    #[arg(long, conflicts_with = "method")]
    back: bool,
    /// What clients have in their base URL
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
        Ok(text) => {
            print(&text);
            OK
        }
        Err((code, why)) => {
            complain(&format!("conversion-shim: {why}\n"));
            code
        }
    }
}

type Translated = Result<String, (u8, String)>;

fn cannot(why: impl std::fmt::Display) -> (u8, String) {
    (INPUT, why.to_string())
}

fn input() -> Result<Vec<u8>, (u8, String)> {
    let mut body = Vec::new();
    let read = std::io::stdin().lock().read_to_end(&mut body);
    read.map_err(|error| (FAILED, format!("standard input: {error}")))?;
    Ok(body)
}

fn call(method: &http::Method, target: &str, base_path: &str) -> Translated {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    match route::route(method, path, base_path) {
        Matched::Route(Route::Create, _) => create(&input()?, base_path),
        Matched::Route(Route::Get, id) => Ok(format!("GET {base_path}{}\n", paths::orchestration(&id))),
        Matched::Route(Route::List, _) => list(query, base_path),
        Matched::Route(Route::Cancel, id) => Err(cannot(format!(
            "the new API cannot cancel; the proxy reads {base_path}{} and answers 403, or 404",
            paths::orchestration(&id)
        ))),
        Matched::UnroutedWrite | Matched::PassThrough => {
            Err(cannot("this request is none of the four that are translated; it would go through untouched"))
        }
    }
}

fn create(body: &[u8], base_path: &str) -> Translated {
    let request = CreateRequest::parse(body).map_err(cannot)?;
    if request.ref_id.is_none() {
        complain(
            "note: no ref_id, which the new API requires; the proxy makes a new one for every request\n",
        );
    }
    let json = request.to_orchestration(&Uuid::new_v4().to_string());
    Ok(format!("POST {base_path}{ORCHESTRATIONS}\n\n{}", pretty(json.as_bytes())?))
}

fn list(query: &str, base_path: &str) -> Translated {
    let query = ListQuery::parse(query).map_err(cannot)?;
    if !query.updated.is_open() {
        complain("note: the new API has no updated_at filter; the proxy filters what comes back\n");
    }
    let asked = query.to_orchestrations(query.limit, None);
    let mark = if asked.is_empty() { "" } else { "?" };
    Ok(format!("GET {base_path}{ORCHESTRATIONS}{mark}{asked}\n"))
}

fn back(body: &[u8]) -> Translated {
    let mapped = get::answer(body).map_err(cannot)?.map_err(|why| {
        cannot(format!("no legacy client may see this: the old API could not have made it ({why:?})"))
    })?;
    if let Some(status) = mapped.unknown_status {
        complain(&format!("note: status {} is not known; it is shown as CREATED\n", status.as_written()));
    }
    let mut json = Vec::new();
    mapped.conversion.write(&mut json);
    pretty(&json)
}

fn pretty(json: &[u8]) -> Translated {
    let value: Value = serde_json::from_slice(json).map_err(cannot)?;
    serde_json::to_string_pretty(&value).map(|text| json_line(&text)).map_err(cannot)
}
