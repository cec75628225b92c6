//! The load generator: keep-alive connections that each send one request, read the answer to its end, and start again.
//! HTTP/1.1 by hand, because a full client would cost as much CPU as what is measured.

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    runtime::Runtime,
    task::JoinSet,
};

/// A load that runs until it is stopped.
pub(crate) struct Load {
    shared: Arc<Shared>,
    connections: JoinSet<io::Result<()>>,
}

#[derive(Default)]
struct Shared {
    answers: AtomicU64,
    stop: AtomicBool,
}

impl Load {
    /// Opens the connections and starts sending.
    pub(crate) fn start(
        runtime: &Runtime,
        server: SocketAddr,
        connections: usize,
        request: &Arc<[u8]>,
    ) -> Self {
        let shared = Arc::<Shared>::default();
        let mut set = JoinSet::new();
        for _ in 0..connections {
            set.spawn_on(repeat(server, Arc::clone(request), Arc::clone(&shared)), runtime.handle());
        }
        Self { shared, connections: set }
    }

    /// How many answers were read to their end so far.
    pub(crate) fn answers(&self) -> u64 {
        self.shared.answers.load(Ordering::Relaxed)
    }

    /// Lets every connection finish its request; an error means that not all of the load was there.
    pub(crate) async fn stop(mut self) -> io::Result<()> {
        self.shared.stop.store(true, Ordering::Relaxed);
        while let Some(ended) = self.connections.join_next().await {
            ended.map_err(io::Error::other)??;
        }
        Ok(())
    }
}

async fn repeat(server: SocketAddr, request: Arc<[u8]>, shared: Arc<Shared>) -> io::Result<()> {
    let mut socket = TcpStream::connect(server).await?;
    socket.set_nodelay(true)?;
    let mut reader = Reader::default();
    while !shared.stop.load(Ordering::Relaxed) {
        socket.write_all(&request).await?;
        let head = reader.skip_message(&mut socket).await?;
        if !head.succeeded {
            return Err(io::Error::other("an answer was not a 2xx"));
        }
        shared.answers.fetch_add(1, Ordering::Relaxed);
    }
    Ok(())
}

/// Sends one request on a connection of its own and returns the answer, status line to last byte.
pub(crate) async fn ask_once(server: SocketAddr, request: &[u8]) -> io::Result<(String, Vec<u8>)> {
    let mut socket = TcpStream::connect(server).await?;
    socket.write_all(request).await?;
    let mut reader = Reader::default();
    let head = reader.read_head(&mut socket).await?;
    let text = String::from_utf8_lossy(&reader.buffer[..head.length]).into_owned();
    let mut body = reader.buffer[head.length..reader.filled].to_vec();
    let missing = head.body.saturating_sub(body.len());
    let mut rest = vec![0; missing];
    socket.read_exact(&mut rest).await?;
    body.append(&mut rest);
    Ok((text, body))
}

/// Reads messages off one connection and throws their bodies away.
pub(crate) struct Reader {
    buffer: Vec<u8>,
    filled: usize,
}

impl Default for Reader {
    fn default() -> Self {
        Self { buffer: vec![0; 64 * 1024], filled: 0 }
    }
}

/// What a message's head says of the message.
pub(crate) struct Head {
    length: usize,
    body: usize,
    /// An answer with a status of 200 to 299.
    pub(crate) succeeded: bool,
}

impl Reader {
    /// Reads one message, request or answer, to its end. Messages do not overlap: nobody here pipelines.
    pub(crate) async fn skip_message(&mut self, socket: &mut TcpStream) -> io::Result<Head> {
        let head = self.read_head(socket).await?;
        let mut missing = (head.length + head.body).saturating_sub(self.filled);
        while missing > 0 {
            let read = socket.read(&mut self.buffer).await?;
            if read == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            missing = missing.saturating_sub(read);
        }
        self.filled = 0;
        Ok(head)
    }

    async fn read_head(&mut self, socket: &mut TcpStream) -> io::Result<Head> {
        loop {
            if let Some(end) = memchr::memmem::find(&self.buffer[..self.filled], b"\r\n\r\n") {
                return parse_head(&self.buffer[..end + 4]);
            }
            let read = socket.read(&mut self.buffer[self.filled..]).await?;
            if read == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.filled += read;
        }
    }
}

fn parse_head(head: &[u8]) -> io::Result<Head> {
    let mut body = 0;
    for line in head.split(|&byte| byte == b'\n') {
        let Some(colon) = memchr::memchr(b':', line) else { continue };
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        if name.eq_ignore_ascii_case(b"content-length") {
            let length = str::from_utf8(value).ok().and_then(|length| length.parse().ok());
            body = length.ok_or_else(|| io::Error::other("unreadable content-length"))?;
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            return Err(io::Error::other("chunked: every message here has a known length and must keep it"));
        }
    }
    Ok(Head { length: head.len(), body, succeeded: head.starts_with(b"HTTP/1.1 2") })
}
