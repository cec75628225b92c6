//! What only conversions show: few, small, and each reference recorded before it is sent.

use std::time::Duration;

use http::StatusCode;
use serde_json::{Value, json};
use tokio::time::Instant;
use uuid::Uuid;

use super::calls::{Calls, DecodedAnswer, problem_of, refused};
use super::facts_found::FactsFound;
use super::pages::{Subject, Unseen};
use super::{Conversions, ProbeError, funding};
use crate::ledger::{Key, Ledger};
use crate::translate::create::CreateRequest;
use crate::translate::evidence::found_conversion;
use crate::translate::facts::Facts;
use crate::translate::orchestration::Status;
use crate::translate::side::Side;

/// The most conversions of one probe.
const CONVERSIONS_MAX: u32 = 6;

pub(super) struct Probe<'a> {
    pub(super) calls: &'a mut Calls,
    ledger: Option<(&'a Ledger, String)>,
    pub(super) with: &'a Conversions,
    pub(super) known: Facts,
    pub(super) found: &'a mut FactsFound,
    /// How long a side's list took to show a record.
    pub(super) lag: [Duration; 2],
    /// A record of each side.
    pub(super) subjects: Subjects,
    /// Why a side's lists prove nothing.
    lists: [Result<(), Unseen>; 2],
    /// Whether a side gave no answer to a create.
    unanswered: [bool; 2],
}

/// A record that was made on each side, legacy first.
pub(super) type Subjects = [Result<Subject, Unseen>; 2];

/// A conversion that the probe made.
pub(super) struct Made {
    pub(super) side: Side,
    pub(super) ref_id: String,
    pub(super) id: String,
    /// When the create was answered.
    pub(super) answered: Instant,
}

pub(super) async fn probe(
    calls: &mut Calls,
    ledger: Option<&Ledger>,
    with: &Conversions,
    found: &mut FactsFound,
) -> Result<Subjects, ProbeError> {
    for side in [Side::Legacy, Side::New] {
        if !calls.may(side, true) {
            return Err(refused(
                side,
                "there are no credentials to create with: set [auth.legacy] and [auth.new], or pass --token-file",
            ));
        }
    }
    if with.fund {
        funding::note(funding::deposit(calls, with, CONVERSIONS_MAX).await, found);
    }
    let (known, tenant) = calls.known();
    let ledger = ledger.map(|ledger| (ledger, tenant));
    let unread = || Err("no get shows the record that was made".to_owned());
    let (lag, subjects) = ([Duration::ZERO; 2], [unread(), unread()]);
    let (lists, unanswered) = ([Ok(()), Ok(())], [false; 2]);
    let mut probe = Probe { calls, ledger, with, known, found, lag, subjects, lists, unanswered };
    probe.run().await?;
    Ok(probe.subjects)
}

impl Probe<'_> {
    /// A step that fails costs the facts that it would have shown; the others are found out all the same, and what was converted is
    /// listed. Ends early only while nothing was converted.
    async fn run(&mut self) -> Result<(), ProbeError> {
        // Letters in both cases, so that another spelling is another text.
        let reference = |name: &str| format!("Probe-{name}-{}", Uuid::new_v4().simple());
        // First: a create that names a profile that is not there is refused, and nothing is converted yet.
        let to_second = self.convert_to_second_profile().await;
        let old = self.base(Side::Legacy, reference("Old"), ["id_lag_legacy", "list_lag_legacy"]).await;
        let new = self.base(Side::New, reference("New"), ["id_lag_new", "list_lag_new"]).await;
        let (old, new) = match (old, new) {
            (Err(error), Err(_)) if self.has_sent_nothing() => return Err(error),
            (old, new) => (old.map_err(|error| error.to_string()), new.map_err(|error| error.to_string())),
        };
        self.both(&old, &new).await;
        for (made, name) in [(&old, "repeat_on_legacy"), (&new, "repeat_on_new")] {
            match made {
                Ok(made) => {
                    let done = self.repeat(made).await;
                    self.unless(done, &[name]);
                }
                Err(why) => self.found.unclear(name, why),
            }
        }
        match &old {
            Ok(old) => {
                let done = self.reference_space(old).await;
                self.unless(done, &["ref_space"]);
            }
            Err(why) => self.found.unclear("ref_space", why),
        }
        self.queries(to_second).await;
        Ok(())
    }

    /// Whether no conversion was made, and none may have been.
    fn has_sent_nothing(&self) -> bool {
        self.found.conversions().is_empty() && self.unanswered == [false; 2]
    }

    /// What takes a record of each side, and lists that show them.
    async fn both(&mut self, old: &Result<Made, Unseen>, new: &Result<Made, Unseen>) {
        let [of_old, of_new] = self.lists.clone();
        let lists = of_old.and(of_new);
        let (old, new) = match (old, new, &lists) {
            (Ok(old), Ok(new), Ok(())) => (old, new),
            (Err(why), ..) | (_, Err(why), _) | (_, _, Err(why)) => {
                for name in ["mirror", "mirror_back", "ref_match"] {
                    self.found.unclear(name, why);
                }
                return;
            }
        };
        let done = self.mirrors(old, new).await;
        self.unless(done, &["mirror", "mirror_back"]);
        let done = self.spelling(old, new).await;
        self.unless(done, &["ref_match"]);
    }

    /// Notes why these facts are not known, unless the step was done.
    fn unless(&mut self, done: Result<(), ProbeError>, names: &[&'static str]) {
        if let Err(error) = done {
            self.found.failed(names, &error.to_string());
        }
    }

    /// The record of a side that the rest looks at, and how long it took to show.
    async fn base(
        &mut self,
        side: Side,
        ref_id: String,
        names: [&'static str; 2],
    ) -> Result<Made, ProbeError> {
        let made = self.convert(side, ref_id, None).await.inspect_err(|error| {
            self.found.failed(&names, &error.to_string());
        })?;
        if let Err(error) = self.lags(&made, names).await {
            // A list that does not show what is there proves no absence.
            self.lists[side as usize] = Err(error.to_string());
            self.found.failed(&names, &error.to_string());
        }
        Ok(made)
    }

    /// A conversion whose reference has a space, to the second profile; `None` without one, or if it is refused.
    async fn convert_to_second_profile(&mut self) -> Option<Made> {
        let second = self.with.second_profile_id.clone()?;
        let made = self.convert(Side::New, spaced(), Some(&second)).await;
        made.inspect_err(|error| {
            self.found.failed(&["profile_filter"], &format!("to the second profile, {error}"));
        })
        .ok()
    }

    /// What a query means, by a conversion whose reference has a space: that to the second profile, if there is one.
    async fn queries(&mut self, to_second: Option<Made>) {
        let second = self.with.second_profile_id.clone().filter(|_| to_second.is_some());
        let names: &[_] = if second.is_some() { &["query_plus", "profile_filter"] } else { &["query_plus"] };
        let made = match to_second {
            Some(made) => Ok(made),
            None => self.convert(Side::New, spaced(), None).await,
        };
        let made = match made {
            Ok(made) => made,
            Err(error) => return self.found.failed(names, &error.to_string()),
        };
        if let Err(error) = self.until_listed(&made).await {
            return self.found.failed(names, &error.to_string());
        }
        let done = self.plus(&made).await;
        self.unless(done, &["query_plus"]);
        if let Some(second) = second {
            let done = self.profile_filter(&made, &second).await;
            self.unless(done, &["profile_filter"]);
        }
    }

    /// Converts once. Whatever is answered, the create is not repeated.
    async fn convert(
        &mut self,
        side: Side,
        ref_id: String,
        recipient: Option<&str>,
    ) -> Result<Made, ProbeError> {
        let answer = self.create(side, &ref_id, recipient).await?;
        let answered = Instant::now();
        let made = found_conversion(side, &answer.body).filter(|_| answer.status == StatusCode::OK);
        let Some(made) = made else {
            let why = format!("a create is answered {}: {}", answer.status.as_u16(), problem_of(&answer));
            if !answer.status.is_client_error() {
                self.note_unanswered(side, &ref_id);
            }
            return Err(refused(side, &why));
        };
        self.found.converted([side.as_str().to_owned(), ref_id.clone(), made.id.clone()]);
        if side == Side::New && !self.found.has("approvals") {
            let status = serde_json::from_slice::<Value>(&answer.body).unwrap_or_default()["status"].clone();
            let approvals = match status.as_str().and_then(Status::parse) {
                Some(Status::Pending | Status::PendingApproval) => "pending",
                Some(Status::Processing | Status::Completed | Status::Failed | Status::Rejected) | None => {
                    "none"
                }
            };
            self.found.seen("approvals", approvals, format!("the answer to a create on new says {status}"));
        }
        Ok(Made { side, ref_id, id: made.id, answered })
    }

    /// The create may have converted: it is on record, and nothing more is converted on that side.
    fn note_unanswered(&mut self, side: Side, ref_id: &str) {
        self.unanswered[side as usize] = true;
        self.found.finding(format!(
            "a create on the {side} side with ref_id {ref_id} may have converted: its answer does not say"
        ));
    }

    pub(super) async fn create(
        &mut self,
        side: Side,
        ref_id: &str,
        recipient: Option<&str>,
    ) -> Result<DecodedAnswer, ProbeError> {
        if self.unanswered[side as usize] {
            return Err(refused(side, "nothing more is converted, because it gave no answer to a create"));
        }
        if let Some((ledger, tenant)) = &self.ledger {
            let key = Key::new(tenant, ref_id).map_err(|error| ProbeError::Refused(error.to_string()))?;
            // Before the create, so that a walk knows the record as a probe's even if this process ends with the answer unread.
            ledger.record_probe_ref(key).await?;
        }
        let body = create_body(self.with, (side, ref_id), recipient)?;
        let Conversions { amount, source_asset, target_asset, .. } = self.with;
        // Before it is sent, so that it is known whatever comes of it.
        tracing::info!(target: "probe", %side, ref_id, amount, source_asset, target_asset, "converting");
        let answer = self.calls.create(side, body).await;
        if let Err(ProbeError::NoAnswer(..)) = answer {
            self.note_unanswered(side, ref_id);
        }
        answer
    }
}

/// A reference with a space in it.
fn spaced() -> String {
    format!("Probe {}", Uuid::new_v4().simple())
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
