//! What `ledger show` says of attempts.

use conversion_shim::sandbox::PROFILE;
use serde_json::json;

use super::Deployment;
use crate::support::test_bed::conversion;

/// On a reused HTTP/1.1 connection a refusal is believed, and leaves its attempt open: nothing later may close it but an operator.
#[tokio::test]
async fn a_refusal_on_a_reused_connection_shows_as_an_open_attempt() {
    let deployment = Deployment::new().await;
    deployment.write("stage = \"observe\"");
    let (_replica, caller) = deployment.serve().await;
    let mut dear = conversion("dear");
    dear["amount"] = "99999999999".into();
    assert_eq!(dear["profile_id"], PROFILE);
    // On a connection of its own the refusal is certain.
    assert_eq!(caller.post(&dear).await.status, 403);
    let closed = deployment.order(&["show", "dear"]).await;
    assert_eq!(closed.row("attempts"), "1 begun, none open", "{closed:?}");
    assert_eq!(caller.create("warm").await.status, 200);
    dear["ref_id"] = "dearer".into();
    assert_eq!(caller.post(&dear).await.status, 403);
    assert_eq!(caller.post(&dear).await.status, 403);
    let shown = deployment.order(&["show", "dearer"]).await;
    let attempts = shown.row("attempts");
    assert!(attempts.starts_with("2 begun, 2 open: "), "{shown:?}");
    assert!(attempts.contains("ledger release"), "{shown:?}");
    let claim = deployment.order(&["show", "dearer", "--json"]).await.json()["claim"].clone();
    assert_eq!(claim["attempts"], json!({ "begun": 2, "closed": 0, "open": 2 }), "{claim}");
    assert_eq!(claim["generation"], 1, "{claim}");
    let warm = deployment.order(&["show", "warm"]).await;
    assert_eq!(warm.row("attempts"), "1 begun; its record is known", "{warm:?}");
}
