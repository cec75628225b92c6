//! The listening socket as others control it: commands to close and reopen it. `serve` carries them out.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::TcpSocket;
use tokio::sync::{mpsc, oneshot};

/// A command to the accept loop; the sender learns through the channel when it is done.
pub(super) enum ListenerCommand {
    Close(oneshot::Sender<()>),
    CloseFor(Duration),
    Open(oneshot::Sender<io::Result<()>>),
}

/// The sending half of the accept loop's commands.
pub(super) struct ListenerControl(mpsc::UnboundedSender<ListenerCommand>);

impl ListenerControl {
    pub(super) fn channel() -> (Self, mpsc::UnboundedReceiver<ListenerCommand>) {
        let (sender, commands) = mpsc::unbounded_channel();
        (Self(sender), commands)
    }

    pub(super) async fn close(&self) {
        let (done, is_done) = oneshot::channel();
        if self.0.send(ListenerCommand::Close(done)).is_ok() {
            let _ = is_done.await;
        }
    }

    pub(super) async fn open(&self) -> io::Result<()> {
        let (done, is_done) = oneshot::channel();
        let stopped = || io::Error::other("the sandbox has stopped");
        self.0.send(ListenerCommand::Open(done)).map_err(|_| stopped())?;
        is_done.await.map_err(|_| stopped())?
    }

    pub(super) fn close_for(&self, pause: Duration) {
        let _ = self.0.send(ListenerCommand::CloseFor(pause));
    }
}

/// Binds the address. `SO_REUSEADDR`, because connections of the previous listener may still be in TIME_WAIT.
pub(super) fn bind(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    Ok(socket)
}
