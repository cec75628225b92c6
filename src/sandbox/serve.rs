//! The port: accepting, TLS, HTTP/1.1 and HTTP/2, resets, going down and coming up. What is answered lives in `answer`.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use super::answer::{Outcome, Vendor};

/// A wish concerning the front door, and whom to tell when it is done.
pub(super) enum ListenerCommand {
    Close(oneshot::Sender<()>),
    CloseFor(Duration),
    Open(oneshot::Sender<io::Result<()>>),
}

/// Serves until the task is aborted; every connection ends with it.
pub(super) async fn serve(
    mut listener: TcpListener,
    tls: Option<TlsAcceptor>,
    vendor: Arc<Vendor>,
    mut door: mpsc::UnboundedReceiver<ListenerCommand>,
    address: SocketAddr,
) {
    loop {
        let mut connections = JoinSet::new();
        let pause = loop {
            tokio::select! {
                accepted = listener.accept() => if let Ok((stream, _)) = accepted {
                    connections.spawn(connection(stream, tls.clone(), Arc::clone(&vendor)));
                },
                Some(_) = connections.join_next() => {}
                wish = door.recv() => match wish {
                    None => return,
                    Some(ListenerCommand::Open(done)) => drop(done.send(Ok(()))),
                    Some(ListenerCommand::CloseFor(pause)) => break Err(pause),
                    Some(ListenerCommand::Close(done)) => break Ok(done),
                },
            }
        };
        drop(listener);
        connections.shutdown().await;
        listener = match closed(pause, &mut door, address).await {
            Some(listener) => listener,
            None => return,
        };
    }
}

/// Refuses connections until it is told to open, or the pause is over. `None` when the sandbox stops.
async fn closed(
    pause: Result<oneshot::Sender<()>, Duration>,
    door: &mut mpsc::UnboundedReceiver<ListenerCommand>,
    address: SocketAddr,
) -> Option<TcpListener> {
    // A socket that is bound but does not listen refuses connections and keeps the port from being given to others.
    let mut reserved = bind(address).ok();
    let end = pause.as_ref().err().map(|pause| tokio::time::Instant::now() + *pause);
    if let Ok(done) = pause {
        let _ = done.send(());
    }
    loop {
        let wish = match end {
            Some(end) => tokio::time::timeout_at(end, door.recv()).await.ok(),
            None => Some(door.recv().await),
        };
        let told = match wish {
            Some(None) => return None,
            Some(Some(ListenerCommand::Close(done))) => {
                let _ = done.send(());
                continue;
            }
            Some(Some(ListenerCommand::CloseFor(_))) => continue,
            Some(Some(ListenerCommand::Open(done))) => Some(done),
            None => None,
        };
        drop(reserved.take());
        match bind(address).and_then(|socket| socket.listen(1024)) {
            Ok(listener) => {
                told.map(|done| done.send(Ok(())));
                return Some(listener);
            }
            Err(error) => told.map(|done| done.send(Err(error)))?.ok()?,
        }
    }
}

/// A socket on that address that may follow one whose connections still linger.
pub(super) fn bind(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    Ok(socket)
}

async fn connection(stream: TcpStream, tls: Option<TlsAcceptor>, vendor: Arc<Vendor>) {
    let _ = stream.set_nodelay(true);
    let fate = Arc::new(ResetSwitch::default());
    let line = Line { stream, fate: Arc::clone(&fate) };
    match tls {
        None => exchange(line, vendor, fate).await,
        Some(acceptor) => {
            if let Ok(line) = acceptor.accept(line).await {
                exchange(line, vendor, fate).await;
            }
        }
    }
}

/// Answers the requests of one connection until it ends or is to be reset.
async fn exchange(
    line: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    vendor: Arc<Vendor>,
    fate: Arc<ResetSwitch>,
) {
    let service = service_fn(|request| {
        let (vendor, fate) = (Arc::clone(&vendor), Arc::clone(&fate));
        async move {
            match vendor.answer(request).await {
                Outcome::Answer(response) => Ok::<_, Infallible>(response),
                Outcome::Reset => {
                    fate.seal();
                    std::future::pending().await
                }
            }
        }
    });
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new());
    builder.http2().timer(TokioTimer::new());
    tokio::select! {
        _ = builder.serve_connection(TokioIo::new(line), service) => {}
        () = fate.sealed.notified() => {}
    }
}

/// Whether a connection ends by a reset.
#[derive(Default)]
struct ResetSwitch {
    reset: AtomicBool,
    sealed: Notify,
}

impl ResetSwitch {
    fn seal(&self) {
        self.reset.store(true, Ordering::Release);
        self.sealed.notify_one();
    }
}

/// The TCP stream, closed by RST instead of FIN if fate has it so.
struct Line {
    stream: TcpStream,
    fate: Arc<ResetSwitch>,
}

impl Drop for Line {
    fn drop(&mut self) {
        if self.fate.reset.load(Ordering::Acquire) {
            let _ = self.stream.set_zero_linger();
        }
    }
}

impl AsyncRead for Line {
    fn poll_read(
        mut self: Pin<&mut Self>,
        task: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(task, into)
    }
}

impl AsyncWrite for Line {
    fn poll_write(mut self: Pin<&mut Self>, task: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(task, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(task)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(task)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        task: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(task, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
