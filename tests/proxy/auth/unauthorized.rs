//! Creates with credentials that the vendor refuses, from an address that others share.

use crate::support::test_bed::TestBed;

/// Sends creates that are answered 401 until the proxy limits the address; how many were.
async fn exhaust(bed: &TestBed, token: impl Fn(usize) -> String) -> usize {
    for at in 0..=200 {
        let created = bed.client.with_token(&token(at)).create(&format!("{}-{at}", token(at))).await;
        if created.status == 429 {
            let detail = created.problem(429)["detail"].to_string();
            assert!(detail.contains("answered 401"), "{detail}");
            return at;
        }
        created.problem(401);
    }
    unreachable!("never limited");
}

#[tokio::test]
async fn an_expired_token_does_not_stop_the_creates_of_others() {
    for stage in ["ready", "live", "sealed"] {
        let bed = TestBed::at(stage).await;
        // One client's token has expired; it goes on.
        assert_eq!(exhaust(&bed, |_| "expired".into()).await, 60, "{stage}");
        for at in 0..70 {
            bed.client.create(&format!("good-{at}")).await.id();
        }
        bed.client.with_token("expired").create("again").await.problem(429);
    }
}

#[tokio::test]
async fn made_up_tokens_are_limited_by_address() {
    let bed = TestBed::at("live").await;
    bed.client.with_token("made-up").create("first").await.problem(401);
    // Seen with a success while the address is counted.
    bed.client.create("good").await.id();
    assert_eq!(exhaust(&bed, |at| format!("made-up-{at}")).await, 119);
    bed.client.create("still-good").await.id();
}
