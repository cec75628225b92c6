//! PostgreSQL replaced by an older base backup under the running proxy.

use conversion_shim::translate::side::Side;

use super::{LIVE, OBSERVE, READY, World};
use crate::support::postgres::Postgres;
use crate::support::test_bed::{conversion, one_on};

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_from_before_the_first_create_on_new_holds_creates() {
    let Some(server) = Postgres::start_new() else { return };
    let world = World::on(&server.url(), READY).await;
    world.client.create("before").await.id();
    server.base_backup();
    world.go(LIVE).await;
    let id = world.client.create("lost").await.id();
    server.stop();
    server.restore();
    server.start();

    // Whatever the stage: neither a retry nor another reference is sent, and no reader goes blind.
    for ref_id in ["lost", "fresh", "lost"] {
        let problem = world.client.post(&conversion(ref_id)).await.problem(503);
        assert!(problem["detail"].as_str().unwrap().contains("nothing was sent"), "{problem}");
    }
    assert_eq!(world.is_refused(OBSERVE).await, "ledger.new_in_use");
    assert_eq!(world.client.get(&id).await.id(), id);
    world.client.create("lost").await.problem(503);
    assert_eq!(world.made("lost"), one_on(Side::New));
    assert_eq!((world.posts(Side::Legacy), world.posts(Side::New)), (1, 1));
}
