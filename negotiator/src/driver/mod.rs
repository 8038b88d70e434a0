//! The task of one session: tells the [`Judge`] what happens, and has its actions carried out.
//!
//! It translates and decides nothing. What becomes an event is listed in [`Driver::run`], what becomes of an action in
//! [`Effects::carry_out`].

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "a test brings the runtime")]
mod death_tests;
mod dials;
mod effects;
#[cfg(not(feature = "metrics"))]
mod meter;
mod network;
#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "a test brings the runtime")]
mod replay_tests;
mod sampler;
#[cfg(test)]
mod trace;
mod voice;

use tokio::sync::{mpsc, watch};
use transport_core::{
    judge::{Event, Judge},
    policy::Gates,
};

pub(crate) use self::effects::Parts as EffectsParts;
#[cfg(not(feature = "metrics"))]
use self::meter::Meter;
use self::{
    dials::{DialNews, DialReport},
    effects::Effects,
};
#[cfg(feature = "metrics")]
use crate::metrics::Meter;
use crate::{
    config::FallbackMode,
    core::Report,
    runtime::{
        Duration, Instant, MissedTickBehavior, SystemTime, interval, now, sleep_until, timeout, wall_clock,
    },
    session::Command,
};

/// Everything a driver is made of.
#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) judge: Judge,
    pub(crate) inputs: Inputs,
    pub(crate) effects: EffectsParts,
    /// Whether to look now and then which network this is.
    pub(crate) watch_network: bool,
}

/// What others tell a driver.
#[derive(Debug)]
pub(crate) struct Inputs {
    /// From signaling: what the peer said, and that it is present.
    pub(crate) signaling: mpsc::Receiver<Event>,
    /// From the application's handles; ends with the last of them.
    pub(crate) commands: mpsc::Receiver<Command>,
    /// What the application allows. Level-triggered: the last one counts.
    pub(crate) mode: watch::Receiver<FallbackMode>,
    /// The gates in front of the fallback, where this side leads.
    pub(crate) gates: Option<watch::Receiver<Gates>>,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Driver {
    judge: Judge,
    effects: Effects,
    inputs: Inputs,
    watch_network: bool,
    #[cfg(test)]
    trace: trace::Trace,
}

impl Driver {
    pub(crate) fn new(parts: Parts) -> Self {
        let Parts { judge, inputs, watch_network, effects } = parts;
        Self {
            #[cfg(test)]
            trace: trace::Trace::new(&judge),
            judge,
            effects: Effects::new(effects),
            inputs,
            watch_network,
        }
    }

    /// Runs until the session has ended and everything it had to say has left.
    pub(crate) async fn run(mut self) {
        let mut tick = interval(SAMPLE);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut clocks = Clocks::now();
        let (mut signaling, mut handles) = (true, true);
        let mut look = None;
        let core = self.effects.core.clone();
        self.happened(Event::Start { network: network::here() });
        loop {
            let reported = core.reported();
            while let Some(report) = core.report() {
                if report == Report::SessionEnded {
                    return self.finish().await;
                }
                self.reported(report);
            }
            self.effects.publish(self.judge.view(now()));
            let due = self.judge.poll_timeout();
            tokio::select! {
                () = reported => {}
                event = self.inputs.signaling.recv(), if signaling => match event {
                    Some(event) => self.happened(event),
                    None => signaling = false,
                },
                command = self.inputs.commands.recv(), if handles => match command {
                    Some(Command::NetworkChanged) => {
                        self.happened(Event::NetworkChanged { network: network::here() });
                    }
                    Some(Command::Woke) => self.happened(Event::Woke),
                    None => {
                        handles = false;
                        self.happened(Event::HandlesDropped);
                    }
                },
                mode = changed(Some(&mut self.inputs.mode)) => self.happened(Event::ModeSet(mode.into())),
                gates = changed(self.inputs.gates.as_mut()) => self.happened(Event::GatesChanged(gates)),
                report = self.effects.dials.next() => self.dialled(report),
                _ = tick.tick() => {
                    self.happened(Event::Clock { ahead: clocks.compare() });
                    if self.watch_network {
                        self.happened(Event::NetworkSeen { network: network::lately() });
                    }
                    core.handle_timeout();
                    look = self.sample();
                }
                () = sleep_until(look.unwrap_or_else(now)), if look.is_some() => look = self.sample(),
                () = sleep_until(due.unwrap_or_else(now)), if due.is_some() => {
                    self.judge(None);
                }
            }
        }
    }

    fn reported(&mut self, report: Report) {
        match report {
            Report::Attached { generation, resent_segments, silence } => {
                self.effects.meter.attached(silence);
                tracing::info!(%generation, resent_segments, "both sides are on the new path");
                self.happened(Event::Attached { generation, resent_segments });
            }
            Report::Drained(generation) => self.happened(Event::Drained { generation }),
            Report::LinkEnded(generation, closed) => {
                self.effects.forget(generation, &closed);
                self.happened(Event::LinkEnded { generation, closed });
            }
            Report::InputRefused => self.effects.tell_input_refused(),
            Report::SessionEnded => {}
        }
    }

    fn dialled(&mut self, DialReport { generation, transport, news }: DialReport) {
        match news {
            DialNews::Called => self.happened(Event::Called { transport, generation }),
            DialNews::Answered => self.happened(Event::DialAnswered { generation }),
            DialNews::Failed(error) => {
                let kind = error.kind;
                self.effects.dial_failed(generation, transport, &error);
                self.happened(Event::DialFailed { generation, kind });
            }
            DialNews::Succeeded(sealed) => {
                self.effects.stand_by(generation, transport, sealed);
                self.happened(Event::DialSucceeded { generation });
            }
        }
    }

    /// Measures every open link; says when to look again, where that is before the usual time.
    fn sample(&mut self) -> Option<Instant> {
        for event in self.effects.sample() {
            self.happened(event);
        }
        let now = now();
        self.judge.next_look().filter(|look| *look > now)
    }

    fn happened(&mut self, event: Event) {
        self.judge(Some(event));
    }

    /// Tells the judge what happened, or that its time has come, and carries out what it asks for.
    fn judge(&mut self, event: Option<Event>) {
        let now = now();
        #[cfg(test)]
        self.trace.told(now, event.clone());
        match event {
            Some(event) => self.judge.handle_event(now, event),
            None => self.judge.handle_timeout(now),
        }
        while let Some(action) = self.judge.poll_action() {
            tracing::debug!(?action, "judged");
            #[cfg(test)]
            self.trace.asked(action.clone());
            self.effects.carry_out(action);
        }
    }

    /// Says goodbye on every link and through signaling, and waits until it has left, within [`GOODBYE`].
    async fn finish(mut self) {
        self.happened(Event::Ended);
        self.effects.publish(self.judge.view(now()));
        let _ = timeout(GOODBYE, self.effects.finish()).await;
    }
}

/// Waits until `level` is another one than when it was last looked at here, however long ago that was. For ever, when
/// there is none or nobody changes it any more.
async fn changed<T: Copy>(level: Option<&mut watch::Receiver<T>>) -> T {
    if let Some(level) = level
        && level.changed().await.is_ok()
    {
        return *level.borrow_and_update();
    }
    std::future::pending().await
}

/// The wall clock and the monotonic one, which stands still while a machine sleeps.
#[derive(Debug, Clone, Copy)]
struct Clocks {
    wall: SystemTime,
    monotonic: Instant,
}

impl Clocks {
    fn now() -> Self {
        Self { wall: wall_clock(), monotonic: now() }
    }

    /// Returns how far the wall clock ran ahead since the last comparison.
    fn compare(&mut self) -> Duration {
        let before = std::mem::replace(self, Self::now());
        let wall = self.wall.duration_since(before.wall).unwrap_or_default();
        wall.saturating_sub(self.monotonic.saturating_duration_since(before.monotonic))
    }
}

/// Between two health samples, and two looks at which network this is: the policy needs several within its 5.5 s to call
/// a path dead, and who moved waits for the first look.
const SAMPLE: Duration = Duration::from_millis(500);
/// How long the end of a session may take: the time transports have for their last bytes (contract 6.9).
const GOODBYE: Duration = Duration::from_secs(2);
