//! Ledgers as an operator makes them, before a process serves with them.

use std::path::Path;
use std::time::Duration;

use conversion_shim::ledger::{Identity, Ledger, OperatorReason, Settings};

/// The id of every ledger that these tests make on purpose.
pub(crate) const ID: &str = "test";

/// The keys of a ledger, for a proxy in this process that is given none: a config in which creates go to the new API must name one.
pub(crate) const UNUSED: [(&str, &str); 3] =
    [("ledger.url", "postgres://unused/ledger"), ("ledger.id", ID), ("ledger.new_in_use", "true")];

/// `ledger init`, and `ledger open-new` where creates may go to the new API. Blocks.
pub(crate) fn make(url: &str, new_in_use: bool) {
    make_named(url, ID, new_in_use);
}

/// As [`make`], of another deployment, where creates may go to the new API. Blocks.
pub(crate) fn make_another(url: &str) {
    make_named(url, "another", true);
}

fn make_named(url: &str, id: &'static str, new_in_use: bool) {
    let url = url.to_owned();
    // A runtime of its own: the caller may be on one.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    std::thread::spawn(move || runtime.block_on(make_at(&url, id, new_in_use))).join().unwrap();
}

async fn make_at(url: &str, id: &str, new_in_use: bool) {
    let identity = Identity { id: Some(id.into()), adopt: true, new_in_use, ..Identity::default() };
    let timeout = Duration::from_secs(30);
    let settings = Settings { timeout, identity: identity.clone(), ..Settings::new(url) };
    let ledger = Ledger::open_beside(&settings).await.unwrap();
    let reason = || OperatorReason { operator: "test".into(), why: "test".into() };
    ledger.init(reason(), Identity { tenant: Some("default".into()), ..identity }).await.unwrap();
    if new_in_use {
        ledger.open_new(reason()).await.unwrap();
    }
    ledger.shutdown().await;
}

/// The lines of a config that name such a ledger, which is made. Blocks.
pub(crate) fn keys(url: &str, new_in_use: bool) -> String {
    make(url, new_in_use);
    named(url, new_in_use)
}

/// The lines of a config that name a ledger that was made.
pub(crate) fn named(url: &str, new_in_use: bool) -> String {
    format!("ledger.url = \"{url}\"\nledger.id = \"{ID}\"\nledger.new_in_use = {new_in_use}\n")
}

/// A copy as `sqlite3 ledger.db ".backup"` makes it.
pub(crate) async fn vacuum_into(ledger: &Path, copy: &Path) {
    use sqlx::{ConnectOptions as _, Connection as _};
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(ledger);
    let mut connection = options.connect().await.unwrap();
    let sql = format!("VACUUM INTO '{}'", copy.display());
    sqlx::query(sqlx::AssertSqlSafe(sql)).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}
