//! The calls of a probe: each on a connection of its own, so that no answer can be another request's. No create is
//! repeated.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, header};
use serde_json::Value;
use tokio::time::{Instant, sleep, timeout_at};

use super::{CALLS_MAX, ProbeError};
use crate::config::Config;
use crate::config::auth::CredentialSet;
use crate::failure::error_chain::error_chain;
use crate::http::body::{Payload, collect};
use crate::http::decode::{Decoded, decode};
use crate::http::headers::IDENTITY;
use crate::translate::evidence::{self, Reply, lookup_path};
use crate::translate::facts::{EmptyList, Facts};
use crate::translate::mapping::Origin;
use crate::translate::paths;
use crate::translate::route::Id;
use crate::translate::side::Side;
use crate::upstream::rate_limit::{Endpoint, Permit};
use crate::upstream::{self, AnswerWait, Lane, Outgoing, UpstreamClient};

/// The pause between two looks for a turn under the rate limit.
const TURN_EVERY: Duration = Duration::from_millis(50);

/// Why nothing more is asked: each further call would prolong it.
pub(super) const THROTTLED: &str = "the vendor answered 429: wait five minutes";

pub(super) struct Calls {
    config: Arc<Config>,
    upstream: UpstreamClient,
    token: Option<HeaderValue>,
    made: u32,
    max: u32,
    is_throttled: bool,
    /// Whether each side's refusals were problem documents; the status of one that was none.
    refusals: [Option<Result<(), StatusCode>>; 2],
}

pub(super) struct DecodedAnswer {
    pub(super) status: StatusCode,
    headers: HeaderMap,
    /// It came in a coding although none was asked for.
    pub(super) is_coded: bool,
    pub(super) body: Bytes,
}

impl DecodedAnswer {
    pub(super) fn reply(&self) -> Reply<'_> {
        Reply {
            status: self.status.as_u16(),
            headers: &self.headers,
            body: &self.body,
            unknown_digests: None,
        }
    }

    /// The form of an empty list that the answer to a lookup of an unused reference has; `None` for another one.
    pub(super) fn empty_form(&self, side: Side, ref_id: &str) -> Option<&'static str> {
        let is_absent = |empty_list| {
            let facts = Facts { empty_list, ..Facts::default() };
            let found = evidence::read(side, &self.reply(), ref_id, Origin::Unknown, facts);
            matches!(found, evidence::Finding::Absent)
        };
        let none = EmptyList::default();
        if is_absent(none) {
            Some(EmptyList::ARRAY)
        } else if is_absent(EmptyList { absent: true, ..none }) {
            Some(EmptyList::ABSENT)
        } else {
            is_absent(EmptyList { null: true, ..none }).then_some(EmptyList::NULL)
        }
    }
}

pub(super) enum RefLookupResult {
    /// The record with that id.
    Record(String),
    Nothing,
    /// The answer proves neither.
    Unclear(&'static str),
}

impl Calls {
    pub(super) fn new(config: Arc<Config>, upstream: UpstreamClient, token: Option<HeaderValue>) -> Self {
        Self { config, upstream, token, made: 0, max: CALLS_MAX, is_throttled: false, refusals: [None; 2] }
    }

    /// With another bound on the number of calls.
    pub(super) fn at_most(self, max: u32) -> Self {
        Self { max, ..self }
    }

    /// The facts that the config names, and the tenant.
    pub(super) fn known(&self) -> (Facts, String) {
        let tenant = self.config.ledger.as_ref().map(|ledger| ledger.tenant.clone());
        (self.config.facts, tenant.unwrap_or_default())
    }

    pub(super) const fn made(&self) -> u32 {
        self.made
    }

    /// How many calls may still be made.
    pub(super) const fn left(&self) -> u32 {
        self.max.saturating_sub(self.made)
    }

    /// Whether all calls are made with a token that was given, and none fetched.
    pub(super) const fn has_given_token(&self) -> bool {
        self.token.is_some()
    }

    /// The scopes that the config asks for with these credentials, and those that came with their token; `None` without a token of theirs.
    pub(super) fn scopes(&self, set: CredentialSet) -> Option<(&[String], Option<String>)> {
        let asked = &self.config.auth.credentials(set)?.scopes;
        Some((asked, self.upstream.granted_scopes(set)?))
    }

    /// A list, with this query.
    pub(super) async fn list(&mut self, side: Side, query: &str) -> Result<DecodedAnswer, ProbeError> {
        let path = format!("{}?{query}", paths::collection(side));
        self.send(side, Some(Endpoint::List(side)), &path, None).await
    }

    /// A list, with this path and query.
    pub(super) async fn list_at(&mut self, side: Side, path: &str) -> Result<DecodedAnswer, ProbeError> {
        self.send(side, Some(Endpoint::List(side)), path, None).await
    }

    pub(super) async fn by_ref(&mut self, side: Side, ref_id: &str) -> Result<DecodedAnswer, ProbeError> {
        self.send(side, Some(Endpoint::List(side)), &lookup_path(side, ref_id), None).await
    }

    pub(super) async fn get(&mut self, side: Side, id: &str) -> Result<DecodedAnswer, ProbeError> {
        self.send(side, Some(Endpoint::Get(side)), &Id::known(id).path_on(side), None).await
    }

    /// A create. It is never repeated.
    pub(super) async fn create(&mut self, side: Side, body: String) -> Result<DecodedAnswer, ProbeError> {
        self.send(side, Some(Endpoint::Create(side)), paths::collection(side), Some(body)).await
    }

    /// A deposit of test funds, with the new side's credentials. It is never repeated.
    pub(super) async fn deposit(&mut self, path: &str, body: String) -> Result<DecodedAnswer, ProbeError> {
        let side = Side::New;
        let uri = upstream::call(self.config.upstream.side(side), path);
        let endpoint = uri.and_then(|uri| Endpoint::of_path(&self.config.budget, uri.path()));
        self.send(side, endpoint, path, Some(body)).await
    }

    /// What a side shows for a reference that is spelled so, whatever the record's own spelling.
    pub(super) async fn shown(
        &mut self,
        side: Side,
        ref_id: &str,
        made: &str,
    ) -> Result<RefLookupResult, ProbeError> {
        let answer = self.by_ref(side, ref_id).await?;
        self.judge(side, &answer, made)
    }

    /// What the answer to a list by reference shows of the record that was made with `made`.
    pub(super) fn judge(
        &self,
        side: Side,
        answer: &DecodedAnswer,
        made: &str,
    ) -> Result<RefLookupResult, ProbeError> {
        // Every form of an empty list may say "nothing" here: the reference is known to have a record on one side.
        let empty_list = EmptyList { array: true, absent: true, null: true };
        let facts = Facts { empty_list, ..Facts::default() };
        match evidence::read(side, &answer.reply(), made, Origin::OwnReference, facts) {
            evidence::Finding::Found(found) => Ok(RefLookupResult::Record(found.id)),
            evidence::Finding::Absent => Ok(RefLookupResult::Nothing),
            evidence::Finding::OtherKind => Err(refused(side, "shows the record as no conversion")),
            evidence::Finding::Unauthorized => Err(refused(side, "does not know the credentials (401)")),
            evidence::Finding::Forbidden => Err(refused(side, "does not let these credentials read (403)")),
            evidence::Finding::Throttled => Err(refused(side, "answers 429: wait five minutes")),
            evidence::Finding::Nothing(why) => Ok(RefLookupResult::Unclear(why)),
        }
    }

    /// A `GET`, or with a body a `POST`.
    async fn send(
        &mut self,
        side: Side,
        endpoint: Option<Endpoint>,
        path: &str,
        body: Option<String>,
    ) -> Result<DecodedAnswer, ProbeError> {
        if self.made >= self.max {
            return Err(ProbeError::TooManyCalls(self.max));
        }
        if self.is_throttled {
            return Err(ProbeError::Refused(THROTTLED.to_owned()));
        }
        let no_answer = |reason: String| ProbeError::NoAnswer(side.as_str(), reason);
        let uri = upstream::call(self.config.upstream.side(side), path);
        let uri = uri.ok_or_else(|| no_answer("the path makes no address".into()))?;
        let (is_write, method) = if body.is_some() { (true, Method::POST) } else { (false, Method::GET) };
        let mut request = Request::new(body.map_or_else(Payload::empty, Payload::whole));
        (*request.method_mut(), *request.uri_mut()) = (method, uri);
        *request.headers_mut() = self.headers(is_write);
        let until = Instant::now() + self.config.timeouts.create;
        let permit = match endpoint {
            Some(endpoint) => Some(self.turn(endpoint).await),
            None => None,
        };
        let credentials = self.credentials(side, is_write);
        // Whatever comes of it: a call that was not answered may have arrived.
        self.made += 1;
        let outgoing = Outgoing {
            request,
            // On a reused connection, an answer may be another request's, and would become a fact.
            lane: Lane::Fresh,
            credentials,
            permit,
            until,
            answer: AnswerWait::Until(until),
        };
        let answer = self.upstream.send_as(outgoing, &self.config).await;
        let (parts, body) = answer.map_err(|error| no_answer(error_chain(&error)))?.into_parts();
        self.is_throttled |= parts.status == StatusCode::TOO_MANY_REQUESTS;
        let max = self.config.limits.response_body_max;
        let body =
            timeout_at(until, collect(body, max)).await.map_err(|_| no_answer("no answer in time".into()))?;
        let body = body.map_err(|error| no_answer(error_chain(&error)))?;
        let (is_coded, body) = match decode(&parts.headers, &body, max) {
            Decoded::Plain => (false, body),
            Decoded::Bytes(decoded) => (true, decoded),
            Decoded::Unreadable => {
                return Err(no_answer("the answer is not in its coding, or too long".into()));
            }
            Decoded::Unsupported => return Err(no_answer("the answer is in an unknown coding".into())),
        };
        let answer = DecodedAnswer { status: parts.status, headers: parts.headers, is_coded, body };
        self.note_refusal(side, &answer);
        Ok(answer)
    }

    /// A 404 has a fact of its own, and a 429 may come from before the API.
    fn note_refusal(&mut self, side: Side, answer: &DecodedAnswer) {
        let others = [StatusCode::NOT_FOUND, StatusCode::TOO_MANY_REQUESTS];
        let refusals = &mut self.refusals[side as usize];
        if answer.status.is_client_error() && !others.contains(&answer.status) {
            let is_problem = evidence::is_problem_document(&answer.reply());
            let form = if is_problem { Ok(()) } else { Err(answer.status) };
            *refusals = Some(refusals.unwrap_or(form).and(form));
        }
    }

    /// The form of a side's refusals; `None` if it refused nothing.
    pub(super) fn refusal_form(&self, side: Side) -> Option<String> {
        Some(match self.refusals[side as usize]? {
            Ok(()) => "problem".to_owned(),
            Err(status) => format!("status {} without a problem document", status.as_u16()),
        })
    }

    fn headers(&self, is_write: bool) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        if is_write {
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
            headers.insert(header::ACCEPT_ENCODING, IDENTITY);
        }
        headers.extend(self.token.clone().map(|token| (header::AUTHORIZATION, token)));
        headers
    }

    fn credentials(&self, side: Side, is_write: bool) -> Option<CredentialSet> {
        let auth = &self.config.auth;
        let set = if is_write { auth.own_credentials(side) } else { auth.reading_credentials(side) };
        set.filter(|_| self.token.is_none())
    }

    /// Whether there are credentials for what the probe asks of a side.
    pub(super) fn may(&self, side: Side, is_write: bool) -> bool {
        self.token.is_some() || self.credentials(side, is_write).is_some()
    }

    /// The lowest class of the rate limit waits for everybody else.
    async fn turn(&self, endpoint: Endpoint) -> Permit {
        loop {
            match self.upstream.budget().take_for_shadow(endpoint) {
                Some(permit) => return permit,
                None => sleep(TURN_EVERY).await,
            }
        }
    }
}

pub(super) fn refused(side: Side, why: &str) -> ProbeError {
    ProbeError::Refused(format!("the {side} side: {why}"))
}

/// The vendor's words for a refusal.
pub(super) fn problem_of(answer: &DecodedAnswer) -> String {
    let problem: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    let text = |name: &str| problem[name].as_str().unwrap_or_default().to_owned();
    format!("{}: {}", text("title"), text("detail")).trim_matches([':', ' ']).to_owned()
}
