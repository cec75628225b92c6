//! The records and balances of `serve --sandbox`: two funded profiles, and orchestrations that never were conversions.

use serde_json::{Value, json};

use super::inspector::Inspector;
use super::options::{CUSTOMER, PROFILE, SECOND_PROFILE};

pub(super) fn seed(inspector: &Inspector) {
    for profile in [PROFILE, SECOND_PROFILE] {
        for asset in ["USD", "PYUSD", "USDG", "USDP", "USDC"] {
            inspector.credit(profile, asset, "1000000");
        }
    }
    for orchestration in [deposit(), withdrawal(), payout(), by_rule()] {
        inspector.seed_orchestration(orchestration);
    }
}

fn profile(id: &str) -> Value {
    json!({ "profile": { "profile_id": id } })
}

fn orchestration(ref_id: &str, assets: [&str; 2], source: &Value, destination: &Value) -> Value {
    json!({
        "profile_id": PROFILE, "ref_id": ref_id, "source_asset": assets[0], "destination_asset": assets[1],
        "source_amount": "250", "status": "COMPLETED", "customer_id": CUSTOMER,
        "source": source, "destination": destination, "orchestration_rule_id": "", "metadata": {},
    })
}

fn deposit() -> Value {
    let source = json!({ "fiat": { "deposit_instructions_id": "0d3e1b52-8f6b-4b8e-9a36-52c1c8e0f7a1", "memo": "PX1" } });
    orchestration("seed-deposit", ["USD", "PYUSD"], &source, &profile(PROFILE))
}

fn withdrawal() -> Value {
    let destination = json!({ "crypto": {
        "address": "0x52908400098527886E0F7030069857D2E4169EE7", "network": "ETHEREUM",
    } });
    orchestration("seed-withdrawal", ["USD", "PYUSD"], &profile(PROFILE), &destination)
}

fn payout() -> Value {
    let destination =
        json!({ "fiat": { "bank_account_id": "6b1f6c0e-2a41-4f0b-93c3-0f7f1f1d5d8e", "memo": "rent" } });
    orchestration("seed-payout", ["PYUSD", "USD"], &profile(PROFILE), &destination)
}

fn by_rule() -> Value {
    let mut orchestration =
        orchestration("seed-rule", ["USDG", "USD"], &profile(PROFILE), &profile(SECOND_PROFILE));
    orchestration["orchestration_rule_id"] = json!("c5a0b8d4-3e0f-4b39-8f0a-6a7d8f2b9e10");
    orchestration
}
