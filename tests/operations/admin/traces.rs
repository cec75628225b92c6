//! Spans, through the real binary, as a collector gets them: an OTLP receiver in this process.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use conversion_shim::sandbox::{
    Fault, FaultKind, Operation, Options, PROFILE, ReceivedRequest, Sandbox, TOKEN,
};
use conversion_shim::translate::side::Side;
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;
use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::net::TcpListener;

use super::{create, until, vendor};
use crate::support::process::{Config, Shim};

const SERVER: i32 = 2;
const CLIENT: i32 = 3;
const ERROR: i32 = 2;
const THEIRS: &str = "0af7651916cd43dd8448eb211c80319c";
const THEIR_SPAN: &str = "b7ad6b7169203331";

/// What came in one export.
#[derive(Clone)]
struct Export {
    authorization: Option<String>,
    content_type: String,
    raw: Bytes,
    request: ExportTraceServiceRequest,
}

/// A collector that keeps what it gets, and answers with one status.
struct Collector {
    address: SocketAddr,
    exports: Arc<Mutex<Vec<Export>>>,
}

impl Collector {
    async fn start(status: StatusCode) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let exports = Arc::new(Mutex::new(Vec::new()));
        let kept = exports.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let kept = kept.clone();
                let service = service_fn(move |request| keep(request, kept.clone(), status));
                let serving = hyper::server::conn::http1::Builder::new();
                tokio::spawn(serving.serve_connection(TokioIo::new(stream), service));
            }
        });
        Self { address, exports }
    }

    /// The config's line.
    fn key(&self) -> String {
        format!("tracing.endpoint = \"http://{}\"\n", self.address)
    }

    fn exports(&self) -> Vec<Export> {
        self.exports.lock().unwrap().clone()
    }

    /// Every span so far.
    fn spans(&self) -> Vec<Span> {
        let exports = self.exports().into_iter();
        let resources = exports.flat_map(|export| export.request.resource_spans);
        resources.flat_map(|resource| resource.scope_spans).flat_map(|scope| scope.spans).collect()
    }
}

async fn keep(
    request: hyper::Request<Incoming>,
    kept: Arc<Mutex<Vec<Export>>>,
    status: StatusCode,
) -> Result<hyper::Response<Empty<Bytes>>, Infallible> {
    assert_eq!(request.uri().path(), "/v1/traces");
    let authorization =
        request.headers().get("authorization").map(|value| value.to_str().unwrap().to_owned());
    let content_type = request.headers()["content-type"].to_str().unwrap().to_owned();
    let raw = request.into_body().collect().await.unwrap().to_bytes();
    let request = ExportTraceServiceRequest::decode(raw.clone()).unwrap();
    kept.lock().unwrap().push(Export { authorization, content_type, raw, request });
    let mut answer = hyper::Response::new(Empty::new());
    *answer.status_mut() = status;
    Ok(answer)
}

/// The end of the process sends what is left, so that no test waits for a timer.
async fn end(mut shim: Shim) {
    shim.signal("-TERM");
    assert_eq!(shim.ended().await, Some(0), "{:?}", shim.log());
}

/// An attribute; a number bears a `#`: whoever looks for 500 and more needs numbers.
fn text(span: &Span, key: &str) -> String {
    let found = span.attributes.iter().find(|attribute| attribute.key == key);
    let value = found.and_then(|found| found.value.clone()?.value);
    match value {
        Some(opentelemetry_proto::tonic::common::v1::any_value::Value::StringValue(text)) => text,
        Some(opentelemetry_proto::tonic::common::v1::any_value::Value::IntValue(number)) => {
            format!("#{number}")
        }
        None => "(none)".to_owned(),
        other => panic!("{key} is {other:?}"),
    }
}

fn hex(id: &[u8]) -> String {
    id.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The only span with a name; `all` have no two of it.
fn named<'a>(all: &'a [Span], name: &str) -> &'a Span {
    let mut found = all.iter().filter(|span| span.name == name);
    let names: Vec<_> = all.iter().map(|span| span.name.as_str()).collect();
    let span = found.next().unwrap_or_else(|| panic!("no {name:?} in {names:?}"));
    assert!(found.next().is_none(), "more than one {name:?} in {names:?}");
    span
}

fn is_within(child: &Span, parent: &Span) {
    assert_eq!(hex(&child.trace_id), hex(&parent.trace_id), "{} and {}", child.name, parent.name);
    assert_eq!(hex(&child.parent_span_id), hex(&parent.span_id), "{} in {}", child.name, parent.name);
}

fn seen(vendor: &Sandbox, side: impl Into<Option<Side>>, operation: Operation) -> ReceivedRequest {
    let side = side.into();
    let all = vendor.inspector().requests();
    all.into_iter().rev().find(|seen| seen.side == side && seen.operation == operation).unwrap()
}

fn header(seen: &ReceivedRequest, name: &str) -> Option<String> {
    assert!(seen.headers.get_all(name).iter().count() <= 1, "{name} came twice");
    seen.headers.get(name).map(|value| value.to_str().unwrap().to_owned())
}

/// A request in a trace of its client's.
fn traced(shim: &Shim, path: &str, flags: &str) -> RequestBuilder {
    let request = reqwest::Client::new().get(shim.public(path)).bearer_auth(TOKEN);
    request
        .header("traceparent", format!("00-{THEIRS}-{THEIR_SPAN}-{flags}"))
        .header("tracestate", "theirs=1")
}

/// One create in stage `live`: its spans, its access line, and the collector.
async fn one_create() -> (Vec<Span>, Value, Collector) {
    let (vendor, collector) = (vendor().await, Collector::start(StatusCode::OK).await);
    let config = Config::new(&vendor);
    config.write(&format!("stage = \"live\"\ntracing.service_name = \"money\"\n{}", collector.key()));
    let shim = Shim::start(&config).await;
    assert_eq!(create(&shim, "a-reference").await, StatusCode::OK);
    let line = shim.logged("request").await;
    end(shim).await;
    (collector.spans(), line, collector)
}

#[tokio::test]
async fn a_create_is_one_trace_of_claim_duplicate_check_and_calls() {
    let (spans, line, _) = one_create().await;
    let request = named(&spans, "POST create");
    assert_eq!(line["trace_id"], hex(&request.trace_id), "the log names the trace");
    assert_eq!((request.kind, hex(&request.parent_span_id)), (SERVER, String::new()));
    let (claim, duplicate_check) = (named(&spans, "claim"), named(&spans, "duplicate_check"));
    let (looked, marked) = (named(&spans, "GET legacy list"), named(&spans, "mark_checked"));
    let sent = named(&spans, "POST new create");
    let remembered = named(&spans, "remember_id");
    [claim, duplicate_check, marked, sent, remembered].into_iter().for_each(|step| is_within(step, request));
    is_within(looked, duplicate_check);
    let reported = |span| (text(span, "conversion_shim.result"), text(span, "conversion_shim.side"));
    assert_eq!(reported(claim), ("done".into(), "new".into()));
    assert_eq!(reported(duplicate_check), ("absent".into(), "legacy".into()));
    assert_eq!(reported(marked), ("done".into(), "new".into()));
    assert_eq!((sent.kind, text(sent, "http.response.status_code")), (CLIENT, "#200".into()));
    assert_eq!(text(sent, "server.address"), "127.0.0.1");
    assert!(text(sent, "server.port").starts_with('#'));
    let failed = |span: &&Span| span.status.as_ref().is_some_and(|status| status.code == ERROR);
    assert_eq!(spans.iter().find(failed), None);
    assert_eq!(spans.len(), 7, "{spans:?}");
}

#[tokio::test]
async fn a_request_says_what_its_access_line_says_and_all_of_it_is_documented() {
    let (spans, line, collector) = one_create().await;
    let request = named(&spans, "POST create");
    for (key, value) in [
        ("http.request.method", "POST"),
        ("network.protocol.version", "1.1"),
        ("url.path", "/v2/conversion/stablecoins"),
        ("http.response.status_code", "#200"),
        ("conversion_shim.route", "create"),
        ("conversion_shim.mode", "new"),
        ("conversion_shim.side", "new"),
        ("conversion_shim.request_id", line["request_id"].as_str().unwrap()),
        ("error.type", "(none)"),
    ] {
        assert_eq!(text(request, key), value, "{key}");
    }
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/tracing.md")).unwrap();
    for span in &spans {
        let keys = span.attributes.iter().map(|attribute| &attribute.key);
        for name in keys.chain([&span.name]) {
            assert!(page.contains(&format!("`{name}`")), "{name} is not in docs/tracing.md");
        }
    }
    let resource = collector.exports()[0].request.resource_spans[0].resource.clone().unwrap();
    let service = resource.attributes.into_iter().find(|attribute| attribute.key == "service.name");
    assert!(format!("{service:?}").contains("\"money\""), "{service:?}");
}

#[tokio::test]
async fn each_call_takes_the_context_along_and_a_clients_is_only_linked_to() {
    let (vendor, collector) = (vendor().await, Collector::start(StatusCode::OK).await);
    let config = Config::new(&vendor);
    config.write(&format!("stage = \"observe\"\n{}", collector.key()));
    let shim = Shim::start(&config).await;
    let answer = traced(&shim, "/v2/profiles", "00").send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    end(shim).await;
    let spans = collector.spans();
    let (request, call) = (named(&spans, "GET pass_through"), named(&spans, "GET legacy pass_through"));
    assert_ne!(hex(&request.trace_id), THEIRS, "its flags decide nothing here");
    assert_eq!(hex(&request.links[0].trace_id), THEIRS);
    let arrived = seen(&vendor, None, Operation::Other);
    let expected = format!("00-{}-{}-01", hex(&request.trace_id), hex(&call.span_id));
    assert_eq!(header(&arrived, "traceparent"), Some(expected));
    assert_eq!(header(&arrived, "tracestate"), None, "it belongs to the other trace");
}

#[tokio::test]
async fn a_clients_trace_is_continued_when_that_is_configured() {
    let (vendor, collector) = (vendor().await, Collector::start(StatusCode::OK).await);
    let config = Config::new(&vendor);
    config.write(&format!("stage = \"live\"\ntracing.continue_client_traces = true\n{}", collector.key()));
    let shim = Shim::start(&config).await;
    traced(&shim, "/v2/conversion/stablecoins/none", "00").send().await.unwrap();
    let unsampled = seen(&vendor, Side::Legacy, Operation::Get);
    traced(&shim, "/v2/conversion/stablecoins/none", "01").send().await.unwrap();
    let sampled = seen(&vendor, Side::Legacy, Operation::Get);
    end(shim).await;
    let spans = collector.spans();
    let request = named(&spans, "GET get");
    assert_eq!((hex(&request.trace_id), hex(&request.parent_span_id)), (THEIRS.into(), THEIR_SPAN.into()));
    // A 404 on a connection that was used before is asked for once more: two calls.
    let parent = header(&sampled, "traceparent").unwrap();
    let is_sampled = |span: &&Span| parent == format!("00-{THEIRS}-{}-01", hex(&span.span_id));
    let call = spans.iter().filter(|span| span.name == "GET legacy get").find(is_sampled);
    is_within(call.unwrap_or_else(|| panic!("{parent} is of no call")), request);
    assert_eq!(header(&sampled, "tracestate").as_deref(), Some("theirs=1"));
    let theirs = format!("00-{THEIRS}-{THEIR_SPAN}-00");
    assert_eq!(header(&unsampled, "traceparent"), Some(theirs), "as it came");
    assert_eq!(header(&unsampled, "tracestate").as_deref(), Some("theirs=1"));
}

#[tokio::test]
async fn without_an_endpoint_a_clients_context_goes_through_as_it_came() {
    let vendor = vendor().await;
    let config = Config::new(&vendor);
    config.write("stage = \"live\"\nlog.filter = \"trace\"\n");
    let shim = Shim::start(&config).await;
    traced(&shim, "/v2/profiles", "01").send().await.unwrap();
    let arrived = seen(&vendor, None, Operation::Other);
    assert_eq!(header(&arrived, "traceparent"), Some(format!("00-{THEIRS}-{THEIR_SPAN}-01")));
    assert_eq!(header(&arrived, "tracestate").as_deref(), Some("theirs=1"));
    assert_eq!(create(&shim, "a-reference").await, StatusCode::OK);
    assert_eq!(header(&seen(&vendor, Side::New, Operation::Create), "traceparent"), None);
    let line = shim.logged("request").await;
    assert_eq!(line.get("trace_id"), None, "{line}");
    let metrics = reqwest::get(shim.admin("/metrics")).await.unwrap().text().await.unwrap();
    assert!(!metrics.contains("conversion_shim_spans"), "nothing is collected");
}

#[tokio::test]
async fn the_ratio_of_the_config_in_force_samples() {
    let (vendor, collector) = (vendor().await, Collector::start(StatusCode::OK).await);
    let config = Config::new(&vendor);
    let at = |ratio: &str| format!("stage = \"live\"\ntracing.sample_ratio = {ratio}\n{}", collector.key());
    config.write(&at("0"));
    let shim = Shim::start(&config).await;
    assert_eq!(create(&shim, "before").await, StatusCode::OK);
    assert_eq!(header(&seen(&vendor, Side::New, Operation::Create), "traceparent"), None);
    assert_eq!(shim.logged("request").await.get("trace_id"), None);
    config.write(&at("1"));
    shim.logged("config reloaded").await;
    assert_eq!(create(&shim, "after").await, StatusCode::OK);
    let parent = header(&seen(&vendor, Side::New, Operation::Create), "traceparent").unwrap();
    end(shim).await;
    let spans = collector.spans();
    let sent = named(&spans, "POST new create");
    assert_eq!(parent, format!("00-{}-{}-01", hex(&sent.trace_id), hex(&sent.span_id)));
}

#[tokio::test]
async fn what_a_write_does_after_its_client_has_left_is_in_its_trace() {
    let (vendor, collector) = (vendor().await, Collector::start(StatusCode::OK).await);
    let config = Config::new(&vendor);
    config.write(&format!("stage = \"live\"\n{}", collector.key()));
    let shim = Shim::start(&config).await;
    let gate = Fault::new(FaultKind::Gate { applied: true }).on(Side::Legacy, Operation::List).times(1);
    let gate = vendor.faults().arm(gate);
    let url = shim.public("/v2/conversion/stablecoins");
    let body = json!({
        "profile_id": PROFILE, "amount": "1", "source_asset": "USD", "target_asset": "PYUSD", "ref_id": "left",
    });
    // Over HTTP/1 the proxy would only see it go when it answers.
    let client = reqwest::Client::builder().http2_prior_knowledge().build().unwrap();
    let asking = tokio::spawn(client.post(url).bearer_auth(TOKEN).json(&body).send());
    gate.reached(1).await;
    asking.abort();
    shim.logged("request").await;
    gate.open();
    end(shim).await;
    let spans = collector.spans();
    let (request, duplicate_check) = (named(&spans, "POST create"), named(&spans, "duplicate_check"));
    assert_eq!(text(request, "http.response.status_code"), "(none)");
    is_within(duplicate_check, request);
    is_within(named(&spans, "POST new create"), request);
}

#[tokio::test]
async fn a_create_without_an_answer_is_resolved_in_its_trace() {
    let (vendor, collector) = (vendor().await, Collector::start(StatusCode::OK).await);
    let config = Config::new(&vendor);
    config.write(&format!("stage = \"live\"\n{}", collector.key()));
    let shim = Shim::start(&config).await;
    let reset = Fault::new(FaultKind::Reset { applied: true }).on(Side::New, Operation::Create).times(1);
    vendor.faults().arm(reset);
    assert_eq!(create(&shim, "r-1").await, StatusCode::OK);
    end(shim).await;
    let spans = collector.spans();
    let (request, resolve) = (named(&spans, "POST create"), named(&spans, "resolve"));
    is_within(resolve, request);
    assert_eq!(text(resolve, "conversion_shim.result"), "found");
    is_within(named(&spans, "GET new list"), resolve);
    let sent = named(&spans, "POST new create");
    is_within(sent, request);
    let failed = sent.status.as_ref().map(|status| status.code);
    assert_eq!((text(sent, "error.type"), failed), ("no_answer".into(), Some(ERROR)));
    assert_eq!(request.status.as_ref().map(|status| status.code), Some(0), "all went well in the end");
}

#[tokio::test]
async fn a_token_that_is_replaced_in_the_background_is_part_of_no_request() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let options = Options { token_lifetime: Duration::from_secs(1), ..Options::default() };
    let (vendor, collector) =
        (Sandbox::start(options).await.unwrap(), Collector::start(StatusCode::OK).await);
    // The first token is given. Whoever asks for the second one never hears of it.
    let gate = Fault::new(FaultKind::Gate { applied: true }).on(None, Operation::Token).after(1);
    let gate = vendor.faults().arm(gate);
    let config = Config::new(&vendor);
    let client = |side: &str| format!("[auth.{side}]\nclient_id = \"{side}\"\nclient_secret = \"s3cret\"\n");
    let caller: String = hex(&Sha256::digest("caller-7f3a"));
    let caller =
        format!("[[auth.callers]]\nname = \"it\"\ntoken_sha256 = \"{caller}\"\nscopes = [\"read\"]\n");
    let both = client("legacy") + &client("new") + &caller;
    config.write(&format!(
        "stage = \"observe\"\n{}[auth]\nmode = \"client_credentials\"\n{both}",
        collector.key()
    ));
    let shim = Shim::start(&config).await;
    let ask = || {
        let url = shim.public("/v2/conversion/stablecoins/none");
        reqwest::Client::new().get(url).bearer_auth("caller-7f3a").send()
    };
    let mut asked = 0;
    // Half a second on, one of them finds the token due.
    let due = async {
        while gate.hits() == 0 {
            assert_eq!(ask().await.unwrap().status(), StatusCode::NOT_FOUND);
            asked += 1;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), due).await.expect("the token is replaced in the end");
    end(shim).await;
    let spans = collector.spans();
    assert_eq!(spans.iter().filter(|span| span.name == "GET get").count(), asked, "all of them ended");
    assert_eq!(spans.iter().filter(|span| span.name == "token").count(), 1, "that of the first request");
}

#[tokio::test]
async fn a_collector_that_fails_harms_nothing_and_is_counted() {
    let (vendor, collector) = (vendor().await, Collector::start(StatusCode::BAD_REQUEST).await);
    let config = Config::new(&vendor);
    config.write(&format!("stage = \"live\"\n{}", collector.key()));
    let shim = Shim::start(&config).await;
    assert_eq!(create(&shim, "a-reference").await, StatusCode::OK);
    let ask = || async { reqwest::get(shim.admin("/metrics")).await.unwrap().text().await.unwrap() };
    until(ask, |metrics| metrics.contains("conversion_shim_spans_ended_total 7\n")).await;
    let failed = "conversion_shim_spans_total{result=\"failed\"} 7";
    let metrics = until(ask, |metrics| metrics.contains(failed)).await;
    assert!(metrics.contains("conversion_shim_spans_total{result=\"exported\"} 0"), "{metrics}");
    end(shim).await;
}

#[tokio::test]
async fn a_collector_that_hangs_delays_no_request() {
    // It listens, and nobody ever takes the connection.
    let hanging = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let vendor = vendor().await;
    let config = Config::new(&vendor);
    let endpoint = hanging.local_addr().unwrap();
    config.write(&format!(
        "stage = \"live\"\ntracing.endpoint = \"http://{endpoint}\"\ntracing.queue_max = 2\n"
    ));
    let shim = Shim::start(&config).await;
    for number in 0..20 {
        assert_eq!(create(&shim, &format!("r-{number}")).await, StatusCode::OK);
    }
    end(shim).await;
}

#[tokio::test]
async fn only_the_config_says_what_goes_where() {
    let (vendor, collector) = (vendor().await, Collector::start(StatusCode::OK).await);
    let config = Config::new(&vendor);
    config.write(&format!("stage = \"live\"\ntracing.authorization = \"Bearer ours\"\n{}", collector.key()));
    let headers = "authorization=Basic%20theirs,host=elsewhere.example,content-type=text/plain";
    let environment = [
        ("OTEL_EXPORTER_OTLP_HEADERS", headers),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9"),
        ("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "1"),
        ("OTEL_TRACES_SAMPLER", "always_off"),
        ("OTEL_SERVICE_NAME", "theirs"),
    ];
    let shim = Shim::start_within(&config, &environment).await;
    // As long as a client likes, and what waits to be sent is bounded by number.
    let long = traced(&shim, &format!("/v2/{}", "x".repeat(4000)), "01");
    long.send().await.unwrap();
    end(shim).await;
    let exports = collector.exports();
    assert_eq!(exports[0].authorization.as_deref(), Some("Bearer ours"));
    assert_eq!(exports[0].content_type, "application/x-protobuf");
    let resource = format!("{:?}", exports[0].request.resource_spans[0].resource);
    assert!(resource.contains("\"conversion-shim\"") && !resource.contains("theirs"), "{resource}");
    let spans = collector.spans();
    let request = named(&spans, "GET pass_through");
    assert_eq!(text(request, "url.path"), format!("/v2/{}", "x".repeat(508)));
    assert_eq!((hex(&request.links[0].trace_id), &*request.links[0].trace_state), (THEIRS.into(), ""));
}

#[tokio::test]
async fn spans_contain_no_secret_and_the_collectors_secret_goes_to_it_alone() {
    let (vendor, collector) = (vendor().await, Collector::start(StatusCode::OK).await);
    let config = Config::new(&vendor);
    let secret = config.file("otlp", "Bearer collectors-own\n");
    let keys = format!(
        "tracing.authorization_file = {:?}\nlog.filter = \"trace\"\nstage = \"live\"\n",
        secret.to_str().unwrap()
    );
    config.write(&(keys + &collector.key()));
    let shim = Shim::start(&config).await;
    let body = json!({
        "profile_id": PROFILE, "amount": "31.41", "source_asset": "USD", "target_asset": "PYUSD", "ref_id": "ref-secret",
        "metadata": {"who": "metadata-secret"},
    });
    let url = shim.public("/v2/conversion/stablecoins");
    let request =
        reqwest::Client::new().post(url).bearer_auth(TOKEN).json(&body).header("x-custom", "header-secret");
    assert_eq!(request.send().await.unwrap().status(), StatusCode::OK);
    let list = shim.public("/v2/conversion/stablecoins?ref_id=ref-secret&limit=17");
    reqwest::Client::new().request(Method::GET, list).bearer_auth(TOKEN).send().await.unwrap();
    let log = shim.log();
    end(shim).await;
    let exports = collector.exports();
    assert!(exports.iter().all(|export| export.authorization.as_deref() == Some("Bearer collectors-own")));
    let raw: Vec<u8> = exports.iter().flat_map(|export| export.raw.to_vec()).collect();
    let raw = String::from_utf8_lossy(&raw);
    assert!(raw.contains("POST create") && raw.contains("GET list"), "there is something to look at");
    for secret in [TOKEN, PROFILE, "31.41", "ref-secret", "metadata-secret", "query-secret", "header-secret"]
    {
        assert!(!raw.contains(secret), "{secret} is in a span");
    }
    assert!(!format!("{log:?}").contains("collectors-own"));
    assert!(
        !format!("{:?}", vendor.inspector().requests().iter().map(|seen| &seen.headers).collect::<Vec<_>>())
            .contains("collectors-own")
    );
}
