//! A PostgreSQL server whose standby takes its place.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use sqlx::Connection as _;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::postgres::Postgres;

/// The address that the replicas connect to, as a virtual address or a DNS name would be.
pub(crate) struct Address {
    listen: SocketAddr,
    target: Arc<watch::Sender<u16>>,
}

impl Address {
    pub(crate) async fn of(server: &Postgres) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let listen = listener.local_addr().unwrap();
        let target = Arc::new(watch::Sender::new(server.port()));
        let switch = Arc::clone(&target);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(relay(client, switch.subscribe()));
            }
        });
        Self { listen, target }
    }

    /// Leads to another server; open connections break.
    pub(crate) fn switch_to(&self, server: &Postgres) {
        self.target.send_replace(server.port());
    }

    /// The URL of the database behind it.
    pub(crate) fn url(&self) -> String {
        format!("postgres://postgres@{}/postgres?sslmode=disable", self.listen)
    }
}

async fn relay(mut client: TcpStream, mut target: watch::Receiver<u16>) {
    let port = *target.borrow_and_update();
    let Ok(mut server) = TcpStream::connect(("127.0.0.1", port)).await else { return };
    tokio::select! {
        _ = copy_bidirectional(&mut client, &mut server) => {}
        _ = target.changed() => {}
    }
}

/// A primary that confirms nothing before its standby has it.
pub(crate) async fn synchronous(primary: &Postgres, name: &str) -> Postgres {
    let standby = primary.standby(name);
    primary.set(&format!("synchronous_standby_names = '{name}'"));
    primary.reload();
    let mut connection = sqlx::PgConnection::connect(&primary.url()).await.unwrap();
    let sql = "SELECT COUNT(*) FROM pg_stat_replication WHERE application_name = $1 AND sync_state = 'sync'";
    let synced = async {
        while sqlx::query_as::<_, (i64,)>(sql).bind(name).fetch_one(&mut connection).await.unwrap() != (1,) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), synced).await.expect("a synchronous standby");
    standby
}
