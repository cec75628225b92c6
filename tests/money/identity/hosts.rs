//! Which vendor a ledger is for: hosts with their ports.

use super::{Deployment, change};

#[tokio::test]
async fn another_port_is_another_vendor() {
    let deployment = Deployment::new().await;
    let named = deployment.open_for_new().await;
    let live = format!("{named}\nstage = \"live\"");
    deployment.write(&live);
    let (replica, _) = deployment.serve().await;
    replica.kill();
    // A sidecar of another environment, on the same machine.
    let other = crate::support::test_bed::vendor().await;
    let text = std::fs::read_to_string(deployment.config()).unwrap();
    let (here, there) = (deployment.vendor.base_url(), other.base_url());
    let with = |side: &str| {
        let key = format!("upstream.{side}.url = ");
        text.replace(&format!("{key}\"{here}\""), &format!("{key}\"{there}\""))
    };
    for side in ["legacy", "new"] {
        std::fs::write(deployment.config(), with(side)).unwrap();
        let refusal = deployment.refusal().await;
        let named = format!("upstream.{side}.url: differs from what the ledger is for");
        assert!(refusal.contains(&named), "{side}: {refusal}");
    }
    // A ledger of before knew no ports.
    change(
        &deployment.ledger(),
        "UPDATE ledger_settings SET value = 'legacy=127.0.0.1 new=127.0.0.1' WHERE name = 'hosts'",
    )
    .await;
    for text in [text.clone(), with("new")] {
        std::fs::write(deployment.config(), text).unwrap();
        deployment.serve().await.0.kill();
    }
    // Until an operator says which port it is.
    assert_eq!(deployment.order(&["accept", "--why", "ports"]).await.code, Some(0));
    std::fs::write(deployment.config(), &text).unwrap();
    assert!(deployment.refusal().await.contains("upstream.new.url: differs"));
}
