//! An ordinary client: reqwest, with a token, that follows nothing and retries nothing.

use bytes::Bytes;
use conversion_shim::sandbox::TOKEN;
use reqwest::{ClientBuilder, Method, RequestBuilder};
use serde_json::Value;

use super::{LEGACY, conversion};

/// Requests with a bearer token to one origin.
#[derive(Clone)]
pub(crate) struct Caller {
    pub(crate) http: reqwest::Client,
    origin: String,
    token: String,
}

/// A whole answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) version: reqwest::Version,
    pub(crate) headers: reqwest::header::HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        let text = String::from_utf8_lossy(&self.body);
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{} {text:?}: {error}", self.status))
    }

    pub(crate) fn detail(&self) -> String {
        self.json()["detail"].as_str().unwrap_or_default().to_owned()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// The problem document, having checked what every one has, and that its status is this one.
    pub(crate) fn problem(&self, status: u16) -> Value {
        let problem = self.json();
        assert_eq!((self.status, &problem["status"]), (status, &status.into()), "{problem}");
        assert_eq!(self.header("content-type"), Some("application/json"));
        assert!(["type", "title", "detail"].iter().all(|key| problem[key].is_string()), "{problem}");
        problem
    }
}

/// A builder that needs no crypto of its own, and is as plain as the wire.
pub(crate) fn plain() -> ClientBuilder {
    // The first of the tests wins, which is all that is needed.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .no_proxy()
        .timeout(std::time::Duration::from_secs(30))
}

impl Caller {
    pub(crate) fn of(origin: &str) -> Self {
        Self::with(origin, plain())
    }

    pub(crate) fn with(origin: &str, http: ClientBuilder) -> Self {
        Self { http: http.build().unwrap(), origin: origin.to_owned(), token: TOKEN.to_owned() }
    }

    pub(crate) fn token(mut self, token: impl Into<String>) -> Self {
        self.token = token.into();
        self
    }

    pub(crate) fn ask(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.origin)).bearer_auth(&self.token)
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        answer(self.ask(Method::GET, path)).await
    }

    pub(crate) async fn try_get(&self, path: &str) -> reqwest::Result<Answer> {
        try_answer(self.ask(Method::GET, path)).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        answer(self.ask(Method::DELETE, path)).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        answer(self.ask(Method::POST, path).body(body.to_string())).await
    }

    /// A legacy create with that `ref_id`.
    pub(crate) async fn create(&self, ref_id: &str) -> Answer {
        self.post(LEGACY, &conversion(ref_id)).await
    }

    /// Creates, and answers the conversion's id.
    pub(crate) async fn id_of_new(&self, ref_id: &str) -> String {
        let created = self.create(ref_id).await;
        assert_eq!(created.status, 200, "{created:?}");
        created.json()["id"].as_str().unwrap().to_owned()
    }
}

/// Sends, and reads the answer whole.
pub(crate) async fn answer(request: RequestBuilder) -> Answer {
    try_answer(request).await.unwrap()
}

/// [`answer`], which may break off.
pub(crate) async fn try_answer(request: RequestBuilder) -> reqwest::Result<Answer> {
    let response = request.send().await?;
    let (status, version) = (response.status().as_u16(), response.version());
    Ok(Answer { status, version, headers: response.headers().clone(), body: response.bytes().await? })
}
