//! Who collects the spans ([`crate::spans`]): an OpenTelemetry collector, over OTLP, from a thread of its own. Nothing that
//! answers requests waits for it.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::{SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, Sampler, SdkTracerProvider, SpanData,
};
use reqwest::blocking::Client;
use reqwest::header::AUTHORIZATION;
use rustls::{ClientConfig, RootCertStore};
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::{Layer, Registry};
use uuid::Uuid;

use super::Failed;
use crate::config::Traces;
use crate::meters::{Counters, label};
use crate::spans;

/// How long the end of the process waits for the last spans.
const LAST_SPANS: Duration = Duration::from_secs(3);

/// What became of a span that was to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// The collector has it.
    Exported,
    /// It does not.
    Failed,
}
label!(Sent, "result", Exported = "exported", Failed = "failed");

/// The spans that were sent, by what became of them.
pub type SentSpans = Counters<(Sent,)>;

/// What takes the spans on their way to the log.
pub(super) type SpanLayer = Box<dyn Layer<Registry> + Send + Sync>;

/// Keeps spans flowing; dropping it sends what is still queued, and waits for that a few seconds at most.
#[derive(Debug)]
pub struct Collecting {
    provider: SdkTracerProvider,
    sent: Arc<SentSpans>,
}

impl Collecting {
    /// Starts; `None` when nothing is to be collected.
    ///
    /// # Errors
    /// When the client that sends them cannot be built.
    pub fn start(settings: &Traces) -> Result<Option<Self>, Failed> {
        let Some(endpoint) = settings.endpoint.clone() else { return Ok(None) };
        let sent = Arc::new(SentSpans::default());
        let exporter = SpanExporter::builder()
            .with_http()
            .with_endpoint(endpoint)
            .with_timeout(settings.timeout)
            .with_http_client(client(settings)?)
            .build()?;
        let queue = BatchConfigBuilder::default()
            .with_max_queue_size(settings.queue_max)
            .with_max_export_batch_size(settings.queue_max.min(512))
            .build();
        let counted = Counted { exporter, sent: sent.clone() };
        let provider = SdkTracerProvider::builder()
            .with_resource(resource(settings.service_name.clone()))
            // Spans are made of what is to be sent, and of nothing else.
            .with_sampler(Sampler::AlwaysOn)
            .with_span_processor(BatchSpanProcessor::builder(counted).with_batch_config(queue).build())
            .build();
        Ok(Some(Self { provider, sent }))
    }

    /// What takes the spans, and nothing of what is logged.
    pub(super) fn layer(&self) -> SpanLayer {
        let spans = tracing_opentelemetry::layer()
            .with_tracer(self.provider.tracer("conversion-shim"))
            .with_location(false)
            .with_threads(false)
            .with_target(false)
            .with_tracked_inactivity(false)
            .with_context_activation(false);
        spans
            .with_filter(filter_fn(|metadata| metadata.is_span() && metadata.target() == spans::TARGET))
            .boxed()
    }

    /// What became of the spans so far.
    #[must_use]
    pub fn sent(&self) -> Arc<SentSpans> {
        self.sent.clone()
    }
}

impl Drop for Collecting {
    fn drop(&mut self) {
        // It has told the log what went wrong.
        let _ = self.provider.shutdown_with_timeout(LAST_SPANS);
    }
}

fn resource(service_name: String) -> Resource {
    let instance = KeyValue::new("service.instance.id", Uuid::new_v4().to_string());
    let version = KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
    Resource::builder().with_service_name(service_name).with_attributes([version, instance]).build()
}

/// The client that sends them. Building it blocks, which no thread of the runtime may.
fn client(settings: &Traces) -> Result<Client, Failed> {
    let mut headers = reqwest::header::HeaderMap::new();
    if let Some(authorization) = &settings.authorization {
        let mut value = reqwest::header::HeaderValue::from_str(authorization.reveal())?;
        value.set_sensitive(true);
        headers.insert(AUTHORIZATION, value);
    }
    let builder = Client::builder()
        .tls_backend_preconfigured(tls()?)
        .default_headers(headers)
        .timeout(settings.timeout)
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy();
    let built = thread::spawn(move || builder.build()).join();
    Ok(built.map_err(|_| "the client that sends spans could not be built")??)
}

/// TLS with the authorities that the machine trusts; the vendor's, and what the proxy shows to the vendor, are none of theirs.
fn tls() -> Result<ClientConfig, rustls::Error> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let provider = rustls::crypto::ring::default_provider().into();
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}

/// An exporter that counts.
#[derive(Debug)]
struct Counted {
    exporter: SpanExporter,
    sent: Arc<SentSpans>,
}

impl opentelemetry_sdk::trace::SpanExporter for Counted {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let many = batch.len() as u64;
        let exported = self.exporter.export(batch).await;
        self.sent.add_many((if exported.is_ok() { Sent::Exported } else { Sent::Failed },), many);
        exported
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}
