//! Reads a create before anything is sent: the request, the candidates for its reference, and the side that the modes choose.

use std::borrow::Cow;

use uuid::Uuid;

use super::events::{Context, Reads};
use super::protocol::CANDIDATES_MAX;
use super::rules::Rules;
use super::{canary, reads};
use crate::config::{Canary, Mode};
use crate::failure::{Failure, SideEffect};
use crate::http::decode::{Decoded, decode};
use crate::routes::RouteContext;
use crate::translate::create::CreateRequest;
use crate::translate::invalid::Invalid;
use crate::translate::json::Text;
use crate::translate::reference::{References, profiles, references};
use crate::translate::side::Side;

pub(super) enum CreatePlan<'a> {
    /// Send the bytes to legacy without a claim. `reads_reference`: the vendor may read a reference in them.
    Forward {
        reads_reference: bool,
    },
    Decide(PlannedCreate<'a>),
}

/// A create with a reference.
pub(super) struct PlannedCreate<'a> {
    /// The request, if it could be read strictly; else only legacy can judge it.
    pub(super) create: Option<CreateRequest<'a>>,
    /// Every reference that the vendor may read in the body, sorted.
    pub(super) candidates: Vec<String>,
    /// Whether the proxy generated the reference, because the client gave none.
    pub(super) generated: bool,
    target: Side,
}

/// A body, read as strictly as the new API has to be sent it.
enum Reading<'a> {
    Create(CreateRequest<'a>),
    /// The vendor may read more in it than the proxy: see `translate::reference`.
    Unreadable(UnreadableBody),
}

enum UnreadableBody {
    Encoded,
    Invalid(Invalid),
}

/// Reads the body and chooses the side.
///
/// # Errors
/// A body that cannot be read strictly, where only one that can be may be sent.
pub(super) fn plan<'a>(context: &RouteContext, body: &'a [u8]) -> Result<CreatePlan<'a>, Failure> {
    let decoded = decode(&context.head.headers, body, context.config.limits.request_body_max);
    match read(&decoded, body) {
        Reading::Create(create) => plan_readable(context, create),
        Reading::Unreadable(why) => match context.config.modes.create {
            Mode::New => Err(why.refused()),
            Mode::Canary if !stays_on_legacy(&context.config.canary, &decoded, body) => Err(why.refused()),
            Mode::Canary | Mode::Legacy | Mode::Shadow | Mode::Hold | Mode::Both => {
                plan_unreadable(context, why, lenient_references(&decoded, body))
            }
        },
    }
}

fn read<'a>(decoded: &Decoded, body: &'a [u8]) -> Reading<'a> {
    match decoded {
        Decoded::Plain => match CreateRequest::parse(body) {
            Ok(create) => Reading::Create(create),
            Err(invalid) => Reading::Unreadable(UnreadableBody::Invalid(invalid)),
        },
        Decoded::Bytes(_) | Decoded::Unreadable | Decoded::Unsupported => {
            Reading::Unreadable(UnreadableBody::Encoded)
        }
    }
}

/// Whether every profile that the vendor may read in the body creates on legacy.
fn stays_on_legacy(canary: &Canary, decoded: &Decoded, body: &[u8]) -> bool {
    let profiles = match decoded {
        Decoded::Plain => profiles(body),
        Decoded::Bytes(decoded) => profiles(decoded),
        Decoded::Unreadable | Decoded::Unsupported => None,
    };
    let on_legacy = |profile: &String| canary::side(canary, profile) == Side::Legacy;
    profiles.is_some_and(|profiles| profiles.iter().all(on_legacy))
}

fn lenient_references(decoded: &Decoded, body: &[u8]) -> References {
    match decoded {
        Decoded::Plain => references(body),
        Decoded::Bytes(decoded) => references(decoded),
        Decoded::Unreadable | Decoded::Unsupported => References::Unknown,
    }
}

fn plan_readable<'a>(context: &RouteContext, create: CreateRequest<'a>) -> Result<CreatePlan<'a>, Failure> {
    let target = match context.config.modes.create {
        Mode::Canary => {
            // `parse` refuses a profile id that has no value.
            let bug = Failure::Internal { effect: SideEffect::None };
            canary::side(&context.config.canary, &create.profile_id.value().ok_or(bug)?)
        }
        mode @ (Mode::Legacy | Mode::Shadow | Mode::Hold | Mode::Both | Mode::New) => mode.creates_on(),
    };
    let given = create.ref_id.and_then(Text::value).map(Cow::into_owned);
    let generated = given.is_none();
    if generated {
        context.record_missing_reference(target);
    }
    let reference = match (given, target) {
        (Some(reference), Side::Legacy | Side::New) => reference,
        (None, Side::Legacy) => return Ok(CreatePlan::Forward { reads_reference: false }),
        // One reference per inbound request, never derived from the body: two equal conversions may both be meant.
        (None, Side::New) => Uuid::new_v4().to_string(),
    };
    Ok(CreatePlan::Decide(PlannedCreate {
        create: Some(create),
        candidates: vec![reference],
        generated,
        target,
    }))
}

/// A body that goes to legacy or nowhere: every reference that the vendor may read in it is claimed, so that none is free on new.
fn plan_unreadable<'a>(
    context: &RouteContext,
    why: UnreadableBody,
    references: References,
) -> Result<CreatePlan<'a>, Failure> {
    let target = Side::Legacy;
    // Without a ledger nothing is claimed, and while no route reads new no create can have gone there.
    let no_claim_needed =
        context.services.ledger.is_none() || reads(&context.config.modes) == Reads::LegacyOnly;
    match references {
        References::None => {
            context.record_missing_reference(target);
            Ok(CreatePlan::Forward { reads_reference: false })
        }
        References::Candidates(candidates)
            if candidates.len() <= CANDIDATES_MAX && context.services.ledger.is_some() =>
        {
            Ok(CreatePlan::Decide(PlannedCreate { create: None, candidates, generated: false, target }))
        }
        References::Candidates(_) | References::Unknown if no_claim_needed => {
            Ok(CreatePlan::Forward { reads_reference: true })
        }
        References::Candidates(_) | References::Unknown => Err(why.ambiguous()),
    }
}

impl PlannedCreate<'_> {
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

impl UnreadableBody {
    /// The refusal of a body that is sent nowhere. Its reference may already have been used: a client must not take it for "nothing ever
    /// happened".
    fn refused(self) -> Failure {
        match self {
            Self::Encoded => Failure::BodyEncoded,
            Self::Invalid(mut invalid) => {
                invalid.nothing_was_sent_now();
                Failure::Invalid(invalid)
            }
        }
    }

    /// As [`refused`](Self::refused), because of the reference.
    fn ambiguous(self) -> Failure {
        match self {
            Self::Encoded => Failure::BodyEncoded,
            Self::Invalid(mut invalid) => {
                invalid.add("ref_id", "cannot be read in one way only");
                Self::Invalid(invalid).refused()
            }
        }
    }
}
