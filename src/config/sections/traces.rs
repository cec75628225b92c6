//! `[tracing]`: OpenTelemetry spans.

use std::time::Duration;

use http::HeaderValue;

use super::upstream::Upstream;
use crate::config::read::KeyReader;
use crate::config::secret::{PLACEHOLDER, Secret};

const ENDPOINT: &str = "tracing.endpoint";
const AUTHORIZATION: &str = "tracing.authorization";

/// `[tracing]`
#[derive(Clone, Debug)]
pub struct Traces {
    /// URL that receives spans as OTLP over HTTP; `None` = no spans are recorded.
    pub(crate) endpoint: Option<String>,
    /// `Authorization` header of export requests.
    pub(crate) authorization: Option<Secret>,
    /// `service.name` of every span.
    pub(crate) service_name: String,
    /// Share of the traces that start here and are exported, 0 to 1.
    pub(crate) sample_ratio: f64,
    /// Whether a client's trace continues, with its sampling decision; otherwise a new trace links to it.
    pub(crate) continue_client_traces: bool,
    /// Maximum number of spans that wait for export; further ones are dropped.
    pub(crate) queue_max: usize,
    /// Timeout of one export request.
    pub(crate) timeout: Duration,
}

pub(in crate::config) fn read(keys: &mut KeyReader) -> Option<Traces> {
    let endpoint = keys.on_restart(ENDPOINT).optional(str::parse::<Upstream>);
    let authorization =
        keys.on_reload(AUTHORIZATION).secret("tracing.authorization_file", PLACEHOLDER, authorization);
    let service_name = keys.on_restart("tracing.service_name").parsed(service_name);
    let sample_ratio = keys.on_reload("tracing.sample_ratio").share();
    let continue_client_traces = keys.on_reload("tracing.continue_client_traces").boolean();
    let queue_max = keys.on_restart("tracing.queue_max").number(1..=65_536);
    let timeout = keys.on_restart("tracing.timeout").duration(Duration::from_millis(100));
    if let Some(Some(_)) = authorization {
        // `upstream.allow_http` is about the vendor and does not cover this header.
        if endpoint.iter().flatten().any(Upstream::is_unencrypted) {
            let message = "is http, and tracing.authorization would cross the network unencrypted; use https";
            keys.problem(ENDPOINT, message);
        }
        keys.refuse_flag(AUTHORIZATION, "is a secret");
    }
    Some(Traces {
        endpoint: endpoint?.map(|endpoint| traces_url(&endpoint)),
        authorization: authorization?.map(|(secret, ())| secret),
        service_name: service_name?,
        sample_ratio: sample_ratio?,
        continue_client_traces: continue_client_traces?,
        queue_max: queue_max?,
        timeout: timeout?,
    })
}

/// Adds the default path of OTLP/HTTP traces to a url without a path.
fn traces_url(endpoint: &Upstream) -> String {
    let path = if endpoint.path_prefix.is_empty() { "/v1/traces" } else { &endpoint.path_prefix };
    format!("{}://{}{path}", endpoint.scheme, endpoint.authority)
}

fn authorization(text: &str) -> Result<(), String> {
    // The text is a secret, so the error does not repeat it.
    HeaderValue::from_str(text).map(drop).map_err(|_| "holds characters that no header may hold".into())
}

fn service_name(text: &str) -> Result<String, String> {
    if text.trim().is_empty() { Err("is empty".into()) } else { Ok(text.to_owned()) }
}
