//! The same conversion once on each side, read back from both while it settles: evidence where shadow has no counterpart yet.

use std::collections::BTreeMap;
use std::io::Write;
use std::time::Duration;

use http::StatusCode;
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use super::calls::{Calls, DecodedAnswer, refused};
use super::conversions::create_body;
use super::{Conversions, ProbeError};
use crate::ledger::{Key, Ledger};
use crate::shadow::json::Json;
use crate::shadow::pair::{PairRead, PairRecords};
use crate::shadow::record::ShadowLine;
use crate::shadow::side_response::SideResponse;
use crate::shadow::types::Verdict;
use crate::translate::conversion::Status;
use crate::translate::evidence::{self, Finding, found_conversion};
use crate::translate::facts::{EmptyList, Facts};
use crate::translate::list::ListQuery;
use crate::translate::list::page::PageBuilder;
use crate::translate::list::rows::Rows;
use crate::translate::mapping::Origin;
use crate::translate::problem;
use crate::translate::route::Route;
use crate::translate::side::Side;

/// Calls of one pair at most: two creates, and six reads for each time that both are looked at.
pub(super) const CALLS_PER_PAIR: u32 = 100;
/// The first pause between two looks; doubled after each.
const PAUSE: Duration = Duration::from_millis(500);

/// What was made, and what it showed.
#[derive(Debug, Default)]
pub(crate) struct PairsMade {
    /// Side, reference and id.
    pub(crate) conversions: Vec<[String; 3]>,
    pub(crate) verdicts: BTreeMap<Verdict, u64>,
    pub(crate) calls: u32,
    /// Why there are fewer than were asked for.
    pub(crate) failure: Option<String>,
}

/// One conversion, made on both sides: legacy, then new.
struct Pair {
    request_id: String,
    ref_ids: [String; 2],
    ids: [String; 2],
}

/// How a record is read back.
#[derive(Clone, Copy)]
enum Way {
    Id,
    Reference,
    List,
}

impl Way {
    const ALL: [Self; 3] = [Self::Id, Self::Reference, Self::List];

    const fn route(self) -> Route {
        match self {
            Self::Id | Self::Reference => Route::Get,
            Self::List => Route::List,
        }
    }
}

type Timed = (SideResponse, Duration);

pub(super) struct Pairs<'a> {
    pub(super) calls: &'a mut Calls,
    pub(super) ledger: Option<(&'a Ledger, String)>,
    pub(super) with: &'a Conversions,
    pub(super) records: PairRecords<'a>,
    pub(super) out: &'a mut (dyn Write + Send),
    pub(super) made: PairsMade,
}

impl Pairs<'_> {
    pub(super) async fn run(mut self, count: u32) -> Result<PairsMade, ProbeError> {
        for side in [Side::Legacy, Side::New] {
            if !self.calls.may(side, true) {
                return Err(refused(side, "there are no credentials to create with: see --token-file"));
            }
        }
        for _ in 0..count {
            match self.compare().await {
                Ok(()) => {}
                // What was converted is reported all the same.
                Err(error) if !self.made.conversions.is_empty() => {
                    self.made.failure = Some(error.to_string());
                    break;
                }
                Err(error) => return Err(error),
            }
        }
        let end = self.records.end();
        self.write(&end)?;
        self.made.calls = self.calls.made();
        Ok(self.made)
    }

    async fn compare(&mut self) -> Result<(), ProbeError> {
        let pair = self.make().await?;
        self.read_back(&pair).await?;
        if self.both_settle(&pair).await? {
            self.read_back(&pair).await?;
        }
        Ok(())
    }

    async fn make(&mut self) -> Result<Pair, ProbeError> {
        let number = Uuid::new_v4().simple().to_string();
        let ref_ids = ["Old", "New"].map(|side| format!("Probe-Pair-{side}-{number}"));
        let (old, served) = self.create(Side::Legacy, &ref_ids[0]).await?;
        let (new, other) = self.create(Side::New, &ref_ids[1]).await?;
        let pair = Pair { request_id: format!("probe-pair-{number}"), ref_ids, ids: [old, new] };
        self.record(&pair, (Route::Create, ""), [served, other])?;
        Ok(pair)
    }

    /// Converts once; the create is not repeated. Returns the id and the answer in the legacy shape.
    async fn create(&mut self, side: Side, ref_id: &str) -> Result<(String, Timed), ProbeError> {
        if let Some((ledger, tenant)) = &self.ledger {
            let key = Key::new(tenant, ref_id).map_err(|error| ProbeError::Refused(error.to_string()))?;
            // Before the create, so that a walk knows the record as a probe's even if this process ends with the answer unread.
            ledger.record_probe_ref(key).await?;
        }
        let body = create_body(self.with, (side, ref_id), None)?;
        let Conversions { amount, source_asset, target_asset, .. } = self.with;
        // Before it is sent, so that it is known whatever comes of it.
        tracing::info!(target: "probe", %side, ref_id, amount, source_asset, target_asset, "converting");
        let start = Instant::now();
        let answer = self.calls.create(side, body).await.inspect_err(|error| {
            // It may have been made.
            if let ProbeError::NoAnswer(..) = error {
                self.made.conversions.push([
                    side.as_str().to_owned(),
                    ref_id.to_owned(),
                    "not known".to_owned(),
                ]);
            }
        })?;
        let made = found_conversion(side, &answer.body).filter(|_| answer.status == StatusCode::OK);
        let Some(made) = made else {
            return Err(refused(side, &format!("a create is answered {}", answer.status.as_u16())));
        };
        self.made.conversions.push([side.as_str().to_owned(), ref_id.to_owned(), made.id.clone()]);
        Ok((made.id, (as_legacy(side, &answer), start.elapsed())))
    }

    /// Reads both by id, by reference and in a list, until each way shows them at the same status or the time is over.
    async fn read_back(&mut self, pair: &Pair) -> Result<(), ProbeError> {
        let (start, mut pause) = (Instant::now(), PAUSE);
        loop {
            let mut all = Vec::new();
            for way in Way::ALL {
                all.push((
                    way,
                    [self.read(pair, Side::Legacy, way).await?, self.read(pair, Side::New, way).await?],
                ));
            }
            let is_even =
                |[(one, _), (other, _)]: &[Timed; 2]| status(one).is_some() && status(one) == status(other);
            if all.iter().all(|(_, reads)| is_even(reads)) || start.elapsed() >= self.with.settle {
                for (way, reads) in all {
                    let query = if let Way::List = way { "ref_id=R" } else { "" };
                    self.record(pair, (way.route(), query), reads)?;
                }
                return Ok(());
            }
            sleep(pause).await;
            pause *= 2;
        }
    }

    /// Whether both become final in time.
    async fn both_settle(&mut self, pair: &Pair) -> Result<bool, ProbeError> {
        let (start, mut pause) = (Instant::now(), PAUSE);
        loop {
            let mut are_final = true;
            for side in [Side::Legacy, Side::New] {
                let (record, _) = self.read(pair, side, Way::Id).await?;
                are_final &= matches!(status(&record), Some(Status::Settled | Status::Cancelled));
            }
            if are_final || start.elapsed() >= self.with.settle {
                return Ok(are_final);
            }
            sleep(pause).await;
            pause *= 2;
        }
    }

    async fn read(&mut self, pair: &Pair, side: Side, way: Way) -> Result<Timed, ProbeError> {
        let (id, ref_id, start) = (&pair.ids[side as usize], &pair.ref_ids[side as usize], Instant::now());
        let read = match way {
            Way::Id => as_legacy(side, &self.calls.get(side, id).await?),
            Way::Reference => self.by_ref(side, ref_id).await?,
            Way::List => self.list(side, ref_id).await?,
        };
        Ok((read, start.elapsed()))
    }

    async fn by_ref(&mut self, side: Side, ref_id: &str) -> Result<SideResponse, ProbeError> {
        let answer = self.calls.by_ref(side, ref_id).await?;
        let empty_list = EmptyList { array: true, absent: true, null: true };
        let facts = Facts { empty_list, ..Facts::default() };
        Ok(match evidence::read(side, &answer.reply(), ref_id, Origin::OwnReference, facts) {
            Finding::Found(record) => SideResponse::read(200, &record.json),
            Finding::Absent => SideResponse::NoCounterpart,
            Finding::OtherKind
            | Finding::Unauthorized
            | Finding::Forbidden
            | Finding::Throttled
            | Finding::Nothing(_) => SideResponse::Failed("no_proof"),
        })
    }

    /// The page that a client would get from one side.
    async fn list(&mut self, side: Side, ref_id: &str) -> Result<SideResponse, ProbeError> {
        let invalid = |error: &dyn std::fmt::Display| ProbeError::Refused(error.to_string());
        let query = ListQuery::parse(&format!("ref_id={ref_id}")).map_err(|error| invalid(&error))?;
        let mut page = PageBuilder::new(&query, &[side]);
        while let Some(call) = page.needs().pop() {
            let answer = self.calls.list_at(side, &query.path(&call)).await?;
            if answer.status != StatusCode::OK {
                return Ok(as_legacy(side, &answer));
            }
            match Rows::of(side, &answer.body, &query) {
                Ok(rows) => page.add(side, rows),
                Err(_) => return Ok(SideResponse::Failed("unreadable")),
            }
        }
        let page = page.finish().map_err(|error| invalid(&error))?;
        Ok(SideResponse::read(200, &page.body))
    }

    fn record(
        &mut self,
        pair: &Pair,
        (route, query): (Route, &'static str),
        [(served, legacy), (other, new)]: [Timed; 2],
    ) -> Result<(), ProbeError> {
        let (ref_ids, latencies) = (pair.ref_ids.clone(), [legacy, new]);
        let read = PairRead { route, query, ref_ids, responses: [served, other], latencies };
        let (verdict, line) = self.records.line(&pair.request_id, &read);
        *self.made.verdicts.entry(verdict).or_default() += 1;
        self.write(&line)
    }

    fn write(&mut self, line: &ShadowLine) -> Result<(), ProbeError> {
        let unwritten =
            |error: std::io::Error| ProbeError::Refused(format!("a record cannot be written: {error}"));
        serde_json::to_writer(&mut self.out, line).map_err(|error| unwritten(error.into()))?;
        self.out.write_all(b"\n").map_err(unwritten)
    }
}

/// An answer in the legacy shape.
fn as_legacy(side: Side, answer: &DecodedAnswer) -> SideResponse {
    let status = answer.status.as_u16();
    match side {
        Side::Legacy => SideResponse::read(status, &answer.body),
        Side::New if answer.status != StatusCode::OK => {
            SideResponse::read(status, &problem::from_orchestrations(status, &answer.body).to_json())
        }
        Side::New => match found_conversion(side, &answer.body) {
            Some(record) => SideResponse::read(status, &record.json),
            None => SideResponse::Failed("unreadable"),
        },
    }
}

/// The status of a record, or of the only row of a list.
fn status(response: &SideResponse) -> Option<Status> {
    let document = response.document()?;
    let record = match document.get("items") {
        Some(Json::Array(rows)) => rows.first()?,
        Some(_) | None => document,
    };
    record.text("status").and_then(Status::parse)
}
