//! The vendor's place, as cheap as can be: reads a request to its end and writes the answer of the running scenario, whatever
//! was asked. One request or two, GET or POST, it only counts them.

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use arc_swap::ArcSwap;
use tokio::{
    io::AsyncWriteExt,
    net::{TcpListener, TcpStream},
    runtime::Runtime,
};

use super::load::Reader;

/// A running upstream; it stops with the runtime it owns.
pub(crate) struct Upstream {
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
    _runtime: Runtime,
}

#[derive(Default)]
struct Shared {
    answer: ArcSwap<Vec<u8>>,
    requests: AtomicU64,
}

impl Upstream {
    pub(crate) fn start() -> io::Result<Self> {
        let runtime = super::runtime("upstream", 1)?;
        let shared = Arc::<Shared>::default();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0"))?;
        let address = listener.local_addr()?;
        runtime.spawn(accept(listener, Arc::clone(&shared)));
        Ok(Self { address, shared, _runtime: runtime })
    }

    /// From now on every request gets these bytes, head and body.
    pub(crate) fn answer_with(&self, answer: Vec<u8>) {
        self.shared.answer.store(Arc::new(answer));
    }

    /// How many requests came in so far.
    pub(crate) fn requests(&self) -> u64 {
        self.shared.requests.load(Ordering::Relaxed)
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    while let Ok((socket, _)) = listener.accept().await {
        tokio::spawn(serve(socket, Arc::clone(&shared)));
    }
}

/// Serves until the proxy closes the connection.
async fn serve(mut socket: TcpStream, shared: Arc<Shared>) -> io::Result<()> {
    socket.set_nodelay(true)?;
    let mut reader = Reader::default();
    loop {
        reader.skip_message(&mut socket).await?;
        shared.requests.fetch_add(1, Ordering::Relaxed);
        let answer = shared.answer.load_full();
        socket.write_all(&answer).await?;
    }
}
