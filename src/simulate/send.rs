//! What a create says to the vendor and what the answers prove: real bytes through the shipped translation.

use std::sync::LazyLock;

use http::{HeaderMap, StatusCode};

use super::event::{BodyKind, How, LookupFault, PostOutcome, SendFault};
use super::under_way::{Post, Request};
use super::world::{World, create_body, reference_name};
use crate::routes::create::events::{CreateAnswer, Lookup, Purpose, Refusal};
use crate::routes::create::side_that_made;
use crate::routes::record_side::RecordSide;
use crate::sandbox::{DrivenCall, DrivenReply};
use crate::translate::conversion::Conversion;
use crate::translate::create::CreateRequest;
use crate::translate::evidence::{self, Finding, FoundConversion, Reply, Sent};
use crate::translate::mapping::Origin;
use crate::translate::side::Side;

const JSON: &str = "application/json";

/// What a faulty answer looks like.
fn refusal(status: StatusCode) -> DrivenReply {
    let status = status.as_u16();
    let body = format!(r#"{{"type":"about:blank","title":"No","status":{status}}}"#);
    DrivenReply { status, content_type: JSON, body: body.into() }
}

fn page(status: u16) -> DrivenReply {
    DrivenReply { status, content_type: "text/html", body: "<html></html>".into() }
}

fn json(body: &'static str) -> DrivenReply {
    DrivenReply { status: 200, content_type: JSON, body: body.into() }
}

pub(super) fn as_reply(reply: &DrivenReply) -> Reply<'_> {
    static HTML: LazyLock<HeaderMap> = LazyLock::new(|| evidence::of_type(["text/html"]));
    let headers = if reply.content_type == JSON { evidence::json() } else { &HTML };
    Reply { status: reply.status, headers, body: &reply.body, unknown_digests: None }
}

/// The query of a path.
pub(super) fn query_of(path: &str) -> &str {
    path.split_once('?').map_or("", |(_, query)| query)
}

impl World {
    pub(super) fn lookup(&mut self, request: &mut Request, side: Side, purpose: Purpose, how: How) -> Lookup {
        let own = request.claim.as_ref().filter(|(claimed, _)| *claimed == side);
        let origin = match own {
            None => Origin::Unknown,
            Some((_, None)) => Origin::OwnReference,
            Some((_, Some(_))) => Origin::OwnRecord,
        };
        let name = reference_name(request.reference);
        let fault = match how {
            How::Lookup(fault) => Some(fault),
            _ => None,
        };
        // As `routes::lookup`: a known record is read by its id first, because lists may lag.
        let known =
            own.and_then(|(_, id)| id.clone()).filter(|_| purpose == Purpose::KnownRecord && fault.is_none());
        if let Some(record) = known.and_then(|id| self.by_id(side, &id)) {
            return self.found(request, (side, purpose), record);
        }
        let reply = match fault {
            Some(LookupFault::Unavailable) => page(503),
            Some(LookupFault::Partial) => json(r#"{"items":[],"has_more":true}"#),
            Some(LookupFault::Forbidden) => refusal(StatusCode::FORBIDDEN),
            Some(LookupFault::Throttled) => refusal(StatusCode::TOO_MANY_REQUESTS),
            None => {
                let path = evidence::lookup_path(side, &name);
                self.call(side, DrivenCall::List(query_of(&path)))
            }
        };
        match evidence::read(side, &as_reply(&reply), &name, origin, self.facts()) {
            Finding::Absent => Lookup::Absent,
            Finding::Found(record) => self.found(request, (side, purpose), record),
            Finding::OtherKind => Lookup::OtherKind,
            Finding::Unauthorized => Lookup::Unauthorized,
            Finding::Forbidden => Lookup::Forbidden,
            Finding::Throttled => Lookup::Throttled,
            Finding::Nothing(_) => Lookup::CouldNot,
        }
    }

    fn by_id(&mut self, side: Side, id: &str) -> Option<FoundConversion> {
        let reply = self.call(side, DrivenCall::Get(id));
        let record = (reply.status == 200).then(|| evidence::found_conversion(side, &reply.body)).flatten();
        record.filter(|record| record.id == id)
    }

    fn found(
        &mut self,
        request: &mut Request,
        (side, purpose): (Side, Purpose),
        record: FoundConversion,
    ) -> Lookup {
        let body = create_body(request.reference, request.body);
        let asked = CreateRequest::parse(body.as_bytes());
        let shown = Conversion::parse(&record.json);
        let matches = asked.ok().zip(shown.ok()).is_some_and(|(asked, shown)| asked.asks_for(&shown));
        self.replicas[request.replica].record_sides.remember(&record.id, RecordSide::SeenOn(side));
        request.found[side as usize] = Some(record);
        let compared =
            (purpose == Purpose::ConfirmMove).then(|| side_that_made(self.facts(), &request.found));
        Lookup::Found { matches, made_on: compared.flatten() }
    }

    pub(super) fn send(&mut self, request: &mut Request, on: (u32, Side), how: How) -> CreateAnswer {
        let side = on.1;
        // Excluded: a stray refusal before the POST takes effect, or before lists show what it made.
        let is_included = |fault: &SendFault| match fault {
            SendFault::StrayRefusal(fate) => *fate != PostOutcome::Later && self.shows_everything(side),
            SendFault::StraySuccess(_) => side == Side::Legacy,
            _ => true,
        };
        let fault = match how {
            How::Send(fault) => Some(fault).filter(is_included),
            _ => None,
        };
        let is_made = self.vendor.record(side, &reference_name(request.reference)).is_some();
        let (reply, reused) = match fault {
            Some(SendFault::NotSent) => return CreateAnswer::NotSent,
            Some(SendFault::Lost(fate)) => {
                self.meets(request, on, fate);
                return CreateAnswer::Unknown;
            }
            Some(SendFault::Refused) => (refusal(StatusCode::BAD_REQUEST), false),
            Some(SendFault::Gateway(status, fate)) => {
                self.meets(request, on, fate);
                (page(status), false)
            }
            Some(SendFault::Foreign(fate)) => {
                self.meets(request, on, fate);
                (json(r#"{"id":"1","ref_id":"another","amount":"1","source_amount":"1"}"#), false)
            }
            Some(SendFault::BareConflict) if is_made => (refusal(StatusCode::CONFLICT), false),
            Some(SendFault::StrayRefusal(fate)) => {
                self.meets(request, on, fate);
                (refusal(StatusCode::BAD_REQUEST), true)
            }
            Some(SendFault::StrayConflict(fate)) => {
                self.meets(request, on, fate);
                (refusal(StatusCode::CONFLICT), true)
            }
            Some(SendFault::StraySuccess(fate)) => {
                self.meets(request, on, fate);
                (json(r#"{"id":"1"}"#), true)
            }
            Some(SendFault::BareConflict) | None => (self.takes(request, side), false),
        };
        self.judge(request, side, &reply, reused)
    }

    /// The POST reaches the side.
    fn takes(&mut self, request: &mut Request, side: Side) -> DrivenReply {
        let (reply, is_made) = self.create(side, request.reference, request.body);
        request.effective |= is_made;
        reply
    }

    fn meets(&mut self, request: &mut Request, (number, side): (u32, Side), fate: PostOutcome) {
        match fate {
            PostOutcome::Never => {}
            PostOutcome::Taken => drop(self.takes(request, side)),
            PostOutcome::Later => {
                let (reference, body) = (request.reference, request.body);
                let post = Post { request: Some(number), side, reference, body, sent_at: self.now };
                self.put_under_way(post);
            }
        }
    }

    pub(super) fn put_under_way(&mut self, post: Post) {
        self.posts_made += 1;
        self.posts.insert(self.posts_made, post);
    }

    fn judge(
        &mut self,
        request: &mut Request,
        side: Side,
        reply: &DrivenReply,
        reused: bool,
    ) -> CreateAnswer {
        let body = create_body(request.reference, request.body);
        let create = CreateRequest::parse(body.as_bytes()).ok();
        let names = [reference_name(request.reference)];
        match evidence::judge(side, &as_reply(reply), create.as_ref(), &names) {
            Sent::Accepted { record: Some((candidate, id)) } => {
                request.answered_id = Some(id);
                CreateAnswer::Accepted { candidate: u8::try_from(candidate).ok(), reused }
            }
            Sent::Accepted { record: None } => CreateAnswer::Accepted { candidate: None, reused },
            Sent::Refused => {
                CreateAnswer::Refused { reused, refusal: Refusal::of(reply.status, &reply.body) }
            }
            Sent::Exists { record: Some((candidate, id)) } => {
                request.answered_id = Some(id);
                CreateAnswer::Exists { candidate: u8::try_from(candidate).ok(), reused }
            }
            Sent::Exists { record: None } => CreateAnswer::Exists { candidate: None, reused },
            Sent::OtherKind => CreateAnswer::OtherKind,
            Sent::Foreign(_) => CreateAnswer::Foreign,
            Sent::Unknown(_) => CreateAnswer::Unknown,
        }
    }

    /// A POST that was under way takes effect.
    pub(super) fn arrives(&mut self, post: Post) {
        let (_, is_made) = self.create(post.side, post.reference, post.body);
        if let Some(request) = post.request.and_then(|number| self.requests.get_mut(&number)) {
            request.effective |= is_made;
        }
    }

    /// A create through the new API's own path.
    pub(super) fn create_natively(&mut self, reference: usize) {
        self.ledger.natives.insert(reference);
        self.asked[reference] = true;
        self.create(Side::New, reference, BodyKind::Native);
    }
}
