//! Spans on their way out of the process.

use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use beach_outbound::{Outbound, Request};
use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue};
use opentelemetry::trace::TracerProvider;
use opentelemetry_http::{HttpClient, HttpError};
use opentelemetry_otlp::{WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::{
    Resource,
    error::{OTelSdkError, OTelSdkResult},
    trace::{SdkTracer, SdkTracerProvider, SpanData, SpanExporter},
};
use tokio::runtime::Handle;

use super::{LogError, Spans};

/// Sends spans for as long as it is kept. Spans wait in a queue of bounded length; what does not fit while
/// the collector is away is dropped, and nobody waits for it.
#[derive(Debug, Default)]
pub struct Exporting(Option<SdkTracerProvider>);

impl Exporting {
    pub(super) fn to(spans: &Spans) -> Result<Self, LogError> {
        let named = SdkTracerProvider::builder()
            .with_resource(Resource::builder().with_service_name(SERVICE).build());
        Ok(Self(match spans {
            Spans::Nowhere => None,
            Spans::Stdout => {
                let stdout = opentelemetry_stdout::SpanExporter::default();
                Some(named.with_simple_exporter(stdout).build())
            }
            Spans::Otlp(base) => {
                let variable = "OTEL_EXPORTER_OTLP_ENDPOINT";
                let runtime = Handle::try_current()
                    .map_err(|_| LogError::new(variable, "needs a Tokio runtime to be served from"))?;
                let unusable = LogError::new(variable, "cannot be used for an exporter");
                let exporter = opentelemetry_otlp::SpanExporter::builder()
                    .with_http()
                    .with_http_client(Collector(Outbound::default()))
                    .with_endpoint(format!("{}/v1/traces", base.as_str().trim_end_matches('/')))
                    .with_timeout(DEADLINE)
                    .build()
                    .map_err(|_| unusable)?;
                Some(named.with_batch_exporter(OnRuntime { exporter: Arc::new(exporter), runtime }).build())
            }
        }))
    }

    pub(super) fn tracer(&self) -> Option<SdkTracer> {
        self.0.as_ref().map(|provider| provider.tracer(SERVICE))
    }

    /// Sends what still waits; takes a few seconds at most.
    pub async fn finish(self) {
        let Some(provider) = self.0 else { return };
        // It blocks, and what it waits for needs this runtime's threads.
        let flushed = tokio::task::spawn_blocking(move || provider.shutdown_with_timeout(DEADLINE)).await;
        if !matches!(flushed, Ok(Ok(()))) {
            ::tracing::warn!("the last spans could not be sent");
        }
    }
}

/// The way to the collector: as everything else leaves this process, through the proxy and the trust of the machine.
#[derive(Debug)]
struct Collector(Outbound);

#[async_trait]
impl HttpClient for Collector {
    async fn send_bytes(&self, request: http::Request<Bytes>) -> Result<http::Response<Bytes>, HttpError> {
        let (head, body) = request.into_parts();
        let content = head.headers.get(CONTENT_TYPE).cloned();
        let content = content.unwrap_or(HeaderValue::from_static("application/x-protobuf"));
        let mut sent = Request::post(head.uri.to_string().parse()?, content, body);
        for (name, value) in &head.headers {
            sent = sent.header(name.clone(), value.clone());
        }
        let answer = tokio::time::timeout(DEADLINE, self.0.http(sent)).await??;
        let mut received = http::Response::new(answer.body);
        (*received.status_mut(), *received.headers_mut()) = (answer.status, answer.headers);
        Ok(received)
    }
}

/// Runs an exporter on Tokio: the library drives it from a thread of its own, where an HTTP client of
/// Tokio's finds no runtime.
struct OnRuntime<E> {
    exporter: Arc<E>,
    runtime: Handle,
}

impl<E: SpanExporter + 'static> SpanExporter for OnRuntime<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let exporter = self.exporter.clone();
        let sent = self.runtime.spawn(async move { exporter.export(batch).await });
        sent.await.unwrap_or(Err(OTelSdkError::AlreadyShutdown))
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        // Called once, before the first batch, when nobody else holds it.
        if let Some(exporter) = Arc::get_mut(&mut self.exporter) {
            exporter.set_resource(resource);
        }
    }
}

impl<E: fmt::Debug> fmt::Debug for OnRuntime<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.exporter.fmt(f)
    }
}

/// What a collector files the spans under.
const SERVICE: &str = "beach-lifeguard";

/// For one batch, and for the last one at the end.
const DEADLINE: Duration = Duration::from_secs(3);
