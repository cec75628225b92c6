//! What only conversions show: few, small, and each reference recorded before it is sent.

use std::time::Duration;

use http::StatusCode;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use super::calls::{Answer, Calls, Shown, refused};
use super::facts_found::FactsFound;
use super::{Conversions, ProbeError};
use crate::ledger::{Key, Ledger};
use crate::translate::create::CreateRequest;
use crate::translate::evidence::found_conversion;
use crate::translate::facts::{Facts, Mirror, ProfileFilter, QueryPlus, RefMatch, RefSpace};
use crate::translate::side::Side;

/// The first pause between two looks for a record; doubled after each.
const PAUSE: Duration = Duration::from_millis(500);

struct Probe<'a> {
    calls: &'a mut Calls,
    ledger: Option<(&'a Ledger, String)>,
    with: &'a Conversions,
    known: Facts,
    found: &'a mut FactsFound,
}

/// A conversion that the probe made.
struct Made {
    side: Side,
    ref_id: String,
    id: String,
}

/// What a create made.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Outcome {
    /// Nothing: it met the record.
    Same,
    Another,
    /// The answer proves neither.
    Unclear,
}

pub(super) async fn probe(
    calls: &mut Calls,
    ledger: Option<&Ledger>,
    with: &Conversions,
    found: &mut FactsFound,
) -> Result<(), ProbeError> {
    for side in [Side::Legacy, Side::New] {
        if !calls.may(side, true) {
            return Err(refused(
                side,
                "there are no credentials to create with: set [auth.legacy] and [auth.new], or pass --token-file",
            ));
        }
    }
    let (known, tenant) = calls.known();
    let ledger = ledger.map(|ledger| (ledger, tenant));
    Probe { calls, ledger, with, known, found }.run().await
}

impl Probe<'_> {
    async fn run(mut self) -> Result<(), ProbeError> {
        // Letters in both cases, so that another spelling is another text.
        let reference = |name: &str| format!("Probe-{name}-{}", Uuid::new_v4().simple());
        let old = self.convert(Side::Legacy, reference("Old"), None).await?;
        let new = self.convert(Side::New, reference("New"), None).await?;
        for (name, made) in [("list_lag_legacy", &old), ("list_lag_new", &new)] {
            let lag = format!("{:?}", self.lag(made).await?);
            self.found.seen(name, &lag, "from the answer to a create until a list shows it");
        }
        self.mirrors(&old, &new).await?;
        self.spelling(&old, &new).await?;
        for made in [&old, &new] {
            self.repeat(made).await?;
        }
        self.reference_space(&old).await?;
        self.plus().await?;
        self.profile_filter().await
    }

    /// Converts once. Whatever is answered, the create is not repeated.
    async fn convert(
        &mut self,
        side: Side,
        ref_id: String,
        recipient: Option<&str>,
    ) -> Result<Made, ProbeError> {
        let answer = self.create(side, &ref_id, recipient).await?;
        let made = found_conversion(side, &answer.body).filter(|_| answer.status == StatusCode::OK);
        let Some(made) = made else {
            let why = format!("a create is answered {}: {}", answer.status.as_u16(), problem_of(&answer));
            return Err(refused(side, &why));
        };
        self.found.converted([side.as_str().to_owned(), ref_id.clone(), made.id.clone()]);
        if side == Side::New && !self.found.has("approvals") {
            let status = serde_json::from_slice::<Value>(&answer.body).unwrap_or_default()["status"].clone();
            let approvals =
                if status == "PENDING" || status == "PENDING_APPROVAL" { "pending" } else { "none" };
            self.found.seen("approvals", approvals, format!("the answer to a create on new says {status}"));
        }
        Ok(Made { side, ref_id, id: made.id })
    }

    async fn create(
        &mut self,
        side: Side,
        ref_id: &str,
        recipient: Option<&str>,
    ) -> Result<Answer, ProbeError> {
        if let Some((ledger, tenant)) = &self.ledger {
            let key = Key::new(tenant, ref_id).map_err(|error| ProbeError::Refused(error.to_string()))?;
            ledger.record_probe_ref(key).await?;
        }
        let body = create_body(self.with, (side, ref_id), recipient)?;
        let Conversions { amount, source_asset, target_asset, .. } = self.with;
        // Before it is sent, so that it is known whatever comes of it.
        tracing::info!(target: "probe", %side, ref_id, amount, source_asset, target_asset, "converting");
        self.calls.create(side, body).await
    }

    /// How long a list takes to show a record.
    async fn lag(&mut self, made: &Made) -> Result<Duration, ProbeError> {
        let (start, mut pause) = (Instant::now(), PAUSE);
        loop {
            match self.calls.shown(made.side, &made.ref_id, &made.ref_id).await? {
                Shown::Record(id) if id == made.id => break,
                Shown::Record(_) => {
                    return Err(refused(
                        made.side,
                        "the list shows another id than the answer to the create",
                    ));
                }
                Shown::Nothing | Shown::Unclear(_) if start.elapsed() < self.with.settle => {}
                Shown::Nothing | Shown::Unclear(_) => {
                    return Err(refused(made.side, "the list does not show a new record within --settle"));
                }
            }
            sleep(pause).await;
            pause *= 2;
        }
        Ok(start.elapsed())
    }

    /// Whether the other side lists a conversion. "No" only after both had the time to.
    async fn mirrors(&mut self, old: &Made, new: &Made) -> Result<(), ProbeError> {
        let mut shown = [self.mirrored(old).await?, self.mirrored(new).await?];
        if shown.iter().any(|shown| matches!(shown, Shown::Nothing)) {
            sleep(self.with.settle).await;
            for (shown, made) in shown.iter_mut().zip([old, new]) {
                if let Shown::Nothing = shown {
                    *shown = self.mirrored(made).await?;
                }
            }
        }
        let [of_old, of_new] = shown;
        self.mirror("mirror", old, of_old, self.known.mirror);
        self.mirror("mirror_back", new, of_new, self.known.mirror_back);
        Ok(())
    }

    /// What the other side shows of a conversion.
    async fn mirrored(&mut self, made: &Made) -> Result<Shown, ProbeError> {
        self.calls.shown(made.side.other(), &made.ref_id, &made.ref_id).await
    }

    fn mirror(&mut self, name: &'static str, made: &Made, shown: Shown, known: Mirror) {
        let fact = match shown {
            Shown::Record(id) if id == made.id => Mirror::SameId,
            Shown::Record(_) => Mirror::OtherId,
            Shown::Nothing => Mirror::No,
            Shown::Unclear(why) => return self.found.unclear(name, why),
        };
        let (side, on, value) = (made.side, made.side.other(), fact.as_str());
        let within =
            if fact == Mirror::No { format!(" within {:?}", self.with.settle) } else { String::new() };
        let how = format!("a conversion on the {side} side, looked up on the {on} side: {value}{within}");
        self.found.rule(name, value, known.as_str(), how);
    }

    /// How references are compared: by a list, and by a create on new, which must agree on both sides.
    async fn spelling(&mut self, old: &Made, new: &Made) -> Result<(), ProbeError> {
        let mut facts = Vec::new();
        for made in [old, new] {
            let folded = self.calls.shown(made.side, &made.ref_id.to_uppercase(), &made.ref_id).await?;
            let trimmed = self.calls.shown(made.side, &format!(" {} ", made.ref_id), &made.ref_id).await?;
            facts.push(match (&folded, &trimmed) {
                (Shown::Nothing, Shown::Nothing) => Some(RefMatch::Exact),
                (Shown::Record(_), Shown::Nothing) => Some(RefMatch::Case),
                (Shown::Nothing, Shown::Record(_)) => Some(RefMatch::Trimmed),
                _ => None,
            });
        }
        let [Some(fact), Some(same)] = *facts.as_slice() else {
            self.found.unclear("ref_match", "a side's lists do not show how they compare");
            return Ok(());
        };
        // A list that tells spellings apart proves nothing while a create does not.
        let another = |ref_id: &str| match fact {
            RefMatch::Case => ref_id.to_lowercase(),
            RefMatch::Trimmed => format!(" {ref_id} "),
            RefMatch::Exact | RefMatch::Unknown => format!(" {} ", ref_id.to_lowercase()),
        };
        let mut agree = fact == same;
        for made in [old, new] {
            let ref_id = another(&made.ref_id);
            let answer = self.create(made.side, &ref_id, None).await?;
            let outcome = self.outcome(made, &ref_id, &answer);
            agree &=
                if fact == RefMatch::Exact { outcome == Outcome::Another } else { outcome == Outcome::Same };
        }
        if agree {
            let how = "lists, and a create, by another spelling of a ref_id on each side";
            self.found.rule("ref_match", fact.as_str(), self.known.ref_match.as_str(), how.to_owned());
        } else {
            self.found.unclear("ref_match", "the sides, or lists and creates, differ in it");
        }
        Ok(())
    }

    /// What a create made whose reference may be that of a record.
    fn outcome(&mut self, made: &Made, ref_id: &str, answer: &Answer) -> Outcome {
        let record = found_conversion(made.side, &answer.body);
        match (answer.status, record) {
            (StatusCode::CONFLICT, _) => Outcome::Same,
            (StatusCode::OK, Some(record)) if record.id == made.id => Outcome::Same,
            (StatusCode::OK, Some(record)) => {
                self.found.converted([made.side.as_str().to_owned(), ref_id.to_owned(), record.id]);
                Outcome::Another
            }
            _ => Outcome::Unclear,
        }
    }

    /// The same create once more.
    async fn repeat(&mut self, made: &Made) -> Result<(), ProbeError> {
        let name = if made.side == Side::Legacy { "repeat_on_legacy" } else { "repeat_on_new" };
        let answer = self.create(made.side, &made.ref_id, None).await?;
        let shows_it = memchr::memmem::find(&answer.body, made.id.as_bytes()).is_some();
        let value = match (self.outcome(made, &made.ref_id, &answer), shows_it) {
            (Outcome::Same, true) if answer.status == StatusCode::CONFLICT => "409 with existing".to_owned(),
            (Outcome::Same, false) => "409".to_owned(),
            (Outcome::Same, true) => "200".to_owned(),
            (Outcome::Another, _) => {
                self.found.finding(format!(
                    "{name}: the same ref_id made a second conversion on the {} side",
                    made.side
                ));
                "200 with another record".to_owned()
            }
            (Outcome::Unclear, _) => format!("status {}", answer.status.as_u16()),
        };
        self.found.seen(name, &value, "the same create a second time");
        Ok(())
    }

    /// The same reference on the other side.
    async fn reference_space(&mut self, old: &Made) -> Result<(), ProbeError> {
        let answer = self.create(Side::New, &old.ref_id, None).await?;
        let as_new = Made { side: Side::New, ref_id: old.ref_id.clone(), id: old.id.clone() };
        let value = match self.outcome(&as_new, &old.ref_id, &answer) {
            Outcome::Same => RefSpace::Shared,
            Outcome::Another => RefSpace::Separate,
            Outcome::Unclear => {
                let why =
                    format!("a create on new with a ref_id that legacy holds: {}", answer.status.as_u16());
                self.found.unclear("ref_space", &why);
                return Ok(());
            }
        };
        let how = format!("a create on new with a ref_id that legacy holds: {}", value.as_str());
        self.found.rule("ref_space", value.as_str(), self.known.ref_space.as_str(), how);
        Ok(())
    }

    /// How a query reads a plus sign.
    async fn plus(&mut self) -> Result<(), ProbeError> {
        let spaced = format!("Probe {}", Uuid::new_v4().simple());
        let made = self.convert(Side::New, spaced, None).await?;
        self.lag(&made).await?;
        let answer = self.calls.list(Side::New, &format!("ref_id={}", made.ref_id.replace(' ', "+"))).await?;
        let value = match self.calls.judge(Side::New, &answer, &made.ref_id)? {
            Shown::Record(_) => QueryPlus::Space,
            Shown::Nothing => QueryPlus::Literal,
            Shown::Unclear(why) => {
                self.found.unclear("query_plus", why);
                return Ok(());
            }
        };
        let how = format!("a ref_id with a space, looked up with a plus sign on new: {}", value.as_str());
        self.found.rule("query_plus", value.as_str(), self.known.query_plus.as_str(), how);
        Ok(())
    }

    /// Which profile a filter compares: the source's, the destination's, or either.
    async fn profile_filter(&mut self) -> Result<(), ProbeError> {
        let Some(second) = self.with.second_profile_id.clone() else { return Ok(()) };
        let reference = format!("Probe-Directed-{}", Uuid::new_v4().simple());
        let made = self.convert(Side::New, reference, Some(&second)).await?;
        self.lag(&made).await?;
        let mut shown = Vec::new();
        for profile in [&self.with.profile_id, &second] {
            let query = format!("ref_id={}&profile_id={profile}", made.ref_id);
            let answer = self.calls.list(Side::New, &query).await?;
            shown.push(self.calls.judge(Side::New, &answer, &made.ref_id)?);
        }
        let fact = match shown.as_slice() {
            [Shown::Record(_), Shown::Nothing] => ProfileFilter::Source,
            [Shown::Nothing, Shown::Record(_)] => ProfileFilter::Target,
            [Shown::Record(_), Shown::Record(_)] => ProfileFilter::Either,
            _ => {
                self.found.unclear("profile_filter", "the lists do not show what the filter compares");
                return Ok(());
            }
        };
        let how = format!("a conversion to a second profile, listed on new by each: {}", fact.as_str());
        self.found.rule("profile_filter", fact.as_str(), self.known.profile_filter.as_str(), how);
        Ok(())
    }
}

/// The vendor's words for a refusal.
fn problem_of(answer: &Answer) -> String {
    let problem: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    let text = |name: &str| problem[name].as_str().unwrap_or_default().to_owned();
    format!("{}: {}", text("title"), text("detail")).trim_matches([':', ' ']).to_owned()
}

/// The body of a create on a side.
pub(super) fn create_body(
    with: &Conversions,
    (side, ref_id): (Side, &str),
    recipient: Option<&str>,
) -> Result<String, ProbeError> {
    let Conversions { profile_id, amount, source_asset, target_asset, .. } = with;
    let mut body = json!({
        "profile_id": profile_id, "amount": amount, "source_asset": source_asset, "target_asset": target_asset,
        "ref_id": ref_id,
    });
    if let Some(recipient) = recipient {
        body["recipient_profile_id"] = recipient.into();
    }
    let body = body.to_string();
    match side {
        Side::Legacy => Ok(body),
        Side::New => CreateRequest::parse(body.as_bytes())
            .map(|request| request.to_orchestration(ref_id))
            .map_err(|invalid| ProbeError::Refused(invalid.to_string())),
    }
}
