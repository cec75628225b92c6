//! What clients do, one act at a time: the four calls, everything else, leaving early, and nonsense.

use std::net::SocketAddr;
use std::time::Duration;

use conversion_shim::sandbox::{Dice, PROFILE, TOKEN};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

pub(crate) const CONVERSIONS: &str = "/v2/conversion/stablecoins";
/// How long anybody waits for anything.
const WAIT_MAX: Duration = Duration::from_secs(20);

/// One client: its library, over one version of HTTP.
#[derive(Clone)]
pub(crate) struct Client {
    http: reqwest::Client,
    address: SocketAddr,
}

/// What a client knows.
#[derive(Default)]
pub(crate) struct Known {
    references: Vec<String>,
    ids: Vec<String>,
    next: u64,
}

/// The acts, so that a run can tell that it did all of them.
pub(crate) const ACTS: [&str; 11] = [
    "create",
    "create again",
    "create without ref",
    "get",
    "list",
    "cancel",
    "pass",
    "upload",
    "token",
    "leave",
    "nonsense",
];

/// What came of an act: the status, or nothing when the connection broke or was left.
pub(crate) type Came = Option<u16>;

impl Client {
    pub(crate) fn new(address: SocketAddr, http2: bool) -> Self {
        // The first of the tests wins, which is all that is needed.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let builder = reqwest::Client::builder().no_proxy().retry(reqwest::retry::never());
        let builder = if http2 { builder.http2_prior_knowledge() } else { builder };
        Self { http: builder.build().unwrap(), address }
    }

    /// Sends a request and reads the answer to its end.
    pub(crate) async fn send(&self, method: Method, path: String, body: Vec<u8>) -> Came {
        self.ask(method, path, body, WAIT_MAX).await.map(|(status, _)| status)
    }

    async fn ask(
        &self,
        method: Method,
        path: String,
        body: Vec<u8>,
        timeout: Duration,
    ) -> Option<(u16, Value)> {
        let url = format!("http://{}{path}", self.address);
        let request = self.http.request(method, url).bearer_auth(TOKEN).body(body).timeout(timeout);
        let response = request.send().await.ok()?;
        let status = response.status().as_u16();
        Some((status, serde_json::from_slice(&response.bytes().await.ok()?).unwrap_or_default()))
    }

    /// One act, by chance.
    pub(crate) async fn act(&self, known: &mut Known, name: &str, dice: &mut Dice) -> (&'static str, Came) {
        let act = dice.pick([0, 0, 0, 1, 1, 2, 3, 3, 3, 4, 4, 4, 5, 6, 6, 7, 7, 8, 9, 9, 10]);
        let id = || known.ids.last().cloned().unwrap_or_else(|| "unknown".to_owned());
        let came = match ACTS[act] {
            "create" => {
                known.next += 1;
                let reference = format!("{name}-{}", known.next);
                known.remember(&reference);
                self.create(known, order(&reference)).await
            }
            "create again" => {
                let reference = known.references.get(below(dice, known.references.len()));
                let reference = reference.cloned().unwrap_or_else(|| format!("{name}-0"));
                self.create(known, order(&reference)).await
            }
            "create without ref" => self.create(known, order("")).await,
            "get" => self.send(Method::GET, format!("{CONVERSIONS}/{}", id()), Vec::new()).await,
            "list" => self.pages(known, dice).await,
            "cancel" => self.send(Method::DELETE, format!("{CONVERSIONS}/{}", id()), Vec::new()).await,
            "pass" => self.send(Method::GET, "/v2/profiles".to_owned(), Vec::new()).await,
            "upload" => {
                self.send(Method::POST, "/v2/elsewhere".to_owned(), vec![b'x'; below(dice, 64 * 1024)]).await
            }
            "token" => self.token().await,
            "leave" => self.leave(&format!("{name}-left"), dice).await,
            _ => self.nonsense(dice).await,
        };
        (ACTS[act], came)
    }

    async fn create(&self, known: &mut Known, body: Vec<u8>) -> Came {
        let (status, answer) = self.ask(Method::POST, CONVERSIONS.to_owned(), body, WAIT_MAX).await?;
        if let (200, Some(id)) = (status, answer["id"].as_str()) {
            known.ids.push(id.to_owned());
            known.ids.drain(..known.ids.len().saturating_sub(KEPT));
        }
        Some(status)
    }

    /// A listing, a few pages far.
    async fn pages(&self, known: &mut Known, dice: &mut Dice) -> Came {
        let first = format!("{CONVERSIONS}?limit={}&profile_id={PROFILE}", 1 + dice.below(20));
        let (mut path, mut came) = (first.clone(), None);
        for _ in 0..3 {
            let (status, page) = self.ask(Method::GET, path, Vec::new(), WAIT_MAX).await?;
            came = Some(status);
            known.ids.extend(page["items"][0]["id"].as_str().map(str::to_owned));
            let Some(cursor) = page["next_page_cursor"].as_str() else { break };
            path = format!("{first}&page_cursor={cursor}");
        }
        came
    }

    async fn token(&self) -> Came {
        let url = format!("http://{}/oauth2/token", self.address);
        let form = "grant_type=client_credentials&client_id=a&client_secret=b&scope=conversion%3Aread_conversion_stablecoin";
        let request =
            self.http.post(url).header("content-type", "application/x-www-form-urlencoded").body(form);
        let response = request.timeout(WAIT_MAX).send().await.ok()?;
        let status = response.status().as_u16();
        response.bytes().await.ok().map(|_| status)
    }

    /// Gives up at some moment: while the request is sent, worked on or answered.
    async fn leave(&self, reference: &str, dice: &mut Dice) -> Came {
        let timeout = Duration::from_micros(dice.below(30_000));
        match dice.below(4) {
            0 => {
                let body = order(&format!("{reference}-{}", dice.below(100)));
                self.ask(Method::POST, CONVERSIONS.to_owned(), body, timeout).await?;
            }
            1 => drop(self.ask(Method::GET, format!("{CONVERSIONS}?limit=50"), Vec::new(), timeout).await),
            2 => {
                drop(self.ask(Method::POST, "/v2/elsewhere".to_owned(), vec![b'x'; 64 * 1024], timeout).await)
            }
            _ => {
                // In the middle of a head, or of a body.
                let head = format!(
                    "POST {CONVERSIONS} HTTP/1.1\r\nhost: shim\r\nauthorization: Bearer {TOKEN}\r\ncontent-length: 300\r\n\r\n{{\"re"
                );
                self.say(&head.as_bytes()[..below(dice, head.len())], timeout).await;
            }
        }
        None
    }

    async fn nonsense(&self, dice: &mut Dice) -> Came {
        let bytes = |dice: &mut Dice, many| (0..many).map(|_| dice.below(256) as u8).collect::<Vec<_>>();
        match dice.below(6) {
            0 => self.send(Method::POST, CONVERSIONS.to_owned(), b"{\"amount\":1e9".to_vec()).await,
            1 => self.send(Method::POST, CONVERSIONS.to_owned(), bytes(dice, 500)).await,
            2 => {
                self.send(Method::GET, format!("{CONVERSIONS}?limit=none&page_cursor=cs1.x"), Vec::new())
                    .await
            }
            3 => self.send(Method::POST, "/v2/conversion//stablecoins%2f..".to_owned(), Vec::new()).await,
            4 => {
                self.say(b"POST /v2/profiles HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n", WAIT_MAX).await;
                None
            }
            _ => {
                let noise = bytes(dice, 200);
                self.say(&noise, Duration::from_millis(20)).await;
                None
            }
        }
    }

    /// Says this on a bare connection, hears a while, and goes.
    async fn say(&self, words: &[u8], timeout: Duration) {
        let talk = async {
            let mut line = TcpStream::connect(self.address).await?;
            line.write_all(words).await?;
            line.read_to_end(&mut Vec::new()).await
        };
        let _ = tokio::time::timeout(timeout, talk).await;
    }
}

/// So many references and ids a client remembers.
const KEPT: usize = 50;

impl Known {
    fn remember(&mut self, reference: &str) {
        self.references.push(reference.to_owned());
        self.references.drain(..self.references.len().saturating_sub(KEPT));
    }
}

/// A legacy create; without a reference when that is empty.
pub(crate) fn order(reference: &str) -> Vec<u8> {
    let order = json!({
        "profile_id": PROFILE, "amount": "1.25", "source_asset": "USD", "target_asset": "PYUSD", "ref_id": reference,
        "metadata": { "purpose": "soak" },
    });
    order.to_string().into_bytes()
}

fn below(dice: &mut Dice, end: usize) -> usize {
    usize::try_from(dice.below(end.max(1) as u64)).unwrap()
}
