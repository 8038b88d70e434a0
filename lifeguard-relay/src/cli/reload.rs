//! Certificates and keys are read again: at SIGHUP, and by themselves when their files have changed.

use std::{path::PathBuf, sync::Arc, time::Duration};

use tokio::{
    signal::unix::{SignalKind, signal},
    time::{MissedTickBehavior, interval},
};
use tokio_util::sync::CancellationToken;

use super::failure::Failure;
use crate::{
    listen::Certificates,
    service::{LOOK, Notify, Watch},
    telemetry::metrics::Metrics,
};

/// What is read again, and who hears of it.
pub(super) struct Reload {
    pub(super) certificates: Option<Arc<Certificates>>,
    /// Reads what else there is.
    pub(super) renew: Box<dyn Fn() -> Result<(), Failure> + Send>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) notify: Notify,
}

impl Reload {
    /// Reads again until `stop`, from `watch`, which was made before the files were read first.
    ///
    /// # Errors
    ///
    /// The operating system refused a signal handler. All of this is set up when the call returns.
    pub(super) fn begin(
        self,
        mut watch: Watch,
        stop: CancellationToken,
    ) -> Result<impl Future<Output = ()> + Send, Failure> {
        let mut hangup = signal(SignalKind::hangup())?;
        self.tell_expiry();
        Ok(async move {
            let mut look = interval(LOOK);
            look.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                let why = tokio::select! {
                    () = stop.cancelled() => return,
                    _ = hangup.recv() => "SIGHUP",
                    _ = look.tick() => {
                        if !watch.changed() {
                            continue;
                        }
                        "files changed"
                    }
                };
                self.notify.reloading();
                self.once(why);
                self.notify.ready();
            }
        })
    }

    /// What cannot be read stays as it was.
    fn once(&self, why: &'static str) {
        let certificate = self.certificates.as_ref().map_or(Ok(()), |c| c.reload().map_err(Failure::from));
        self.tell_expiry();
        let refused: Vec<_> = [certificate, (self.renew)()].into_iter().filter_map(Result::err).collect();
        self.metrics.reloaded(refused.is_empty());
        if refused.is_empty() {
            tracing::info!(why, "certificates and keys were read again");
        }
        for error in refused {
            tracing::error!(why, %error, "could not be read again; what was read before stays");
        }
    }

    fn tell_expiry(&self) {
        self.metrics.certificate_expires(self.certificates.as_ref().map_or(0, |served| served.expires()));
    }
}

/// Where a certificate and its key are, for a [`Watch`].
pub(super) fn pair(certificate: Option<&PathBuf>, key: Option<&PathBuf>) -> Vec<PathBuf> {
    certificate.into_iter().chain(key).cloned().collect()
}

/// Behind the time of a drain: for goodbyes and for requests that are being answered.
pub(super) const ENDING: Duration = Duration::from_secs(15);
