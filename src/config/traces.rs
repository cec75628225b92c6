//! `[tracing]`: spans for an OpenTelemetry collector.

use std::time::Duration;

use http::HeaderValue;

use super::read::Written;
use super::secret::Secret;
use super::upstream::Upstream;
use super::values::file_path;
use crate::telemetry::spans::Sampling;

/// `[tracing]`
#[derive(Clone, Debug)]
pub struct Traces {
    /// Where spans are sent, as OTLP over HTTP; `None` = nowhere, and then nothing is recorded.
    pub endpoint: Option<String>,
    /// The `Authorization` header that goes with them.
    pub authorization: Option<Secret>,
    /// `service.name` of every span.
    pub service_name: String,
    /// The share of the traces begun here that are sent, 0 to 1.
    pub sample_ratio: f64,
    /// Whether a client's trace is continued, its decision about sampling included; else a new one is linked to it.
    pub continue_client_traces: bool,
    /// How many spans may wait to be sent; what comes past that is dropped.
    pub queue_max: usize,
    /// How long sending one batch may take.
    pub timeout: Duration,
}

impl Traces {
    /// Which requests are traced.
    #[must_use]
    pub const fn sampling(&self) -> Sampling {
        Sampling { ratio: self.sample_ratio, continues: self.continue_client_traces }
    }
}

pub(super) fn traces(written: &mut Written) -> Option<Traces> {
    let endpoint = written.optional("tracing.endpoint", str::parse::<Upstream>);
    let authorization = written.secret("tracing.authorization", authorization);
    let authorization_file = written.optional("tracing.authorization_file", file_path);
    let service_name = written.parsed("tracing.service_name", service_name);
    let sample_ratio = written.share("tracing.sample_ratio");
    let continue_client_traces = written.switch("tracing.continue_client_traces");
    let queue_max = written.number("tracing.queue_max", 1..=65_536_usize);
    let timeout = written.duration("tracing.timeout", Duration::from_millis(100));
    let is_open = |endpoint: &Option<Upstream>| endpoint.as_ref().is_some_and(Upstream::is_in_the_clear);
    if endpoint.as_ref().is_some_and(is_open) && matches!(authorization, Some(Some(_))) {
        let message =
            "is http, and tracing.authorization would cross the network in the clear; make it https";
        written.problem("tracing.endpoint", message);
    }
    if matches!(authorization, Some(Some(_))) {
        written.not_by_flag("tracing.authorization", "is a secret");
    }
    Some(Traces {
        endpoint: endpoint?.map(|endpoint| traces_path(&endpoint)),
        authorization: authorization_file.and(authorization)?.map(|(secret, ())| secret),
        service_name: service_name?,
        sample_ratio: sample_ratio?,
        continue_client_traces: continue_client_traces?,
        queue_max: queue_max?,
        timeout: timeout?,
    })
}

/// The path that the protocol gives to traces, unless another one is named.
fn traces_path(endpoint: &Upstream) -> String {
    let path = if endpoint.path_prefix.is_empty() { "/v1/traces" } else { &endpoint.path_prefix };
    format!("{}://{}{path}", endpoint.scheme, endpoint.authority)
}

fn authorization(text: &str) -> Result<(), String> {
    // The text may be a secret, so the error does not repeat it.
    HeaderValue::from_str(text).map(drop).map_err(|_| "holds characters that no header may hold".into())
}

fn service_name(text: &str) -> Result<String, String> {
    if text.trim().is_empty() { Err("is empty".into()) } else { Ok(text.to_owned()) }
}
