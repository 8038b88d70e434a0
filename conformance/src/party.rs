//! The smallest session: one side's [`Resume`] and the transports it runs over, without a policy,
//! a dialler or a seal. For cases, simulation and chaos; applications use the `negotiator`.

use std::{collections::BTreeMap, future::Future, sync::Arc, time::Instant};

use bytes::Bytes;
use futures::future::{BoxFuture, FutureExt, select_all};
use transport_core::{
    CloseCode, Closed, Generation, Inbound, Lane, Refusal, Refused, Transport,
    resume::{Event, Resume, ResumeConfig, StaleGeneration},
};

/// One side of a session.
#[derive(Debug)]
pub struct Party {
    resume: Resume,
    links: BTreeMap<Generation, Arc<dyn Transport>>,
}

/// What woke a party up.
enum Woken {
    Arrived(Generation, Result<Inbound, Closed>),
    Room(Generation, Result<(), Closed>),
    Time,
}

impl Party {
    /// Starts a session. `instance` must differ from that of every earlier state of this side.
    pub fn new(config: ResumeConfig, instance: u64, seed: u64) -> Self {
        Self { resume: Resume::new(config, instance, seed), links: BTreeMap::new() }
    }

    /// Moves the session onto another transport; the older ones go on until they drain or die.
    ///
    /// # Errors
    ///
    /// [`StaleGeneration`] unless `generation` is the highest so far; the transport is dropped then.
    pub fn attach(
        &mut self,
        generation: Generation,
        transport: Arc<dyn Transport>,
    ) -> Result<(), StaleGeneration> {
        self.resume.attach(now(), generation, transport.profile())?;
        self.links.insert(generation, transport);
        Ok(())
    }

    /// Takes a transport away as if it had died, and closes it.
    pub fn detach(&mut self, generation: Generation, code: CloseCode) {
        if let Some(link) = self.links.remove(&generation) {
            link.close(code, "detached");
        }
        self.resume.detach(now(), generation);
    }

    /// Accepts a message, or hands it back.
    ///
    /// # Errors
    ///
    /// [`Refused`], as [`Resume::try_send`].
    pub fn try_send(&mut self, payload: Bytes) -> Result<(), Refused> {
        self.resume.try_send(payload)
    }

    /// Returns the bookkeeping.
    pub fn resume(&self) -> &Resume {
        &self.resume
    }

    /// Returns the generations that have a transport.
    pub fn generations(&self) -> impl Iterator<Item = Generation> + '_ {
        self.links.keys().copied()
    }

    /// Moves bytes until there is something the application must know. Messages are consumed as
    /// they are handed out.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: everything between two waits is one step.
    pub async fn next(&mut self) -> Event {
        loop {
            self.transmit();
            if let Some(event) = self.resume.poll_event() {
                match &event {
                    Event::Message(message) => self.resume.consumed(message.len()),
                    Event::Drained { generation } => self.detach(*generation, CloseCode::NORMAL),
                    _ => {}
                }
                return event;
            }
            let woken = self.wait().await;
            self.handle(woken);
        }
    }

    fn transmit(&mut self) {
        while let Some(mut frame) = self.resume.poll_transmit(now()) {
            let Some(link) = self.links.get(&frame.generation) else {
                self.resume.detach(now(), frame.generation);
                continue;
            };
            if let Err(Refused { payload, why }) = link.try_send(frame.lane, frame.payload) {
                frame.payload = payload;
                match why {
                    Refusal::Full => self.resume.unsend(frame),
                    // The end is learnt by recv, behind what still arrived; until then nothing more goes out.
                    Refusal::Closed(_) => self.resume.unsend(frame),
                    Refusal::Empty | Refusal::TooLarge { .. } => {
                        self.detach(frame.generation, CloseCode::INTERNAL);
                    }
                }
            }
        }
    }

    fn wait(&self) -> impl Future<Output = Woken> + use<> {
        let mut waits: Vec<BoxFuture<'static, Woken>> = Vec::new();
        for (&generation, link) in &self.links {
            let link = link.clone();
            waits.push(async move { Woken::Arrived(generation, link.recv().await) }.boxed());
        }
        for generation in self.resume.blocked() {
            if let Some(link) = self.links.get(&generation).cloned() {
                waits.push(
                    async move { Woken::Room(generation, link.writable(Lane::Reliable).await) }.boxed(),
                );
            }
        }
        let timeout = self.resume.poll_timeout();
        waits.push(
            async move {
                match timeout {
                    Some(at) => tokio::time::sleep_until(at.into()).await,
                    None => std::future::pending().await,
                }
                Woken::Time
            }
            .boxed(),
        );
        async move { select_all(waits).await.0 }
    }

    fn handle(&mut self, woken: Woken) {
        match woken {
            Woken::Arrived(generation, Ok(inbound)) => {
                let handled = self.resume.handle_frame(now(), generation, inbound.lane, inbound.payload);
                if let Err(error) = handled {
                    tracing::debug!(%error, %generation, "the peer broke the protocol");
                    self.detach(generation, CloseCode::PROTOCOL_ERROR);
                }
            }
            Woken::Arrived(generation, Err(_closed)) => {
                self.links.remove(&generation);
                self.resume.detach(now(), generation);
            }
            Woken::Room(generation, Ok(())) => self.resume.unblocked(generation),
            Woken::Room(_, Err(_closed)) => {}
            Woken::Time => self.resume.handle_timeout(now()),
        }
    }
}

/// The two sides of a session, in one task.
#[derive(Debug)]
pub struct Duo {
    /// One side.
    pub near: Party,
    /// The other.
    pub far: Party,
    generation: Generation,
}

/// Which side something happened on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum At {
    /// The far side.
    Far,
    /// The near side.
    Near,
}

impl Duo {
    /// Starts a session between two fresh sides.
    pub fn new(config: &ResumeConfig, seed: u64) -> Self {
        let near = Party::new(config.clone(), seed.wrapping_mul(2) | 1, seed);
        let far = Party::new(config.clone(), seed.wrapping_mul(2).wrapping_add(2), seed ^ 1);
        Self { near, far, generation: Generation(0) }
    }

    /// Moves both sides onto a new pair of transports, and returns its generation.
    ///
    /// # Errors
    ///
    /// [`StaleGeneration`] after four billion switches.
    pub fn switch(
        &mut self,
        near: Box<dyn Transport>,
        far: Box<dyn Transport>,
    ) -> Result<Generation, StaleGeneration> {
        let stale = StaleGeneration { offered: self.generation, newest: self.generation };
        self.generation = self.generation.next().ok_or(stale)?;
        self.near.attach(self.generation, Arc::from(near))?;
        self.far.attach(self.generation, Arc::from(far))?;
        Ok(self.generation)
    }

    /// Returns the generation of the last switch.
    pub fn generation(&self) -> Generation {
        self.generation
    }

    /// Moves bytes until either side's application must know something.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn next(&mut self) -> (At, Event) {
        tokio::select! {
            biased;
            event = self.near.next() => (At::Near, event),
            event = self.far.next() => (At::Far, event),
        }
    }
}

fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}
