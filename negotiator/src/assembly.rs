//! Puts a session together: the handle for the application, the driver, and the way from signaling to the driver.

use std::sync::Arc;

use tokio::sync::{broadcast, mpsc, watch};
use transport_core::{
    PeerId,
    judge::{Event, Judge},
    policy::Gates,
    resume::{Resume, ResumeConfig},
    signaling::Exchange,
};

use crate::{
    config::NetworkConfig,
    core::SessionCore,
    driver::{Driver, EffectsParts, Inputs, Parts},
    endpoint::{Endpoint, Ways},
    event::EVENTS,
    explain::Outlook,
    pump::Attach,
    rendezvous::Missing,
    session::{DriverHandle, Session},
};

/// What a session is made of.
pub(crate) struct Assembly<'a> {
    pub(crate) judge: Judge,
    /// By the judge where this side leads, by the first frame where it follows.
    pub(crate) attach: Attach,
    /// The gates in front of the fallback, where this side leads.
    pub(crate) gates: Option<watch::Receiver<Gates>>,
    pub(crate) endpoint: Arc<Endpoint>,
    pub(crate) ways: Ways,
    pub(crate) missing: Arc<[Missing]>,
    pub(crate) peer: PeerId,
    pub(crate) exchange: Arc<Exchange>,
    pub(crate) config: &'a NetworkConfig,
}

/// A session before its driver runs.
pub(crate) struct Assembled {
    pub(crate) session: Session,
    pub(crate) driver: Driver,
    /// Where whoever listens to signaling puts what concerns this session.
    pub(crate) inbox: mpsc::Sender<Event>,
}

pub(crate) fn assemble(assembly: Assembly<'_>) -> Assembled {
    let Assembly { judge, attach, gates, endpoint, ways, missing, peer, exchange, config } = assembly;
    let mut settings = ResumeConfig::default();
    settings.resume_window = config.resume_window;
    settings.ack_delay = config.ack_delay;
    let resume = Resume::new(settings, rand::random(), rand::random());
    let core = Arc::new(SessionCore::new(resume, endpoint.is_host(), config.questions));
    let (inbox, signaling) = mpsc::channel(INBOX);
    let (to_commands, commands) = mpsc::channel(COMMANDS);
    let (to_mode, mode) = watch::channel(config.mode);
    let (outlook, watched) = watch::channel(Outlook::starting(attach == Attach::ByDriver));
    let events = broadcast::Sender::new(EVENTS);
    let handle =
        DriverHandle { outlook: watched, events: events.downgrade(), commands: to_commands, mode: to_mode };
    let session = Session::new(endpoint.session(), peer, core.clone(), missing, handle);
    let driver = Driver::new(Parts {
        judge,
        inputs: Inputs { signaling, commands, mode, gates },
        effects: EffectsParts { endpoint, ways, peer, core, exchange, attach, outlook, events },
        watch_network: config.watch_network,
    });
    Assembled { session, driver, inbox }
}

/// Events from signaling that may wait for a driver.
const INBOX: usize = 64;
/// Commands of the handle that may wait.
const COMMANDS: usize = 16;
