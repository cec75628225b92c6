//! Test funds for the profile, at a vendor that holds no money.

use http::StatusCode;
use rust_decimal::Decimal;
use serde_json::json;

use super::Conversions;
use super::calls::{Calls, DecodedAnswer, problem_of};
use super::facts_found::FactsFound;
use super::pages::Unseen;
use crate::translate::paths;
use crate::translate::route::Id;

/// The asset that is no coin, and so is deposited without a network.
const FIAT: &str = "USD";

/// Deposits what `count` conversions need. Whatever is answered, it is not repeated, and the conversions show whether the profile has
/// enough.
pub(super) async fn deposit(calls: &mut Calls, with: &Conversions, count: u32) -> Result<String, Unseen> {
    let Conversions { profile_id, amount, source_asset, .. } = with;
    let needed = Decimal::from_str_exact(amount).ok().and_then(|amount| amount.checked_mul(count.into()));
    let needed =
        needed.ok_or_else(|| format!("{amount} is no amount for a deposit"))?.normalize().to_string();
    let mut body = json!({ "asset": source_asset, "amount": needed });
    if source_asset != FIAT {
        body["crypto_network"] = "ETHEREUM".into();
    }
    let path = paths::sandbox_deposit(&Id::known(profile_id).to_segment());
    tracing::info!(target: "probe", profile_id, amount = needed, asset = source_asset, "depositing test funds");
    let answer = calls.deposit(&path, body.to_string()).await.map_err(|error| error.to_string())?;
    verdict(&answer, format!("{needed} {source_asset}"))
}

fn verdict(answer: &DecodedAnswer, funds: String) -> Result<String, Unseen> {
    match answer.status {
        StatusCode::OK => Ok(funds),
        status => {
            Err(format!("a deposit of {funds} is answered {}: {}", status.as_u16(), problem_of(answer)))
        }
    }
}

pub(super) fn note(deposited: Result<String, Unseen>, found: &mut FactsFound) {
    match deposited {
        Ok(funds) => found.measured("funded", &funds, "a deposit of test funds to --profile-id"),
        Err(why) => found.measured("funded", "no", why),
    }
}
