//! Exports the [`spans`] to an OpenTelemetry collector over OTLP, from a separate thread. No request waits for it.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use async_trait::async_trait;
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderValue, Request, Response};
use opentelemetry::trace::TracerProvider as _;
use opentelemetry::{Context, KeyValue};
use opentelemetry_http::{HttpClient, HttpError};
use opentelemetry_otlp::{SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, Sampler, SdkTracerProvider, Span, SpanData, SpanProcessor,
};
use reqwest::blocking::Client;
use rustls::{ClientConfig, RootCertStore};
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::{Layer, Registry};
use uuid::Uuid;

use super::TelemetryError;
use crate::config::Traces;
use crate::telemetry::metrics::family::Counters;
use crate::telemetry::metrics::label_set::label;
use crate::telemetry::spans;

/// How long the shutdown waits for the last spans.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(3);

const EXPORT_INTERVAL: Duration = Duration::from_secs(5);
/// Maximum number of spans in one export.
const BATCH_MAX: usize = 512;
/// Limit for attributes, events and links of a span; the spans here have fewer.
const PER_SPAN: u32 = 32;

/// The result of exporting a span.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ExportResult {
    Exported,
    /// The export failed, and the span is lost.
    Failed,
}
label!(ExportResult, "result", Exported = "exported", Failed = "failed");

/// Counts of spans. A span that ended and is neither sent nor queued was dropped because the queue was full.
#[derive(Debug, Default)]
pub(crate) struct SpanCounts {
    pub(crate) ended: Counters<()>,
    pub(crate) sent: Counters<(ExportResult,)>,
}

/// The `tracing` layer that exports spans.
pub(super) type SpanLayer = Box<dyn Layer<Registry> + Send + Sync>;

/// Keeps the export running. Dropping it exports the spans that are still queued, for at most three seconds.
#[derive(Debug)]
pub struct Collecting {
    provider: SdkTracerProvider,
    counts: Arc<SpanCounts>,
    authorization: Authorization,
}

impl Collecting {
    /// Starts the export; `None` unless `tracing.endpoint` is set.
    ///
    /// # Errors
    /// If the HTTP client cannot be built.
    pub fn start(settings: &Traces) -> Result<Option<Self>, TelemetryError> {
        let Some(endpoint) = settings.endpoint.clone() else { return Ok(None) };
        let counts = Arc::new(SpanCounts::default());
        let authorization = Authorization::of(settings);
        let exporter = SpanExporter::builder()
            .with_http()
            .with_endpoint(endpoint)
            .with_timeout(settings.timeout)
            .with_http_client(Sender::new(settings, authorization.clone())?)
            .build()?;
        // Every setting is explicit: the SDK would take others from `OTEL_` environment variables.
        let queue = BatchConfigBuilder::default()
            .with_max_queue_size(settings.queue_max)
            .with_max_export_batch_size(settings.queue_max.min(BATCH_MAX))
            .with_scheduled_delay(EXPORT_INTERVAL)
            .build();
        let batches = BatchSpanProcessor::builder(CountedExporter { exporter, counts: counts.clone() });
        let batches = batches.with_batch_config(queue).build();
        let provider = SdkTracerProvider::builder()
            .with_resource(resource(settings.service_name.clone()))
            // Sampling has been decided when the span was created: see `spans::request`.
            .with_sampler(Sampler::AlwaysOn)
            .with_max_attributes_per_span(PER_SPAN)
            .with_max_events_per_span(PER_SPAN)
            .with_max_links_per_span(PER_SPAN)
            .with_span_processor(CountedProcessor { batches, counts: counts.clone() })
            .build();
        Ok(Some(Self { provider, counts, authorization }))
    }

    /// The layer that exports spans, and no log events.
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

    /// The `Authorization` header of the export requests.
    #[must_use]
    pub(crate) fn authorization(&self) -> Authorization {
        self.authorization.clone()
    }

    /// Counts of the spans so far.
    #[must_use]
    pub(crate) fn counts(&self) -> Arc<SpanCounts> {
        self.counts.clone()
    }
}

impl Drop for Collecting {
    fn drop(&mut self) {
        // The SDK has logged the error.
        let _ = self.provider.shutdown_with_timeout(SHUTDOWN_TIMEOUT);
    }
}

fn resource(service_name: String) -> Resource {
    let instance = KeyValue::new("service.instance.id", Uuid::new_v4().to_string());
    let version = KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
    Resource::builder().with_service_name(service_name).with_attributes([version, instance]).build()
}

/// The HTTP client of the exporter. It sets all header fields itself, because the exporter would add those in `OTEL_EXPORTER_OTLP_HEADERS`.
#[derive(Debug)]
struct Sender {
    http: Client,
    authorization: Authorization,
}

/// The `Authorization` header of export requests. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Authorization(Arc<ArcSwapOption<HeaderValue>>);

impl Authorization {
    fn of(settings: &Traces) -> Self {
        Self(Arc::new(ArcSwapOption::new(header_of(settings))))
    }

    /// Uses the one of another config for requests from now on.
    pub(crate) fn adopt(&self, settings: &Traces) {
        self.0.store(header_of(settings));
    }
}

fn header_of(settings: &Traces) -> Option<Arc<HeaderValue>> {
    // The config has accepted the text, so it makes a header.
    let mut value = HeaderValue::from_str(settings.authorization.as_ref()?.reveal()).ok()?;
    value.set_sensitive(true);
    Some(Arc::new(value))
}

impl Sender {
    fn new(settings: &Traces, authorization: Authorization) -> Result<Self, TelemetryError> {
        let builder = Client::builder()
            .tls_backend_preconfigured(tls()?)
            .timeout(settings.timeout)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy();
        // Building a blocking client panics on a thread of the async runtime.
        let built = thread::spawn(move || builder.build()).join();
        let http = built.map_err(|_| "the HTTP client for exporting spans could not be built")??;
        Ok(Self { http, authorization })
    }
}

#[async_trait]
impl HttpClient for Sender {
    async fn send_bytes(&self, mut request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let headers = request.headers_mut();
        // Headers that the SDK would add from `OTEL_EXPORTER_OTLP_HEADERS` do not go out.
        headers.clear();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-protobuf"));
        headers.extend(
            self.authorization.0.load().iter().map(|value| (AUTHORIZATION, HeaderValue::clone(value))),
        );
        self.http.send_bytes(request).await
    }
}

/// TLS with the system's root certificates. The authorities and the client certificate for the upstreams do not apply to the collector.
fn tls() -> Result<ClientConfig, rustls::Error> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let provider = rustls::crypto::ring::default_provider().into();
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}

/// Counts the spans that were sent.
#[derive(Debug)]
struct CountedExporter {
    exporter: SpanExporter,
    counts: Arc<SpanCounts>,
}

impl opentelemetry_sdk::trace::SpanExporter for CountedExporter {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let count = batch.len() as u64;
        let exported = self.exporter.export(batch).await;
        let result = if exported.is_ok() { ExportResult::Exported } else { ExportResult::Failed };
        self.counts.sent.add_many((result,), count);
        exported
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}

/// Counts the spans that ended.
#[derive(Debug)]
struct CountedProcessor {
    batches: BatchSpanProcessor,
    counts: Arc<SpanCounts>,
}

impl SpanProcessor for CountedProcessor {
    fn on_start(&self, span: &mut Span, context: &Context) {
        self.batches.on_start(span, context);
    }

    fn on_end(&self, span: SpanData) {
        self.counts.ended.add(());
        self.batches.on_end(span);
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.batches.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.batches.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.batches.set_resource(resource);
    }
}
