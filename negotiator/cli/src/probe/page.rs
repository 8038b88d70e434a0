//! The probe as a service: what the last round found, as Prometheus text.

use std::{
    fmt::Write,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use http_body_util::Full;
use hyper::{
    Method, Request, Response, StatusCode, body::Bytes, header, server::conn::http1, service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use parking_lot::Mutex;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    task::JoinSet,
    time::timeout,
};

use super::Probed;
use crate::exit::Failure;

/// A page of metrics; dropping it closes it.
#[derive(Debug)]
pub(super) struct Page {
    address: SocketAddr,
    text: Arc<Mutex<String>>,
    _task: JoinSet<()>,
}

impl Page {
    /// Listens at `address`.
    ///
    /// # Errors
    ///
    /// [`Failure::Io`].
    pub(super) async fn open(address: SocketAddr) -> Result<Self, Failure> {
        let listener = TcpListener::bind(address).await.map_err(Failure::io("the address to serve at"))?;
        let address = listener.local_addr().map_err(Failure::io("the address to serve at"))?;
        let text = Arc::<Mutex<String>>::default();
        let mut task = JoinSet::new();
        task.spawn(serve(listener, text.clone()));
        Ok(Self { address, text, _task: task })
    }

    /// Returns where the metrics are.
    pub(super) fn url(&self) -> String {
        format!("http://{}/metrics", self.address)
    }

    /// Replaces what the page shows.
    pub(super) fn show(&self, results: &[Probed]) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        *self.text.lock() = metrics(results, now);
    }
}

async fn serve(listener: TcpListener, text: Arc<Mutex<String>>) {
    let (mut readers, room) = (JoinSet::new(), Arc::new(Semaphore::new(READERS)));
    loop {
        tokio::select! {
            Ok((stream, _)) = listener.accept() => {
                let Ok(seat) = room.clone().try_acquire_owned() else { continue };
                let text = text.clone();
                readers.spawn(async move {
                    let _seat = seat;
                    // Whoever dawdles may come again.
                    let _ = timeout(VISIT, answer(stream, &text)).await;
                });
            }
            Some(_) = readers.join_next() => {}
        }
    }
}

async fn answer(stream: TcpStream, text: &Mutex<String>) -> Result<(), hyper::Error> {
    let page = service_fn(|request: Request<hyper::body::Incoming>| {
        let (status, body) = match (request.method(), request.uri().path()) {
            (&Method::GET, "/metrics") => (StatusCode::OK, text.lock().clone()),
            (&Method::GET, _) => (StatusCode::NOT_FOUND, "the metrics are at /metrics\n".to_owned()),
            _ => (StatusCode::METHOD_NOT_ALLOWED, "only GET\n".to_owned()),
        };
        let answer = Response::builder()
            .status(status)
            .header(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")
            .body(Full::new(Bytes::from(body)));
        std::future::ready(answer)
    });
    let mut connection = http1::Builder::new();
    connection.timer(TokioTimer::new()).header_read_timeout(VISIT).keep_alive(false);
    connection.serve_connection(TokioIo::new(stream), page).await
}

/// The families that the dashboards and alerts know; a path that failed has no figures.
fn metrics(results: &[Probed], now: Duration) -> String {
    let mut out = String::new();
    let mut family = |name: &str, help: &str, value: &dyn Fn(&Probed) -> Option<f64>| {
        let _ = writeln!(out, "# HELP beach_probe_{name} {help}\n# TYPE beach_probe_{name} gauge");
        for probed in results {
            if let Some(value) = value(probed) {
                let _ = writeln!(out, "beach_probe_{name}{{path=\"{}\"}} {value}", probed.path);
            }
        }
    };
    let works = |probed: &Probed| Some(if probed.error.is_none() { 1.0 } else { 0.0 });
    family("success", "1 when a session came up over this path and carried data.", &works);
    family("setup_seconds", "From the first word to a usable session.", &|probed| {
        Some(probed.figures.as_ref()?.setup_ms as f64 / 1e3)
    });
    family("rtt_seconds", "Median round trip of a small message.", &|probed| {
        Some(probed.figures.as_ref()?.rtt_us as f64 / 1e6)
    });
    family("queueing_seconds", "Growth of the round trip under load.", &|probed| {
        Some(probed.figures.as_ref()?.queueing_us as f64 / 1e6)
    });
    family("throughput_bytes_per_second", "Payload that arrived.", &|probed| {
        Some(probed.figures.as_ref()?.bytes_per_second as f64)
    });
    let last = "beach_probe_last_run_timestamp_seconds";
    let _ = writeln!(
        out,
        "# HELP {last} When it ran, Unix seconds.\n# TYPE {last} gauge\n{last} {}",
        now.as_secs()
    );
    out
}

/// Readers at one time.
const READERS: usize = 16;

/// Time for one of them.
const VISIT: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::{super::Figures, *};

    #[test]
    fn a_path_that_failed_has_no_figures_and_says_that_it_failed() {
        let figures = Figures {
            transport: "webrtc".to_owned(),
            setup_ms: 120,
            rtt_us: 800,
            worst_rtt_us: 900,
            bytes_per_second: 1_000,
            queueing_us: 20,
        };
        let results = [
            Probed { path: "direct", error: None, figures: Some(figures) },
            Probed { path: "relay", error: Some("no path".to_owned()), figures: None },
        ];
        let text = metrics(&results, Duration::from_secs(1_000));
        for line in [
            "beach_probe_success{path=\"direct\"} 1",
            "beach_probe_success{path=\"relay\"} 0",
            "beach_probe_setup_seconds{path=\"direct\"} 0.12",
            "beach_probe_rtt_seconds{path=\"direct\"} 0.0008",
            "beach_probe_last_run_timestamp_seconds 1000",
        ] {
            assert!(text.lines().any(|have| have == line), "{line} is not in\n{text}");
        }
        assert!(!text.contains("setup_seconds{path=\"relay\"}"));
    }
}
