//! One relay with its control plane for a whole run, on a thread of its own: it outlives the runtime of any
//! one case.

use std::{sync::OnceLock, thread};

use futures::future::BoxFuture;
use lifeguard_relay::{Dev, DevConfig};
use tokio::sync::{mpsc, oneshot};

/// Where the services are, and a way to run something beside them.
#[derive(Debug)]
pub(crate) struct Services {
    /// `http://127.0.0.1:PORT`.
    pub(crate) public_url: String,
    /// What to trust, in PEM, where they speak TLS.
    #[allow(dead_code, reason = "only the relay's own certification speaks TLS")]
    pub(crate) certificate: Option<String>,
    jobs: mpsc::Sender<Job>,
}

type Job = (fn(&Dev) -> BoxFuture<'_, ()>, oneshot::Sender<()>);

impl Services {
    /// Starts them, or returns those that run already.
    #[allow(dead_code, reason = "the relay's own certification starts its own")]
    pub(crate) fn start() -> &'static Self {
        static RUNNING: OnceLock<Services> = OnceLock::new();
        RUNNING.get_or_init(|| Self::with(DevConfig::default()))
    }

    /// Starts others, which run until the process ends.
    pub(crate) fn with(config: DevConfig) -> Self {
        // The control plane signs tokens; somebody may have installed the provider before.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let (tell, told) = std::sync::mpsc::sync_channel(1);
        let (jobs, mut inbox) = mpsc::channel::<Job>(4);
        thread::spawn(move || {
            let runtime = tokio::runtime::Runtime::new().expect("a runtime for the services");
            runtime.block_on(async {
                let dev = Dev::start(config).await.expect("a relay on loopback");
                let certificate = dev.certificate_pem().map(str::to_owned);
                tell.send((dev.public_url(), certificate)).expect("the test waits");
                while let Some((job, done)) = inbox.recv().await {
                    job(&dev).await;
                    // Who asked may have given up.
                    let _ = done.send(());
                }
            });
        });
        let (public_url, certificate) = told.recv().expect("the relay says where it listens");
        Self { public_url, certificate, jobs }
    }

    /// Runs `job` beside the services.
    #[allow(dead_code, reason = "only the relay's own certification drains it")]
    pub(crate) async fn run(&self, job: fn(&Dev) -> BoxFuture<'_, ()>) {
        let (done, finished) = oneshot::channel();
        self.jobs.send((job, done)).await.expect("the services run");
        finished.await.expect("the job finishes");
    }
}
