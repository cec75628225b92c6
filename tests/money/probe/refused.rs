//! What is refused before anything is converted.

use conversion_shim::sandbox::{Operation, PROFILE, SECOND_PROFILE};
use conversion_shim::translate::side::Side;

use super::{CONVERT, prepared, probe};
use crate::identity::Deployment;

fn creates(deployment: &Deployment) -> u64 {
    let books = deployment.vendor.inspector();
    [Side::Legacy, Side::New].map(|side| books.arrived(side, Operation::Create)).iter().sum()
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
