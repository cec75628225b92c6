//! `reconcile` as a process: windows, the report's counts, and files that it is to write.

use conversion_shim::sandbox::{ListOrder, Operation, Variants};
use conversion_shim::translate::side::Side;
use jiff::{SignedDuration, Timestamp};
use sha2::{Digest as _, Sha256};

use super::over_http::{deployment, reconcile, seed};
use crate::identity::Deployment;
use crate::support::process::{Ran, run_with};
use crate::support::test_bed::{new_record, old_record};

const HEADER: &str = "UniqueTxID,ProfileID,Resource,ResourceID,TransactionType,Direction,Amount,Assets,OrchestrationID,ResourceTimestamp\n";

/// How many lists arrived on both sides.
fn lists(deployment: &Deployment) -> u64 {
    [Side::Legacy, Side::New]
        .map(|side| deployment.vendor.inspector().arrived(side, Operation::List))
        .iter()
        .sum()
}

async fn audit(deployment: &Deployment) -> String {
    let ran = run_with(&deployment.config(), &["audit"]).await;
    assert_eq!(ran.code, Some(0), "{ran:?}");
    ran.out
}

#[tokio::test]
async fn a_window_without_a_whole_second_is_empty_and_no_evidence() {
    let deployment = deployment("").await;
    seed(&deployment, Side::Legacy, "r", 2, 60);
    for window in [
        ["--from", "2026-11-01T10:00:28.438088Z", "--to", "2026-11-01T10:00:28.438089Z"],
        ["--from", "2026-11-01T10:00:28Z", "--to", "2026-11-01T10:00:28.9Z"],
        ["--from", "2026-11-01T10:00:28.1Z", "--to", "2026-11-01T10:00:28.9Z"],
        ["--from", "2026-11-01T10:00:28Z", "--to", "2026-11-01T10:00:28Z"],
        ["--from", "2026-11-01T10:00:29Z", "--to", "2026-11-01T10:00:28Z"],
        // No record is older.
        ["--to", "1970-01-01T00:00:00.5Z", "--format", "text"],
        ["--to", "1969-12-31T23:59:59Z", "--format", "text"],
    ] {
        let ran = reconcile(&deployment, &window).await;
        assert_eq!(ran.code, Some(2), "{window:?}: {ran:?}");
        assert!(ran.err.contains("the window is empty"), "{window:?}: {ran:?}");
    }
    assert_eq!(lists(&deployment), 0);
    assert!(!audit(&deployment).await.contains("evidence"));
    let whole = ["--from", "2026-11-01T10:00:28.9Z", "--to", "2026-11-01T10:00:29Z"];
    let ran = reconcile(&deployment, &whole).await;
    assert_eq!(ran.code, Some(0), "it begins with that second: {ran:?}");
    assert!(lists(&deployment) > 0 && audit(&deployment).await.contains("evidence"));
}

async fn with_report(deployment: &Deployment, text: &str, more: &[&str]) -> Ran {
    let file = deployment.path("report.csv");
    std::fs::write(&file, text).unwrap();
    reconcile(deployment, &[&["--report", file.to_str().unwrap()], more].concat()).await
}

#[tokio::test]
async fn a_report_counts_what_was_compared_and_one_that_compares_nothing_is_not_clean() {
    let deployment = deployment("").await;
    let made = (Timestamp::now() - SignedDuration::from_hours(2)).to_string();
    let id = deployment.vendor.inspector().seed_conversion(old_record("r", &made));
    reconcile(&deployment, &[]).await;
    let profile = conversion_shim::sandbox::PROFILE;
    let lines = format!(
        "{HEADER}1,{profile},CONVERSION,{id},CONVERSION_CREATION,DEBIT,1.5,USD,,{made}\n\
         2,{profile},CONVERSION,{id},CONVERSION_SETTLEMENT,CREDIT,1.5,PYUSD,,{made}\n\
         3,{profile},TRANSFER,x,CRYPTO_DEPOSIT,CREDIT,7,ETH,,{made}\n"
    );
    let page = deployment.path("page.html");
    let text = with_report(&deployment, &lines, &["--html", page.to_str().unwrap()]).await;
    assert_eq!(text.code, Some(0), "{text:?}");
    let counted = "3 lines, 2 about conversions; 1 records named, 1 compared";
    assert_eq!(text.row("report").trim(), counted, "{text:?}");
    assert!(std::fs::read_to_string(&page).unwrap().contains(counted));
    let json = with_report(&deployment, &lines, &["--format", "json"]).await.json();
    let sha256 = const_hex::encode(Sha256::digest(&lines));
    let expected = serde_json::json!({
        "lines": 3, "about_conversions": 2, "records": 1, "joined": 1, "sha256": sha256,
    });
    assert_eq!(json["report"], expected, "{json}");
    assert_eq!(text.row("report file").trim(), format!("SHA-256 {sha256}"), "{text:?}");
    assert!(audit(&deployment).await.contains(&format!("report file {sha256}")));
    let none = reconcile(&deployment, &["--format", "json"]).await.json();
    assert!(none["report"].is_null(), "{none}");

    for unusable in
        ["", HEADER, &lines.replace("CONVERSION,", "TRANSFER,"), &lines.replace("_SETTLEMENT", "_X")]
    {
        let before = lists(&deployment);
        let ran = with_report(&deployment, unusable, &[]).await;
        assert_eq!((ran.code, ran.out.as_str()), (Some(1), ""), "{ran:?}");
        assert!(ran.err.contains("--report: ") && ran.err.contains("report.csv"), "{ran:?}");
        assert_eq!(lists(&deployment), before, "refused before anything is walked");
    }
    let later = ["--from", "90m"];
    let ran = with_report(&deployment, &lines, &later).await;
    assert_eq!((ran.code, ran.out.as_str()), (Some(1), ""), "{ran:?}");
    assert!(ran.err.contains("no record of the report that it debits"), "{ran:?}");
}

/// A report of lines that are none of their record's is no agreement, however few they are.
#[tokio::test]
async fn a_report_that_contradicts_every_record_is_no_evidence() {
    let deployment = deployment("").await;
    let made = (Timestamp::now() - SignedDuration::from_hours(2)).to_string();
    let old = deployment.vendor.inspector().seed_conversion(old_record("r", &made));
    let new = deployment.vendor.inspector().seed_orchestration(new_record("n", &made));
    reconcile(&deployment, &[]).await;
    let one = format!("1,other,CONVERSION,{old},CONVERSION_CREATION,CREDIT,999999999,EUR,,{made}\n");
    let reserve = |number: u8| {
        format!("{number},other,ORCHESTRATION,{new},ORCHESTRATION_RESERVE,CREDIT,666,EUR,{new},{made}\n")
    };
    for lines in [one, [1, 2, 3].map(reserve).concat()] {
        let ran = with_report(&deployment, &format!("{HEADER}{lines}"), &["--format", "json"]).await;
        assert_eq!(ran.code, Some(6), "{ran:?}");
        assert_eq!(
            (&ran.json()["found"]["mismatch"], &ran.json()["report"]["joined"]),
            (&1.into(), &0.into())
        );
    }
    assert!(!audit(&deployment).await.contains("evidence"), "{}", audit(&deployment).await);
}

#[tokio::test]
async fn a_page_that_cannot_be_written_is_refused_before_the_walk() {
    let deployment = deployment("").await;
    seed(&deployment, Side::Legacy, "r", 1, 60);
    for place in ["/nonexistent/page.html", "/tmp"] {
        let ran = reconcile(&deployment, &["--html", place]).await;
        assert_eq!(ran.code, Some(1), "{ran:?}");
        assert!(ran.err.contains(&format!("--html: {place}: ")), "{ran:?}");
    }
    assert_eq!(lists(&deployment), 0);
    // A page from before is kept until there is another one.
    let page = deployment.path("page.html");
    std::fs::write(&page, "from before").unwrap();
    let ran =
        reconcile(&deployment, &["--html", page.to_str().unwrap(), "--report", "/nonexistent.csv"]).await;
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert_eq!(std::fs::read_to_string(&page).unwrap(), "from before");
    // A full disk: what was done is printed all the same.
    let full = reconcile(&deployment, &["--html", "/dev/full"]).await;
    assert_eq!(full.code, Some(1), "{full:?}");
    assert!(
        full.out.starts_with("reconcile of tenant ") && full.err.contains("--html: /dev/full: "),
        "{full:?}"
    );
}

/// What a list does without `order` is the vendor's; what it does against it is no list to walk.
#[tokio::test]
async fn a_walk_is_the_same_whatever_order_is_the_vendors_own() {
    let mut walked = Vec::new();
    for (list_order, code) in
        [(ListOrder::Newest, 0), (ListOrder::Oldest, 0), (ListOrder::Fixed, 1), (ListOrder::Unsorted, 1)]
    {
        let deployment = deployment("").await;
        let made = Timestamp::now() - SignedDuration::from_hours(2);
        for side in [Side::Legacy, Side::New] {
            for number in 0..40_i64 {
                // Some share an instant, and none has an id that follows its time.
                let made = (made + SignedDuration::from_secs(number / 3)).to_string();
                let (ref_id, id) = (format!("{side}-{number}"), format!("{}", 7 * number % 40));
                let id = format!("{id:0>8}-0000-4000-8000-{:012}", side as usize);
                let inspector = deployment.vendor.inspector();
                match side {
                    Side::Legacy => {
                        let mut record = old_record(&ref_id, &made);
                        record["id"] = id.into();
                        inspector.seed_conversion(record)
                    }
                    Side::New => {
                        let mut record = new_record(&ref_id, &made);
                        record["id"] = id.into();
                        inspector.seed_orchestration(record)
                    }
                };
            }
        }
        deployment.vendor.inspector().set_variants(Variants { list_order, ..Variants::default() });
        let ran = deployment.order(&["backfill", "--rate", "50", "--json"]).await;
        assert_eq!(ran.code, Some(code), "{list_order:?}: {ran:?}");
        if code == 0 {
            let told = ran.json();
            walked.push((told["records"].clone(), told["adopted"].clone()));
        }
    }
    assert_eq!(walked[0], walked[1]);
    assert_eq!(walked[0].1, 40);
}
