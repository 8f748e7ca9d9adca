//! Traces, sent by OTLP (HTTP, protobuf) to a collector.
//!
//! Everything around it is OpenTelemetry's own: `OTEL_*` variables say where to, what is sampled, and how
//! much is sent at once. A collector that is away costs nothing but the traces.

use super::trace::{Part, TRACEPARENT, TRACESTATE, TraceContext};
use super::{TelemetryError, is_of, is_safe};
use async_trait::async_trait;
use opentelemetry::propagation::{Extractor, Injector, TextMapPropagator};
use opentelemetry::trace::{Status, TracerProvider};
use opentelemetry::{Context, KeyValue};
use opentelemetry_http::hyper::HyperClient;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::SdkTracerProvider;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::runtime::{Handle, Runtime};
use tracing::level_filters::LevelFilter;
use tracing::{Level, Metadata, Span, Subscriber};
use tracing_opentelemetry::OpenTelemetrySpanExt;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::FilterFn;
use tracing_subscriber::registry::LookupSpan;

/// How long the last spans may take to be sent.
const LAST_SPANS: Duration = Duration::from_secs(5);

/// How long one request may take: `OTEL_EXPORTER_OTLP_TIMEOUT` says otherwise, in milliseconds.
const REQUEST: Duration = Duration::from_secs(10);

/// Where spans are sent to, in OpenTelemetry's words.
const ENDPOINTS: [&str; 2] = [
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
    "OTEL_EXPORTER_OTLP_ENDPOINT",
];

/// What sends the spans, or is used for it: traces of that would beget others.
const SENDERS: [&str; 4] = ["opentelemetry", "hyper", "h2", "rustls"];

static PIPELINE: OnceLock<Pipeline> = OnceLock::new();

/// The way of spans out of this process.
#[derive(Debug)]
struct Pipeline {
    provider: SdkTracerProvider,
    /// Its threads are nobody else's: handlers that block theirs do not hold it up.
    _runtime: Runtime,
}

/// The layer that takes spans. `None`: nobody has said where to send them.
///
/// # Errors
/// [`TelemetryError::Otlp`] when they cannot be sent there.
pub(super) fn layer<S>(endpoint: Option<&str>) -> Result<Option<impl Layer<S>>, TelemetryError>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    if !is_wanted(endpoint) {
        return Ok(None);
    }
    let pipeline = begin(endpoint)?;
    let tracer = pipeline.provider.tracer("counterfoil");
    // An error: set up twice, which the subscriber says too.
    let _ = PIPELINE.set(pipeline);
    let layer = tracing_opentelemetry::layer().with_tracer(tracer);
    let layer = layer.with_location(false).with_threads(false);
    let wanted = FilterFn::new(is_exported as fn(&Metadata<'_>) -> bool);
    let wanted = wanted.with_max_level_hint(LevelFilter::DEBUG);
    Ok(Some(layer.with_filter(wanted)))
}

fn is_wanted(endpoint: Option<&str>) -> bool {
    let is =
        |name: &str, value: &str| variable(name).is_some_and(|v| v.eq_ignore_ascii_case(value));
    let is_off = is("OTEL_SDK_DISABLED", "true") || is("OTEL_TRACES_EXPORTER", "none");
    !is_off && (endpoint.is_some() || has_endpoint())
}

/// Whether a variable of OpenTelemetry's says where to send spans.
fn has_endpoint() -> bool {
    ENDPOINTS.into_iter().any(|name| variable(name).is_some())
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

fn begin(endpoint: Option<&str>) -> Result<Pipeline, TelemetryError> {
    let failed = |error: Box<dyn std::error::Error + Send + Sync>| TelemetryError::Otlp(error);
    for name in [
        "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL",
        "OTEL_EXPORTER_OTLP_PROTOCOL",
    ] {
        if let Some(protocol) = variable(name).filter(|protocol| protocol != "http/protobuf") {
            let why = format!("{name} is {protocol:?}; this program speaks \"http/protobuf\" only");
            return Err(failed(why.into()));
        }
    }
    let said = ENDPOINTS.into_iter().filter_map(variable);
    if said
        .chain(endpoint.map(str::to_owned))
        .any(|url| url.contains('@'))
    {
        let why = "the address of the collector holds a password, which errors would show; OTEL_EXPORTER_OTLP_HEADERS is for that";
        return Err(failed(why.into()));
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name("otlp")
        .enable_all()
        .build()
        .map_err(|error| failed(error.into()))?;
    let connector = hyper_rustls::HttpsConnectorBuilder::new()
        .with_provider_and_native_roots(rustls::crypto::ring::default_provider())
        .map_err(|error| failed(error.into()))?
        .https_or_http()
        .enable_http1()
        .build();
    let client = Sender {
        client: Arc::new(HyperClient::new(connector, request_timeout(), None)),
        runtime: runtime.handle().clone(),
    };
    let mut exporter = SpanExporter::builder().with_http().with_http_client(client);
    if let Some(endpoint) = endpoint.filter(|_| !has_endpoint()) {
        let endpoint = format!("{}/v1/traces", endpoint.trim_end_matches('/'));
        exporter = exporter.with_endpoint(endpoint);
    }
    let exporter = exporter.build().map_err(|error| failed(error.into()))?;
    let provider = SdkTracerProvider::builder()
        .with_batch_exporter(exporter)
        .with_resource(resource())
        .build();
    Ok(Pipeline {
        provider,
        _runtime: runtime,
    })
}

fn request_timeout() -> Duration {
    let names = [
        "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT",
        "OTEL_EXPORTER_OTLP_TIMEOUT",
    ];
    let said = names.into_iter().find_map(variable);
    let said = said.and_then(|text| text.trim().parse().ok());
    said.map_or(REQUEST, Duration::from_millis)
}

/// Who this process is: `OTEL_SERVICE_NAME`, else the program's name.
fn resource() -> Resource {
    let resource = Resource::builder();
    let attributes = variable("OTEL_RESOURCE_ATTRIBUTES").unwrap_or_default();
    if variable("OTEL_SERVICE_NAME").is_some() || attributes.contains("service.name=") {
        return resource.build();
    }
    let program = std::env::current_exe().ok();
    let name = program.as_deref().and_then(|path| path.file_name());
    let name = name.map_or("counterfoil".into(), |name| {
        name.to_string_lossy().into_owned()
    });
    resource
        .with_attribute(KeyValue::new("service.name", name))
        .build()
}

/// Spans of our own, and of everybody else's only what is worth a line in the log.
fn is_exported(metadata: &Metadata<'_>) -> bool {
    let target = metadata.target();
    let most = match metadata.is_span() && target.starts_with("counterfoil") {
        true => Level::DEBUG,
        false => Level::INFO,
    };
    let is_sender = SENDERS.iter().any(|name| is_of(target, name));
    *metadata.level() <= most && !is_sender && is_safe(metadata)
}

/// Sends what is left, and ends.
pub(super) fn end() {
    if let Some(pipeline) = PIPELINE.get()
        && let Err(error) = pipeline.provider.shutdown_with_timeout(LAST_SPANS)
    {
        tracing::warn!(%error, "the last traces were not sent");
    }
}

pub(super) fn current() -> Option<TraceContext> {
    PIPELINE.get()?;
    let mut written = Written::default();
    TraceContextPropagator::new().inject_context(&Span::current().context(), &mut written);
    TraceContext::new(&written.parent?, written.state.as_deref())
}

pub(super) fn join(span: &Span, part: Part, parent: impl FnOnce() -> Option<TraceContext>) {
    if PIPELINE.get().is_none() || span.is_disabled() {
        return;
    }
    let kind = match part {
        Part::Sends => "producer",
        Part::Runs => "consumer",
    };
    span.record("otel.kind", kind);
    if let Some(parent) = parent() {
        let parent = TraceContextPropagator::new().extract_with_context(&Context::new(), &parent);
        // An error: nobody takes this span.
        let _ = span.set_parent(parent);
    }
}

pub(super) fn failed(span: &Span, how: &'static str) {
    if PIPELINE.get().is_some() {
        span.set_status(Status::error(how));
    }
}

/// Headers as OpenTelemetry writes them.
#[derive(Default)]
struct Written {
    parent: Option<String>,
    state: Option<String>,
}

impl Injector for Written {
    fn set(&mut self, key: &str, value: String) {
        match key {
            TRACEPARENT => self.parent = Some(value),
            TRACESTATE => self.state = Some(value),
            _ => {}
        }
    }
}

impl Extractor for TraceContext {
    fn get(&self, key: &str) -> Option<&str> {
        match key {
            TRACEPARENT => Some(self.traceparent()),
            TRACESTATE => self.tracestate(),
            _ => None,
        }
    }

    fn keys(&self) -> Vec<&str> {
        vec![TRACEPARENT, TRACESTATE]
    }
}

/// A client for a thread that has no runtime: spans are sent by one that blocks.
#[derive(Debug)]
struct Sender<C> {
    client: Arc<C>,
    runtime: Handle,
}

#[async_trait]
impl<C: HttpClient + 'static> HttpClient for Sender<C> {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let client = Arc::clone(&self.client);
        let sent = self
            .runtime
            .spawn(async move { client.send_bytes(request).await });
        sent.await?
    }
}
