//! One request from arrival to answer: noted, struck by faults, authorised, handled, distorted. Sockets live in `serve`.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::request::Parts;
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use serde_json::{Value, json};
use tokio::sync::watch;

use super::distort::{Body, halved, whole, wrong_types};
use super::faults::{ArmedState, FaultKind, Faults, Moment, RefusalBody};
use super::inspector::Inspector;
use super::listing::Query;
use super::oauth::Tokens;
use super::problem::Problem;
use super::records::View;
use super::requests::{Operation, Target, classify};
use super::{control, legacy, orchestrations};
use crate::translate::side::Side;

/// Larger request bodies are refused.
const MAXIMUM_BODY_BYTES: usize = 4 * 1024 * 1024;
const JSON: &str = "application/json";
const HTML: &str = "text/html; charset=utf-8";

/// What becomes of a request on its connection.
pub(super) enum Outcome {
    Answer(Response<Body>),
    Reset,
}

/// An answer before it is put on the wire.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    kind: &'static str,
    retry_after: Option<u64>,
    body: Bytes,
    half: bool,
}

impl Answer {
    fn new(status: StatusCode, kind: &'static str, body: impl Into<Bytes>) -> Self {
        Self { status, kind, retry_after: None, body: body.into(), half: false }
    }

    pub(super) fn json(status: StatusCode, body: &Value) -> Self {
        Self::new(status, JSON, body.to_string())
    }

    fn html(status: StatusCode) -> Self {
        Self::new(status, HTML, format!("<html><body><h1>{status}</h1></body></html>"))
    }

    fn into_response(self) -> Response<Body> {
        let mut response =
            Response::new(if self.half { halved(&self.body) } else { whole(self.body.clone()) });
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        if !self.body.is_empty() {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(self.kind));
        }
        if self.half {
            headers.insert(http::header::CONTENT_LENGTH, self.body.len().into());
        }
        if let Some(seconds) = self.retry_after {
            headers.insert(RETRY_AFTER, seconds.into());
        }
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

impl From<Problem> for Answer {
    fn from(problem: Problem) -> Self {
        Self::json(problem.status, &problem.body)
    }
}

/// A request that has arrived in full.
struct Arrived {
    target: Target,
    parts: Parts,
    body: Bytes,
}

/// The vendor: everything an answer needs.
pub(super) struct Vendor {
    pub(super) books: Inspector,
    pub(super) faults: Faults,
    pub(super) tokens: Tokens,
    /// Gone when the sandbox stops.
    pub(super) running: watch::Receiver<()>,
}

impl Vendor {
    /// Answers a request. Once it has arrived it is worked on to the end, whether or not the client waits for that.
    pub(super) async fn answer(self: Arc<Self>, request: Request<Incoming>) -> Outcome {
        let (parts, body) = request.into_parts();
        let body = match Limited::new(body, MAXIMUM_BODY_BYTES).collect().await {
            Ok(body) => body.to_bytes(),
            Err(_) => {
                return Outcome::Answer(Answer::new(StatusCode::PAYLOAD_TOO_LARGE, JSON, "").into_response());
            }
        };
        if parts.uri.path().starts_with("/sandbox/") {
            return Outcome::Answer(control::answer(&self, &parts, &body).into_response());
        }
        let (target, _) = classify(&parts.method, parts.uri.path());
        self.books.requests.note(target, &parts, body.clone());
        let head = parts.method == http::Method::HEAD;
        let arrived = Arrived { target, parts, body };
        let mut running = self.running.clone();
        let work = tokio::spawn(async move {
            tokio::select! {
                outcome = self.work(arrived) => outcome,
                _ = running.changed() => Outcome::Reset,
            }
        });
        match work.await.unwrap_or(Outcome::Reset) {
            // hyper holds the body of such an answer back on HTTP/1 alone.
            Outcome::Answer(response) if head => Outcome::Answer(response.map(|_| whole(Bytes::new()))),
            outcome => outcome,
        }
    }

    /// Faults that strike before, the work itself, faults that strike after.
    async fn work(&self, arrived: Arrived) -> Outcome {
        let striking = self.faults.striking(arrived.target);
        let acting = |moment| striking.iter().filter(move |armed| armed.fault.kind.moment() == moment);
        for armed in acting(Moment::Before) {
            match strike(armed).await {
                Strike::Pass => {}
                Strike::Reset => return Outcome::Reset,
                Strike::Instead(answer) => return Outcome::Answer(answer.into_response()),
            }
        }
        let mut view = View::default();
        for armed in acting(Moment::During) {
            armed.hit();
            match &armed.fault.kind {
                FaultKind::Lag(hidden) => view.hidden.push(*hidden),
                _ => view.ignore_filters = true,
            }
        }
        let mut answer = self.handle(&arrived, &view).unwrap_or_else(Answer::from);
        for armed in acting(Moment::After) {
            match strike(armed).await {
                Strike::Pass => distort(&armed.fault.kind, &mut answer),
                Strike::Reset => return Outcome::Reset,
                Strike::Instead(other) => answer = other,
            }
        }
        Outcome::Answer(answer.into_response())
    }

    fn handle(&self, arrived: &Arrived, view: &View) -> Result<Answer, Problem> {
        let (parts, body) = (&arrived.parts, &arrived.body);
        let (target, id) = classify(&parts.method, parts.uri.path());
        if target.1 == Operation::Token {
            let (status, body) = self.tokens.answer(&parts.headers, body);
            return Ok(Answer::json(status, &body));
        }
        let customer = &self.tokens.authorise(&parts.headers, target)?.customer;
        let id = id.unwrap_or_default();
        let query = Query::parse(parts.uri.query().unwrap_or_default());
        let (Some(side), operation) = target else { return self.other(parts, customer) };
        let done = self.books.with(|state| match (side, operation) {
            (Side::Legacy, Operation::Create) => legacy::create(state, customer, body),
            (Side::Legacy, Operation::Get) => legacy::get(state, customer, id, view),
            (Side::Legacy, Operation::List) => legacy::list(state, customer, &query, view),
            (Side::Legacy, Operation::Cancel) => legacy::cancel(state, customer, id),
            (Side::New, Operation::Create) => orchestrations::create(state, customer, body),
            (Side::New, Operation::Get) => orchestrations::get(state, customer, id, view),
            (Side::New, Operation::List) => orchestrations::list(state, customer, &query, view),
            _ => Err(unknown_path(parts)),
        })?;
        if matches!(operation, Operation::Create | Operation::Cancel) {
            self.books.requests.note_applied(target);
        }
        Ok(Answer::json(StatusCode::OK, &done))
    }

    /// The one thing beside the two APIs: a list of profiles, so that pass-through has something to show.
    fn other(&self, parts: &Parts, customer: &str) -> Result<Answer, Problem> {
        if parts.method != http::Method::GET || parts.uri.path() != "/v2/profiles" {
            return Err(unknown_path(parts));
        }
        let items: Vec<Value> =
            self.books.with(|state| state.vault.profiles(customer).map(|id| json!({ "id": id })).collect());
        Ok(Answer::json(StatusCode::OK, &json!({ "items": items })))
    }
}

fn unknown_path(parts: &Parts) -> Problem {
    let detail = format!("there is no {} {}", parts.method, parts.uri.path());
    Problem::plain(StatusCode::NOT_FOUND, detail)
}

enum Strike {
    Pass,
    Reset,
    Instead(Answer),
}

/// Carries out what a fault does to the request as a whole.
async fn strike(armed: &ArmedState) -> Strike {
    armed.hit();
    match armed.fault.kind {
        FaultKind::Delay { pause, .. } => {
            tokio::time::sleep(pause).await;
            Strike::Pass
        }
        FaultKind::Gate { .. } => {
            armed.wait().await;
            Strike::Pass
        }
        FaultKind::Reset { .. } => Strike::Reset,
        FaultKind::Status { code, retry_after, body, .. } => {
            let answer = match body {
                RefusalBody::Problem => Answer::from(Problem::plain(code, "on request")),
                RefusalBody::Html => Answer::html(code),
                RefusalBody::Empty => Answer::new(code, JSON, ""),
            };
            Strike::Instead(Answer { retry_after, ..answer })
        }
        _ => Strike::Pass,
    }
}

/// Spoils an answer that is on its way.
fn distort(kind: &FaultKind, answer: &mut Answer) {
    match kind {
        FaultKind::Truncate => answer.half = true,
        FaultKind::NotJson => *answer = Answer::html(StatusCode::OK),
        FaultKind::EmptyBody => *answer = Answer::new(StatusCode::OK, JSON, ""),
        FaultKind::WrongTypes => {
            let right = serde_json::from_slice(&answer.body).unwrap_or_default();
            *answer = Answer::json(StatusCode::OK, &wrong_types(right));
        }
        _ => {}
    }
}
