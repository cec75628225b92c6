//! Lists of a vendor that writes its times in the rarer forms of RFC 3339 (section 5.6).

use serde_json::json;

use crate::support::test_bed::TestBed;
use crate::support::wire::scripted::{Asked, Said, ScriptedVendor, json};

const OLD: [&str; 3] =
    ["2026-01-01T00:00:00.1234567890123Z", "2026-01-01t00:00:02z", "2026-01-01 00:00:04+00:00"];
const NEW: [&str; 2] = ["2026-01-01T00:00:01.0000000001z", "2026-01-01T00:00:60Z"];

fn answer(asked: &Asked) -> Said {
    if asked.id().starts_with("old-") || asked.id().starts_with("new-") {
        return crate::support::wire::scripted::problem(404, "not found");
    }
    let (side, times) = if asked.is_for_new() { ("new", NEW.as_slice()) } else { ("old", OLD.as_slice()) };
    let row = |(at, time): (usize, &&str)| {
        json!({
            "id": format!("{side}-{at}"), "ref_id": format!("{side}-{at}"), "profile_id": "p", "amount": "1", "source_amount": "1",
            "source_asset": "USD", "destination_asset": "PYUSD", "target_asset": "PYUSD", "status": "COMPLETED",
            "source": { "profile": { "profile_id": "p" } }, "destination": { "profile": { "profile_id": "p" } },
            "created_at": time, "updated_at": time,
        })
    };
    let rows: Vec<_> = times.iter().enumerate().map(row).collect();
    json(&json!({ "items": rows }))
}

#[tokio::test]
async fn rows_are_ordered_by_times_in_any_form() {
    let vendor = ScriptedVendor::start(answer).await;
    let keys = [("stage", "live"), ("upstream.legacy.url", &*vendor.url), ("upstream.new.url", &vendor.url)];
    let bed = TestBed::with(&keys).await;
    let listed = bed.client.list("order=ASC&limit=10").await;
    assert_eq!(listed.status, 200, "{:?}", listed.body);
    let page = listed.json();
    let times: Vec<_> =
        page["items"].as_array().unwrap().iter().map(|row| row["created_at"].clone()).collect();
    // As the vendor wrote them. A leap second is taken for the second before it.
    assert_eq!(times, [OLD[0], NEW[0], OLD[1], OLD[2], NEW[1]].map(serde_json::Value::from));
}
