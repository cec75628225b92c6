//! One request from arrival to answer: recorded, then faults before it, authorization, the API, faults after it. The network is in
//! `serve`.

use std::sync::Arc;

use bytes::Bytes;
use http::request::Parts;
use http::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::sync::watch;

use super::fault::{FaultKind, Moment, RefusalBody};
use super::faults::{ArmedFault, Faults};
use super::inspector::Inspector;
use super::json::merge;
use super::list_query::QueryParameters;
use super::operation::{Operation, OperationTarget, classify};
use super::presentation::present;
use super::problem::VendorProblem;
use super::profiles::{self, unknown_path};
use super::records::ReadView;
use super::response::VendorResponse;
use super::state::VendorState;
use super::tokens::TokenIssuer;
use super::variants::Variants;
use super::{legacy, orchestrations};
use crate::translate::side::Side;

/// What `serve` does with the connection.
pub(super) enum VendorOutcome {
    Response(VendorResponse),
    Reset,
}

impl From<VendorResponse> for VendorOutcome {
    fn from(answer: VendorResponse) -> Self {
        Self::Response(answer)
    }
}

/// A request with its whole body.
struct Arrived {
    target: OperationTarget,
    parts: Parts,
    body: Bytes,
}

pub(super) struct Vendor {
    pub(super) inspector: Inspector,
    pub(super) faults: Faults,
    pub(super) tokens: TokenIssuer,
    /// Closed when the sandbox stops.
    pub(super) running: watch::Receiver<()>,
}

impl Vendor {
    /// Answers a request. It is handled to the end even if the client disconnects, as a real vendor would.
    pub(super) async fn answer(self: Arc<Self>, parts: Parts, body: Bytes) -> VendorOutcome {
        let (target, _) = classify(&parts.method, parts.uri.path());
        self.inspector.requests.record(target, &parts, body.clone());
        let is_head = parts.method == Method::HEAD;
        let arrived = Arrived { target, parts, body };
        let mut running = self.running.clone();
        let in_progress = self.inspector.requests.begin();
        let work = tokio::spawn(async move {
            let _in_progress = in_progress;
            tokio::select! {
                outcome = self.process(arrived) => outcome,
                _ = running.changed() => VendorOutcome::Reset,
            }
        });
        match work.await.unwrap_or(VendorOutcome::Reset) {
            // hyper drops the body of an answer to HEAD on HTTP/1 only.
            VendorOutcome::Response(answer) if is_head => VendorOutcome::Response(answer.without_body()),
            outcome => outcome,
        }
    }

    async fn process(&self, arrived: Arrived) -> VendorOutcome {
        let faults = self.faults.affecting(arrived.target);
        let acting = |moment| faults.iter().filter(move |fault| fault.kind().moment() == moment);
        for fault in acting(Moment::Before) {
            match act(fault).await {
                FaultEffect::Continue => {}
                FaultEffect::Reset => return VendorOutcome::Reset,
                FaultEffect::Replace(answer) => return answer.into(),
            }
        }
        let view = read_view(acting(Moment::During));
        let mut answer = self.handle(&arrived, &view).unwrap_or_else(VendorResponse::from);
        for fault in acting(Moment::After) {
            match act(fault).await {
                FaultEffect::Continue => distort(fault.kind(), &mut answer),
                FaultEffect::Reset => return VendorOutcome::Reset,
                FaultEffect::Replace(other) => answer = other,
            }
        }
        answer.into()
    }

    fn handle(&self, arrived: &Arrived, view: &ReadView) -> Result<VendorResponse, VendorProblem> {
        let Arrived { target, parts, body } = arrived;
        if target.1 == Operation::Token {
            let Variants { granted_scopes, token_members, .. } = self.inspector.variants();
            let (status, mut body) = self.tokens.answer(&parts.headers, body, granted_scopes);
            if let Some(answer) = body.as_object_mut() {
                answer.extend(token_members);
            }
            return Ok(VendorResponse::json(status, &body));
        }
        let customer = &self.tokens.authorize(&parts.headers, *target)?.customer;
        let (Some(side), operation) = *target else { return self.beside(arrived, customer) };
        let (result, variants) = self.inspector.with(|state| {
            let result = match side {
                Side::Legacy => call_legacy(state, customer, arrived, view),
                Side::New => call_new(state, customer, arrived, view),
            };
            (result, state.variants.clone())
        });
        if result.is_ok() && matches!(operation, Operation::Create | Operation::Cancel) {
            self.inspector.requests.record_applied(*target);
        }
        Ok(present(&variants, side, operation, result))
    }

    /// The paths outside the two APIs, so that pass-through has something to answer.
    fn beside(&self, arrived: &Arrived, customer: &str) -> Result<VendorResponse, VendorProblem> {
        let Arrived { parts, body, .. } = arrived;
        let answer = self.inspector.with(|state| profiles::answer(state, customer, (parts, body)));
        let body = answer.unwrap_or_else(|| Err(unknown_path(parts)))?;
        Ok(VendorResponse::json(StatusCode::OK, &body))
    }
}

impl Arrived {
    fn id(&self) -> &str {
        classify(&self.parts.method, self.parts.uri.path()).1.unwrap_or_default()
    }

    fn query(&self, variants: &Variants) -> QueryParameters {
        QueryParameters::parse(self.parts.uri.query().unwrap_or_default(), variants.plus_is_literal)
    }
}

fn call_legacy(
    state: &mut VendorState,
    customer: &str,
    arrived: &Arrived,
    view: &ReadView,
) -> Result<Value, VendorProblem> {
    match arrived.target.1 {
        Operation::Create => legacy::create(state, customer, &arrived.body),
        Operation::Get => legacy::get(state, customer, arrived.id(), view),
        Operation::List => legacy::list(state, customer, &arrived.query(&state.variants), view),
        Operation::Cancel => legacy::cancel(state, customer, arrived.id()),
        Operation::Token | Operation::Other => Err(unknown_path(&arrived.parts)),
    }
}

fn call_new(
    state: &mut VendorState,
    customer: &str,
    arrived: &Arrived,
    view: &ReadView,
) -> Result<Value, VendorProblem> {
    match arrived.target.1 {
        Operation::Create => orchestrations::create(state, customer, &arrived.body),
        Operation::Get => orchestrations::get(state, customer, arrived.id(), view),
        Operation::List => orchestrations::list(state, customer, &arrived.query(&state.variants), view),
        Operation::Cancel | Operation::Token | Operation::Other => Err(unknown_path(&arrived.parts)),
    }
}

/// What a fault does to the request as a whole.
enum FaultEffect {
    Continue,
    Reset,
    Replace(VendorResponse),
}

async fn act(fault: &ArmedFault) -> FaultEffect {
    fault.hit();
    match *fault.kind() {
        FaultKind::Delay { pause, .. } => {
            tokio::time::sleep(pause).await;
            FaultEffect::Continue
        }
        FaultKind::Gate { .. } => {
            fault.wait().await;
            FaultEffect::Continue
        }
        FaultKind::Reset { .. } => FaultEffect::Reset,
        FaultKind::Status { code, retry_after, body, .. } => {
            let answer = match body {
                RefusalBody::Problem => VendorResponse::from(VendorProblem::plain(code, "on request")),
                RefusalBody::Html => VendorResponse::html(code),
                RefusalBody::Empty => VendorResponse::empty(code),
                RefusalBody::UnknownType => VendorResponse::from(VendorProblem::undocumented(code)),
            };
            FaultEffect::Replace(answer.retry_after(retry_after))
        }
        FaultKind::Truncate
        | FaultKind::WrongTypes
        | FaultKind::NotJson
        | FaultKind::EmptyBody
        | FaultKind::IgnoreFilters
        | FaultKind::Lag(_)
        | FaultKind::WithoutRows { .. }
        | FaultKind::Foreign { .. }
        | FaultKind::Twice => FaultEffect::Continue,
    }
}

fn read_view<'a>(faults: impl Iterator<Item = &'a ArmedFault>) -> ReadView {
    let mut view = ReadView::default();
    for fault in faults {
        fault.hit();
        match fault.kind() {
            FaultKind::Lag(hidden) => view.hidden.push(*hidden),
            FaultKind::IgnoreFilters => view.ignore_filters = true,
            _ => {}
        }
    }
    view
}

fn distort(kind: &FaultKind, answer: &mut VendorResponse) {
    match kind {
        FaultKind::Truncate => answer.truncate(),
        FaultKind::NotJson => *answer = VendorResponse::html(StatusCode::OK),
        FaultKind::EmptyBody => *answer = VendorResponse::empty(StatusCode::OK),
        FaultKind::WrongTypes => *answer = answer.with_wrong_types(),
        FaultKind::WithoutRows { members } => answer.edit(|list| {
            list.retain(|_, member| member.is_array());
            list.values_mut().for_each(|rows| *rows = json!([]));
            merge(list, members);
        }),
        FaultKind::Foreign { shows } => answer.edit(|record| shows.change(record)),
        FaultKind::Twice => answer.twice = true,
        _ => {}
    }
}
