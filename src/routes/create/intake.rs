//! What a create may mean before anything is sent: the request, the readings of its reference, and the side that the modes choose.

use uuid::Uuid;

use super::events::{Context, Reads};
use super::protocol::CANDIDATES_MAX;
use super::rules::Rules;
use super::{canary, reads};
use crate::config::Mode;
use crate::failure::{Failure, SideEffect};
use crate::http::decode::{Decoded, decode};
use crate::routes::RouteContext;
use crate::translate::create::CreateRequest;
use crate::translate::invalid::Invalid;
use crate::translate::json::Text;
use crate::translate::reference::{References, references};
use crate::translate::side::Side;

/// A body, read.
pub(super) struct Intake<'a> {
    request: Result<CreateRequest<'a>, Failure>,
    references: References,
    target: Side,
}

/// What to do with it.
pub(super) enum Plan<'a> {
    /// Send the bytes to the old API, without a claim.
    Forward,
    /// Let the protocol decide.
    Decide(Request<'a>),
}

/// A create with a reference.
pub(super) struct Request<'a> {
    /// The request, if it could be read strictly; else only the old API can judge it.
    pub(super) create: Option<CreateRequest<'a>>,
    /// The readings of the reference, sorted.
    pub(super) candidates: Vec<String>,
    /// Whether the proxy made the reference, because the client gave none.
    pub(super) generated: bool,
    target: Side,
}

impl<'a> Intake<'a> {
    /// Reads the body and chooses the side.
    ///
    /// # Errors
    /// When the side depends on what the body says and it cannot be read.
    pub(super) fn read(context: &RouteContext, body: &'a [u8]) -> Result<Self, Failure> {
        let decoded = decode(&context.head.headers, body, context.config.limits.request_body_max);
        let request = match &decoded {
            Decoded::Plain => CreateRequest::parse(body).map_err(Failure::Invalid),
            Decoded::Bytes(_) | Decoded::Unreadable => Err(Failure::BodyEncoded),
        };
        let references = match (&decoded, &request) {
            (_, Ok(request)) => match request.ref_id.and_then(Text::value) {
                Some(reference) => References::Candidates(vec![reference.into_owned()]),
                None => References::None,
            },
            (Decoded::Plain, Err(_)) => references(body),
            (Decoded::Bytes(decoded), Err(_)) => references(decoded),
            (Decoded::Unreadable, Err(_)) => References::Unknown,
        };
        match chosen(context, request.as_ref()) {
            Some(target) => Ok(Self { request, references, target }),
            None => Err(request.err().unwrap_or(Failure::Internal { effect: SideEffect::None })),
        }
    }

    /// What to do with the body.
    ///
    /// # Errors
    /// A body that cannot be read strictly, where only a request that can be may be sent.
    pub(super) fn plan(self, context: &RouteContext) -> Result<Plan<'a>, Failure> {
        let Self { request, references, target } = self;
        let on_legacy_alone = reads(&context.config.modes) == Reads::LegacyOnly;
        let no_ledger = context.services.ledger.is_none();
        match (references, request) {
            (References::None, _) if target == Side::Legacy => {
                context.note_no_reference(target);
                Ok(Plan::Forward)
            }
            // One reference per inbound request, never derived from the body: two equal conversions may both be meant.
            (References::None, Ok(create)) => {
                context.note_no_reference(target);
                let candidates = vec![Uuid::new_v4().to_string()];
                Ok(Plan::Decide(Request { create: Some(create), candidates, generated: true, target }))
            }
            (References::None, Err(failure)) => Err(failure),
            (_, Err(_)) if target == Side::Legacy && no_ledger => Ok(Plan::Forward),
            (References::Candidates(candidates), create)
                if candidates.len() <= CANDIDATES_MAX && (create.is_ok() || target == Side::Legacy) =>
            {
                Ok(Plan::Decide(Request { create: create.ok(), candidates, generated: false, target }))
            }
            (_, Err(_)) if target == Side::Legacy && on_legacy_alone => Ok(Plan::Forward),
            (_, Err(failure)) => Err(unreadable(failure)),
            (_, Ok(_)) => Err(Failure::Internal { effect: SideEffect::None }),
        }
    }
}

impl Request<'_> {
    /// What is fixed for the protocol.
    pub(super) fn protocol(&self, context: &RouteContext) -> Context {
        Context {
            target: self.target,
            reads: reads(&context.config.modes),
            ledger: context.services.ledger.is_some(),
            generated: self.generated,
            readable: self.create.is_some(),
            candidates: u8::try_from(self.candidates.len()).unwrap_or(u8::MAX),
            rules: Rules::ALL,
        }
    }
}

/// The side that the modes choose; none when they need a request that can be read, and this one cannot.
fn chosen(context: &RouteContext, request: Result<&CreateRequest<'_>, &Failure>) -> Option<Side> {
    match context.config.modes.create {
        Mode::Canary => {
            let profile_id = request.ok()?.profile_id.value()?;
            Some(canary::side(&context.config.canary, &profile_id))
        }
        Mode::New => request.ok().map(|_| Side::New),
        mode @ (Mode::Legacy | Mode::Shadow | Mode::Hold | Mode::Both) => Some(mode.creates_on()),
    }
}

/// The refusal of a body whose reference may already have been used: a client must not take it for "nothing ever happened".
fn unreadable(failure: Failure) -> Failure {
    match failure {
        Failure::Invalid(mut invalid) => {
            invalid.add("ref_id", "cannot be read in one way only; nothing was sent now");
            Failure::Invalid(invalid)
        }
        Failure::BodyEncoded => Failure::BodyEncoded,
        other => {
            drop(other);
            Failure::Invalid(Invalid::new("ref_id", "cannot be read; nothing was sent now"))
        }
    }
}
