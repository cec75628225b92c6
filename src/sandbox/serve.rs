//! The network: accepting, TLS, HTTP/1.1 and HTTP/2, resets, closing and reopening the port. Answers come from `vendor` and `control`.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use http::{Request, Response, StatusCode, Version};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use super::control;
use super::listener::{ListenerCommand, bind};
use super::response::{ResponseBody, VendorResponse};
use super::vendor::{Vendor, VendorOutcome};

/// Larger request bodies are refused with 413.
const MAXIMUM_BODY_BYTES: usize = 4 * 1024 * 1024;

/// The pause after a failed `accept`.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_millis(50);

/// Serves until the task is aborted; every connection ends with it.
pub(super) async fn serve(
    mut listener: TcpListener,
    tls: Option<TlsAcceptor>,
    vendor: Arc<Vendor>,
    mut commands: mpsc::UnboundedReceiver<ListenerCommand>,
    address: SocketAddr,
) {
    loop {
        let mut connections = JoinSet::new();
        let pause = loop {
            tokio::select! {
                accepted = listener.accept() => match accepted {
                    Ok((stream, _)) => {
                        connections.spawn(connection(stream, tls.clone(), Arc::clone(&vendor)));
                    }
                    // Usually out of file descriptors: it fails again until one is closed.
                    Err(_) => tokio::time::sleep(PAUSE_AFTER_FAILURE).await,
                },
                Some(_) = connections.join_next() => {}
                command = commands.recv() => match command {
                    None => return,
                    Some(ListenerCommand::Open(done)) => drop(done.send(Ok(()))),
                    Some(ListenerCommand::CloseFor(pause)) => break Err(pause),
                    Some(ListenerCommand::Close(done)) => break Ok(done),
                },
            }
        };
        drop(listener);
        // A bound socket that does not listen refuses connections, and keeps the kernel from giving the port to another process. Before the
        // connections end, because until then they keep the port.
        let reserved = bind(address).ok();
        connections.shutdown().await;
        listener = match closed((pause, reserved), &mut commands, address).await {
            Some(listener) => listener,
            None => return,
        };
    }
}

/// Refuses connections until [`ListenerCommand::Open`] or the end of the pause. `None` when the sandbox stops.
async fn closed(
    (pause, mut reserved): (Result<oneshot::Sender<()>, Duration>, Option<TcpSocket>),
    commands: &mut mpsc::UnboundedReceiver<ListenerCommand>,
    address: SocketAddr,
) -> Option<TcpListener> {
    let end = pause.as_ref().err().map(|pause| tokio::time::Instant::now() + *pause);
    // Answered only now that connections are refused, so that whoever asked may rely on it.
    if let Ok(done) = pause {
        let _ = done.send(());
    }
    loop {
        let command = match end {
            Some(end) => tokio::time::timeout_at(end, commands.recv()).await.ok(),
            None => Some(commands.recv().await),
        };
        let reply = match command {
            Some(None) => return None,
            Some(Some(ListenerCommand::Close(done))) => {
                let _ = done.send(());
                continue;
            }
            Some(Some(ListenerCommand::CloseFor(_))) => continue,
            Some(Some(ListenerCommand::Open(done))) => Some(done),
            None => None,
        };
        // The reserved socket has kept the port; without one, another process may have it by now.
        let socket = reserved.take().map_or_else(|| bind(address), Ok);
        match socket.and_then(|socket| socket.listen(1024)) {
            Ok(listener) => {
                reply.map(|done| done.send(Ok(())));
                return Some(listener);
            }
            Err(error) => reply.map(|done| done.send(Err(error)))?.ok()?,
        }
    }
}

async fn connection(stream: TcpStream, tls: Option<TlsAcceptor>, vendor: Arc<Vendor>) {
    let _ = stream.set_nodelay(true);
    let reset = Arc::new(ResetSwitch::default());
    let stream = ResettableStream { stream, reset: Arc::clone(&reset) };
    match tls {
        None => exchange(stream, vendor, reset).await,
        Some(acceptor) => {
            if let Ok(stream) = acceptor.accept(stream).await {
                exchange(stream, vendor, reset).await;
            }
        }
    }
}

/// Reads the body and answers. The control API is not subject to faults, or it could not remove them.
async fn respond(vendor: Arc<Vendor>, request: Request<Incoming>) -> VendorOutcome {
    let (parts, body) = request.into_parts();
    let Ok(body) = Limited::new(body, MAXIMUM_BODY_BYTES).collect().await else {
        return VendorResponse::empty(StatusCode::PAYLOAD_TOO_LARGE).into();
    };
    let body = body.to_bytes();
    if parts.uri.path().starts_with(control::PREFIX) {
        return control::answer(&vendor, &parts, &body).into();
    }
    vendor.answer(parts, body).await
}

/// The answer that comes first on this connection: a copy of the one before, if that was sent twice.
fn in_turn(stray: &Mutex<Option<VendorResponse>>, answer: VendorResponse) -> Response<ResponseBody> {
    let mut stray = stray.lock().unwrap_or_else(PoisonError::into_inner);
    let first = match stray.take() {
        Some(before) => {
            *stray = Some(answer);
            before
        }
        None => {
            *stray = answer.twice.then(|| answer.clone());
            answer
        }
    };
    first.into_response()
}

/// Answers the requests of one connection until it ends or is reset.
async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    vendor: Arc<Vendor>,
    reset: Arc<ResetSwitch>,
) {
    let stray = Arc::new(Mutex::new(None));
    let service = service_fn(|request| {
        let (vendor, reset, stray) = (Arc::clone(&vendor), Arc::clone(&reset), Arc::clone(&stray));
        async move {
            let in_order = request.version() < Version::HTTP_2;
            match respond(vendor, request).await {
                VendorOutcome::Response(answer) if in_order => Ok::<_, Infallible>(in_turn(&stray, answer)),
                VendorOutcome::Response(answer) => Ok(answer.into_response()),
                VendorOutcome::Reset => {
                    reset.trigger();
                    std::future::pending().await
                }
            }
        }
    });
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new());
    builder.http2().timer(TokioTimer::new());
    tokio::select! {
        _ = builder.serve_connection(TokioIo::new(stream), service) => {}
        () = reset.triggered.notified() => {}
    }
}

/// Makes a connection end with a reset.
#[derive(Default)]
struct ResetSwitch {
    is_set: AtomicBool,
    triggered: Notify,
}

impl ResetSwitch {
    fn trigger(&self) {
        self.is_set.store(true, Ordering::Release);
        self.triggered.notify_one();
    }
}

/// A TCP stream that is closed by RST instead of FIN once its switch is set.
struct ResettableStream {
    stream: TcpStream,
    reset: Arc<ResetSwitch>,
}

impl Drop for ResettableStream {
    fn drop(&mut self) {
        if self.reset.is_set.load(Ordering::Acquire) {
            let _ = self.stream.set_zero_linger();
        }
    }
}

impl AsyncRead for ResettableStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        task: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(task, into)
    }
}

impl AsyncWrite for ResettableStream {
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
