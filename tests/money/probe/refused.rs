//! What is refused before anything is converted, and what a create costs that the vendor refuses.

use conversion_shim::sandbox::{Fault, FaultKind, Operation, PROFILE, RefusalBody, SECOND_PROFILE};
use conversion_shim::translate::side::Side;
use http::StatusCode;
use serde_json::Value;

use super::{CONVERT, fact, how, prepared, probe};
use crate::identity::Deployment;

fn creates(deployment: &Deployment) -> u64 {
    let inspector = deployment.vendor.inspector();
    [Side::Legacy, Side::New].map(|side| inspector.arrived(side, Operation::Create)).iter().sum()
}

#[tokio::test]
async fn a_file_that_cannot_be_written_is_refused_before_a_conversion() {
    let (deployment, _) = prepared().await;
    for place in ["/nonexistent/x.toml", "/tmp"] {
        let ran = probe(&deployment, &[&CONVERT[..], &["--out", place]].concat()).await;
        assert_eq!(ran.code, Some(1), "{ran:?}");
        assert!(ran.err.contains(&format!("--out: {place}: ")), "{ran:?}");
        let pairs = ["--profile-id", PROFILE, "--pairs", "1", "--pairs-log", place];
        let ran = probe(&deployment, &pairs).await;
        assert_eq!(ran.code, Some(1), "{ran:?}");
        assert!(ran.err.contains(&format!("--pairs-log: {place}: ")), "{ran:?}");
        assert!(!ran.err.contains("runtime"), "{ran:?}");
    }
    assert_eq!(creates(&deployment), 0);

    // Facts from before stay while there are no others.
    let file = deployment.path("facts.toml");
    std::fs::write(&file, "from before").unwrap();
    let new = deployment.path("new.toml");
    for out in [&file, &new] {
        let nobody = ["--profile-id", "nobody", "--settle", "1s", "--out", out.to_str().unwrap()];
        assert_eq!(probe(&deployment, &nobody).await.code, Some(1));
    }
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "from before");
    assert!(!new.exists(), "no empty file is left");
    let ran = probe(&deployment, &[&CONVERT[..], &["--out", file.to_str().unwrap()]].concat()).await;
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(std::fs::read_to_string(&file).unwrap().starts_with("# Written by"));

    // A disk that fills up meanwhile: what was converted is printed all the same.
    let full = probe(&deployment, &[&CONVERT[..], &["--out", "/dev/full"]].concat()).await;
    assert_eq!(full.code, Some(1), "{full:?}");
    assert!(full.out.contains("converted on legacy: ref_id Probe-Old"), "{full:?}");
    assert!(full.err.contains("--out: /dev/full: "), "{full:?}");
}

#[tokio::test]
async fn what_would_show_a_false_fact_is_refused() {
    let (deployment, _) = prepared().await;
    let one = ["--profile-id", PROFILE, "--second-profile-id"];
    for (more, word) in [
        (&[PROFILE][..], "--second-profile-id"),
        (&[SECOND_PROFILE, "--settle", "0s"], "--settle"),
        (&[SECOND_PROFILE, "--settle", "999ms"], "--settle"),
    ] {
        let ran = probe(&deployment, &[&one[..], more].concat()).await;
        assert_eq!(ran.code, Some(2), "{ran:?}");
        assert!(ran.err.contains(word), "{word}: {ran:?}");
    }
    assert_eq!(creates(&deployment), 0);
}

#[tokio::test]
async fn a_refused_create_costs_only_its_own_fact() {
    let (deployment, _) = prepared().await;
    let file = deployment.path("facts.toml");
    let wrong = ["--profile-id", PROFILE, "--second-profile-id", "nobody", "--settle", "1s"];
    let more = ["--format", "json", "--out", file.to_str().unwrap()];
    let ran = probe(&deployment, &[&wrong[..], &more].concat()).await;
    assert_eq!(ran.code, Some(1), "{ran:?}");
    let found = ran.json();
    for (name, value) in [
        ("profile_filter", "not known"),
        ("query_plus", "space"),
        ("mirror", "no"),
        ("mirror_back", "no"),
        ("ref_match", "exact"),
        ("ref_space", "separate"),
        ("repeat_on_new", "409 with existing"),
    ] {
        assert_eq!(fact(&found, name), value, "{name}: {found}");
    }
    assert!(
        how(&found, "profile_filter")
            .contains("to the second profile, the new side: a create is answered 404"),
        "{found}"
    );
    assert!(ran.err.contains("not found out: profile_filter: "), "{ran:?}");
    assert!(found["calls"].as_u64().unwrap() <= 40, "{found}");
    // It is tried before anything is converted.
    let log: Vec<Value> = ran.err.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let first = log.iter().find(|line| line["message"] == "converting").unwrap();
    assert!(first["ref_id"].as_str().unwrap().starts_with("Probe ") && first["side"] == "new", "{first}");
    let written = std::fs::read_to_string(&file).unwrap();
    assert!(
        written.contains("# profile_filter is not known: ") && written.contains("ref_match = \"exact\""),
        "{written}"
    );
    let made = found["conversions"].as_array().unwrap().len();
    let inspector = deployment.vendor.inspector();
    let applied = [Side::Legacy, Side::New].map(|side| inspector.applied(side, Operation::Create));
    assert_eq!(made as u64, applied.iter().sum::<u64>(), "{found}");
}

/// Whichever create is refused, what was converted is listed, and the other facts are found.
#[tokio::test]
async fn whatever_is_refused_is_listed_with_the_rest() {
    let (deployment, _) = prepared().await;
    let refused =
        |code| FaultKind::Status { code, retry_after: None, body: RefusalBody::Problem, applied: false };
    for (side, skipped, code, lost, kept) in [
        (Side::Legacy, 0, StatusCode::FORBIDDEN, "mirror", "repeat_on_new"),
        (Side::New, 1, StatusCode::FORBIDDEN, "mirror_back", "repeat_on_legacy"),
        (Side::New, 1, StatusCode::BAD_GATEWAY, "mirror_back", "repeat_on_legacy"),
    ] {
        let fault = Fault::new(refused(code)).on(side, Operation::Create).after(skipped).times(1);
        let fault = deployment.vendor.faults().arm(fault);
        let ran = probe(&deployment, &[&CONVERT[..], &["--format", "json"]].concat()).await;
        deployment.vendor.faults().remove(&fault);
        assert_eq!(ran.code, Some(1), "{ran:?}");
        let found = ran.json();
        assert_eq!(fact(&found, lost), "not known", "{side} {code}: {found}");
        assert!(how(&found, lost).contains(code.as_str()), "{side} {code}: {found}");
        assert_eq!(fact(&found, kept), "409 with existing", "{side} {code}: {found}");
        assert!(found["conversions"].as_array().unwrap().len() > 1, "{found}");
        let may_have = found["findings"].to_string().contains("may have converted");
        assert_eq!(may_have, code == StatusCode::BAD_GATEWAY, "{found}");
    }
    // Pairs: the first one is listed when the second is refused.
    let fault = Fault::new(refused(StatusCode::FORBIDDEN)).on(Side::New, Operation::Create).after(1);
    deployment.vendor.faults().arm(fault);
    let log = deployment.path("pairs.jsonl");
    let pairs =
        ["--profile-id", PROFILE, "--settle", "1s", "--pairs", "2", "--pairs-log", log.to_str().unwrap()];
    let ran = probe(&deployment, &pairs).await;
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert_eq!(ran.out.matches("converted on legacy: ").count(), 2, "{ran:?}");
    assert!(ran.err.contains("a create is answered 403"), "{ran:?}");
}
