//! `GET /status` of a running proxy, for `status` and `usage`.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use clap::Args;
use http::{Request, StatusCode, header};
use http_body_util::Empty;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::admin_address::{self, AdminAddr};
use super::config_args::ConfigArgs;
use super::exit::{FAILED, OK};
use super::output::{block_on, complain, print};
use crate::admin::documents::StatusDocument;
use crate::config::keys;
use crate::http::body;

/// Timeout of the whole exchange; the proxy may wait for the ledger's own timeout.
const TIMEOUT: Duration = Duration::from_secs(30);
/// Maximum size of the answer, in bytes.
const ANSWER_MAX: usize = 4 << 20;

#[derive(Debug, Args)]
pub(super) struct AdminArgs {
    /// Admin listener of the proxy, as ADDRESS:PORT, NAME:PORT or PORT; overrides admin.listen of the config
    #[arg(long, value_name = "ADDRESS:PORT")]
    admin: Option<AdminAddr>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    config: ConfigArgs,
}

#[derive(Debug, Args)]
pub(super) struct StatusArgs {
    /// Exit with 1 also when the proxy is not ready, for a container's health check
    #[arg(long)]
    ready: bool,
    #[command(flatten)]
    admin: AdminArgs,
}

/// Fetches the status and prints what `render` returns. With `--json`, `render` gets the answer's text as well.
pub(super) fn show(arguments: AdminArgs, render: impl Fn(Option<&str>, &StatusDocument) -> String) -> u8 {
    show_with_code(arguments, |answer, status| (render(answer, status), OK))
}

/// [`show`] for `status`: the exit code says whether the proxy is ready, if that is asked for.
pub(super) fn show_status(
    arguments: StatusArgs,
    render: impl Fn(Option<&str>, &StatusDocument) -> String,
) -> u8 {
    let StatusArgs { ready, admin } = arguments;
    let code = |status: &StatusDocument| if ready && !status.readiness.ready { FAILED } else { OK };
    show_with_code(admin, |answer, status| (render(answer, status), code(status)))
}

/// [`show`], with an exit code from `render`.
pub(super) fn show_with_code(
    arguments: AdminArgs,
    render: impl Fn(Option<&str>, &StatusDocument) -> (String, u8),
) -> u8 {
    let addresses = match admin_address::find(arguments.admin, arguments.config) {
        Ok(addresses) => addresses,
        Err(code) => return code,
    };
    match block_on(fetch(&addresses)).and_then(|answer| rendered(&answer, arguments.json, render)) {
        Ok((text, code)) => print(&text, code),
        Err(error) => {
            let addresses: Vec<_> = addresses.iter().map(ToString::to_string).collect();
            complain(format_args!("no status from {}: {error}", addresses.join(" or ")));
            FAILED
        }
    }
}

#[derive(Debug, thiserror::Error)]
enum StatusError {
    #[error("the runtime cannot start: {0}")]
    Runtime(#[from] std::io::Error),
    #[error("{0}; does the proxy run on this machine, with {key} there?", key = keys::ADMIN_LISTEN)]
    Unreachable(std::io::Error),
    #[error("no answer within {} s", TIMEOUT.as_secs())]
    Timeout,
    #[error("what answers there is no admin listener of this program: {0}")]
    Foreign(Box<dyn std::error::Error>),
}

impl StatusError {
    fn foreign(why: impl Into<Box<dyn std::error::Error>>) -> Self {
        Self::Foreign(why.into())
    }
}

/// One request on a connection of its own: no proxy settings of the environment, no redirects, no retries.
async fn fetch(addresses: &[SocketAddr]) -> Result<Bytes, StatusError> {
    timeout(TIMEOUT, exchange(addresses)).await.unwrap_or(Err(StatusError::Timeout))
}

async fn exchange(addresses: &[SocketAddr]) -> Result<Bytes, StatusError> {
    let stream = TcpStream::connect(addresses).await.map_err(StatusError::Unreachable)?;
    let address = stream.peer_addr().map_err(StatusError::Unreachable)?;
    let (mut sender, connection) =
        http1::handshake(TokioIo::new(stream)).await.map_err(StatusError::foreign)?;
    tokio::spawn(connection);
    let request = Request::get("/status").header(header::HOST, address.to_string());
    let request = request.body(Empty::<Bytes>::new()).map_err(StatusError::foreign)?;
    let answer = sender.send_request(request).await.map_err(StatusError::foreign)?;
    if answer.status() != StatusCode::OK {
        return Err(StatusError::foreign(answer.status().to_string()));
    }
    body::collect(answer.into_body(), ANSWER_MAX).await.map_err(StatusError::foreign)
}

/// The rendered answer with its exit code.
fn rendered(
    answer: &[u8],
    json: bool,
    render: impl Fn(Option<&str>, &StatusDocument) -> (String, u8),
) -> Result<(String, u8), StatusError> {
    let status: StatusDocument = serde_json::from_slice(answer).map_err(StatusError::foreign)?;
    let answer = String::from_utf8_lossy(answer);
    Ok(render(json.then_some(&*answer), &status))
}
