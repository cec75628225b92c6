//! What only conversions show: few, small, and each reference recorded before it is sent.

use std::time::Duration;

use http::StatusCode;
use serde_json::{Value, json};
use tokio::time::Instant;
use uuid::Uuid;

use super::calls::{Answer, Calls, problem_of, refused};
use super::facts_found::FactsFound;
use super::pages::{Subject, Unseen};
use super::{Conversions, ProbeError, funding};
use crate::ledger::{Key, Ledger};
use crate::translate::create::CreateRequest;
use crate::translate::evidence::found_conversion;
use crate::translate::facts::Facts;
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
    let mut probe = Probe { calls, ledger, with, known, found, lag, subjects };
    probe.run().await?;
    Ok(probe.subjects)
}

impl Probe<'_> {
    async fn run(&mut self) -> Result<(), ProbeError> {
        // Letters in both cases, so that another spelling is another text.
        let reference = |name: &str| format!("Probe-{name}-{}", Uuid::new_v4().simple());
        let old = self.convert(Side::Legacy, reference("Old"), None).await?;
        self.lags(&old, ["id_lag_legacy", "list_lag_legacy"]).await?;
        let new = self.convert(Side::New, reference("New"), None).await?;
        self.lags(&new, ["id_lag_new", "list_lag_new"]).await?;
        self.mirrors(&old, &new).await?;
        self.spelling(&old, &new).await?;
        for made in [&old, &new] {
            self.repeat(made).await?;
        }
        self.reference_space(&old).await?;
        self.queries().await
    }

    /// What a query means, by a conversion whose reference has a space; to the second profile, if there is one.
    async fn queries(&mut self) -> Result<(), ProbeError> {
        let second = self.with.second_profile_id.clone();
        let spaced = format!("Probe {}", Uuid::new_v4().simple());
        let spaced = self.convert(Side::New, spaced, second.as_deref()).await?;
        self.until_listed(&spaced).await?;
        self.plus(&spaced).await?;
        match second {
            Some(second) => self.profile_filter(&spaced, &second).await,
            None => Ok(()),
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
            return Err(refused(side, &why));
        };
        self.found.converted([side.as_str().to_owned(), ref_id.clone(), made.id.clone()]);
        if side == Side::New && !self.found.has("approvals") {
            let status = serde_json::from_slice::<Value>(&answer.body).unwrap_or_default()["status"].clone();
            let approvals =
                if status == "PENDING" || status == "PENDING_APPROVAL" { "pending" } else { "none" };
            self.found.seen("approvals", approvals, format!("the answer to a create on new says {status}"));
        }
        Ok(Made { side, ref_id, id: made.id, answered })
    }

    pub(super) async fn create(
        &mut self,
        side: Side,
        ref_id: &str,
        recipient: Option<&str>,
    ) -> Result<Answer, ProbeError> {
        if let Some((ledger, tenant)) = &self.ledger {
            let key = Key::new(tenant, ref_id).map_err(|error| ProbeError::Refused(error.to_string()))?;
            // Before the create, so that a walk knows the record as a probe's even if this process ends with the answer unread.
            ledger.record_probe_ref(key).await?;
        }
        let body = create_body(self.with, (side, ref_id), recipient)?;
        let Conversions { amount, source_asset, target_asset, .. } = self.with;
        // Before it is sent, so that it is known whatever comes of it.
        tracing::info!(target: "probe", %side, ref_id, amount, source_asset, target_asset, "converting");
        self.calls.create(side, body).await
    }
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
