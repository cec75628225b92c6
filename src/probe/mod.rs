//! What the vendor's documents leave open, settled with a few real calls.
//!
//! `calls` makes them. What they show is decided by `read_only`, `cursors`, `order` and `scopes`, which only read, and by
//! `conversions` with `visibility` and `references`. `facts_found` is the result, which `facts.file` names.
//! A fact loosens a rule of the cutover, so it is written only when an answer shows it: what was not seen stays "not known".

mod calls;
mod conversions;
mod cursors;
mod facts_found;
mod funding;
mod order;
mod pages;
mod pairs;
mod read_only;
mod references;
mod scopes;
mod visibility;

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;

use self::calls::Calls;
pub(crate) use self::facts_found::FactsFound;
use self::pages::{Subject, Unseen};
pub(crate) use self::pairs::PairsMade;
use self::pairs::{CALLS_PER_PAIR, Pairs};
use crate::config::Config;
use crate::ledger::{Ledger, LedgerError};
use crate::shadow::pair::PairRecords;
use crate::translate::evidence::WalkedRecord;
use crate::translate::side::Side;
use crate::upstream::UpstreamClient;

/// The most calls of one probe, those for tokens left out.
pub(crate) const CALLS_MAX: u32 = 40;

#[derive(Debug)]
pub(crate) struct ProbeOptions {
    /// A value of `Authorization`, in place of the config's credentials.
    pub(crate) token: Option<HeaderValue>,
    /// `None`: only reads.
    pub(crate) conversions: Option<Conversions>,
    /// How old the cursor of a list is at least when it is used.
    pub(crate) cursor_age: Duration,
}

#[derive(Debug)]
pub(crate) struct Conversions {
    pub(crate) profile_id: String,
    /// Another profile of the customer, to see what a filter by profile compares.
    pub(crate) second_profile_id: Option<String>,
    /// A decimal string in the source asset.
    pub(crate) amount: String,
    pub(crate) source_asset: String,
    pub(crate) target_asset: String,
    /// How long a side may take to show a record before it counts as not shown.
    pub(crate) settle: Duration,
    /// Whether to deposit test funds before.
    pub(crate) fund: bool,
}

/// Why a probe ended before it converted anything, or why one of its steps failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProbeError {
    #[error("the {0} side could not be asked: {1}")]
    NoAnswer(&'static str, String),
    #[error("{0}")]
    Refused(String),
    #[error("more than {0} calls would be needed")]
    TooManyCalls(u32),
    #[error("the reference could not be recorded, so nothing was sent: {0}")]
    Ledger(#[from] LedgerError),
}

/// Makes the calls. `ledger` keeps the references of the conversions apart; without one nothing counts them either.
///
/// # Errors
/// [`ProbeError`].
pub(crate) async fn probe(
    config: Arc<Config>,
    upstream: UpstreamClient,
    ledger: Option<&Ledger>,
    options: &ProbeOptions,
) -> Result<FactsFound, ProbeError> {
    let mut found = FactsFound::new(&config);
    let mut calls = Calls::new(config, upstream, options.token.clone());
    read_only::probe(&mut calls, &mut found).await?;
    let begun = cursors::begin(&mut calls).await;
    let made = match &options.conversions {
        Some(conversions) => Some(conversions::probe(&mut calls, ledger, conversions, &mut found).await?),
        None => None,
    };
    for (side, first) in [Side::Legacy, Side::New].into_iter().zip(&begun) {
        let rows = first.as_ref().map_or(&[][..], |first| &first.rows);
        let subject = subject(rows, made.as_ref().map(|made| &made[side as usize]));
        order::probe(&mut calls, (side, subject), rows, &mut found).await;
    }
    cursors::end(&mut calls, &begun, options.cursor_age, &mut found).await;
    read_only::refusals(&calls, &mut found);
    scopes::probe(&calls, &mut found);
    found.calls = calls.made();
    Ok(found)
}

/// A record to look at in lists: one that has others around it, else the one that was made.
fn subject(rows: &[WalkedRecord], made: Option<&Result<Subject, Unseen>>) -> Result<Subject, Unseen> {
    // One at the edge of a millisecond shows no difference between a side that compares those and one that compares microseconds.
    let is_at_edge = |at: jiff::Timestamp| matches!(at.subsec_microsecond(), 0 | 999);
    let fittest = |row: &&WalkedRecord| (is_at_edge(row.created_at), row.created_at);
    let oldest = rows.iter().min_by_key(fittest).filter(|_| rows.len() > 1);
    match (oldest, made) {
        (Some(oldest), _) => Ok(Subject::of(oldest)),
        (None, Some(made)) => made.clone(),
        (None, None) => Err("there are fewer than two records".to_owned()),
    }
}

/// Where pairs are made, and how many.
pub(crate) struct PairOptions<'a> {
    pub(crate) token: Option<HeaderValue>,
    pub(crate) with: &'a Conversions,
    pub(crate) count: u32,
    /// Takes the records, one line each.
    pub(crate) out: &'a mut (dyn Write + Send),
}

/// Makes the same conversion once on each side, `count` times, and compares what both show of it while it settles.
///
/// # Errors
/// [`ProbeError`].
pub(crate) async fn probe_pairs(
    config: Arc<Config>,
    upstream: UpstreamClient,
    ledger: Option<&Ledger>,
    options: PairOptions<'_>,
) -> Result<PairsMade, ProbeError> {
    let PairOptions { token, with, count, out } = options;
    let records = PairRecords::new(&config);
    let mut calls = Calls::new(config.clone(), upstream, token).at_most(CALLS_PER_PAIR.saturating_mul(count));
    if with.fund {
        let funded = funding::deposit(&mut calls, with, count.saturating_mul(2)).await;
        tracing::info!(target: "probe", funded = funded.as_deref().unwrap_or_else(|why| why), "test funds");
    }
    let tenant = config.ledger.as_ref().map_or("default", |ledger| ledger.tenant.as_str()).to_owned();
    let ledger = ledger.map(|ledger| (ledger, tenant));
    let made = PairsMade::default();
    Pairs { calls: &mut calls, ledger, with, records, out, made }.run(count).await
}
