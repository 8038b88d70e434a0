//! A session above moves over this transport and loses nothing (contract §10).

use rand::Rng;
use transport_core::{
    CloseCode, Generation,
    memory::{self, MemoryTransport},
    resume::{Event, Expiry, ResumeConfig},
};

use super::STEP_LIMIT;
use crate::{
    case::{Ctx, Failure, PathGuard, Result, within},
    ensure,
    history::{Author, Judge, OVERHEAD, Stream, Verdict},
    party::{At, Duo, Party},
    subject::Fault,
};

cases! { "migrate":
    one_transport_carries_a_session [ "10.1" ];
    make_before_break [ "10.1" ];
    break_before_make [ "10.1" ];
    twelve_switches_at_any_moment [ "10.1" ];
    a_switch_during_a_switch [ "10.1" ];
    there_and_back_over_another_kind [ "10.3" ];
    a_cut_in_mid_stream [ "10.1" ] needs Cut;
    a_peer_without_its_state_is_told [ "10.2" ];
}

/// Both directions of a session under way.
struct Script<'a> {
    ctx: &'a Ctx,
    duo: Duo,
    paths: Vec<PathGuard>,
    up: (Author, Judge),
    down: (Author, Judge),
    each: u64,
    delivered: u64,
}

/// Messages in each direction of a script.
const EACH: u64 = 240;

impl<'a> Script<'a> {
    fn new(ctx: &'a Ctx) -> Self {
        let stream = |stream| Stream { key: ctx.seed(), session: 1, stream };
        let direction = |number| (Author::new(stream(number)), Judge::new(stream(number)));
        Self {
            ctx,
            duo: Duo::new(&ResumeConfig::default(), ctx.seed()),
            paths: Vec::new(),
            up: direction(0),
            down: direction(1),
            each: EACH,
            delivered: 0,
        }
    }

    async fn switch(&mut self) -> Result<Generation> {
        let (near, far, path) = self.ctx.link().await?.into_parts();
        self.paths.push(path);
        Ok(self.duo.switch(near, far)?)
    }

    fn total(&self) -> u64 {
        2 * self.each
    }

    /// Goes on until `delivered` messages came out in all.
    async fn until(&mut self, delivered: u64) -> Result<()> {
        while self.delivered < delivered.min(self.total()) {
            self.send()?;
            match within(STEP_LIMIT, "the next message of a session", self.duo.next()).await? {
                (At::Far, Event::Message(message)) => self.up.1.delivered(&message),
                (At::Near, Event::Message(message)) => self.down.1.delivered(&message),
                (at, event @ (Event::Gap { .. } | Event::Expired { .. } | Event::PeerClosed { .. })) => {
                    return Err(Failure(format!("the session ended at {at:?}: {event:?}")));
                }
                _ => continue,
            }
            self.delivered += 1;
        }
        Ok(())
    }

    fn send(&mut self) -> Result<()> {
        for (party, (author, _)) in [(&mut self.duo.near, &mut self.up), (&mut self.duo.far, &mut self.down)]
        {
            // Sizes on both sides of a segment, so that cuts fall inside messages too.
            while author.written() < self.each && party.resume().writable() {
                let len = [OVERHEAD, 300, 2_000, 20_000][author.written() as usize % 4];
                party.try_send(author.write(len))?;
            }
        }
        Ok(())
    }

    async fn finish(mut self) -> Result<()> {
        self.until(u64::MAX).await?;
        // What is doubled would come late.
        let late = tokio::time::timeout(self.ctx.settle(), async {
            loop {
                if let (at, Event::Message(_)) = self.duo.next().await {
                    return at;
                }
            }
        });
        if let Ok(at) = late.await {
            return Err(Failure(format!("a message too many came out at {at:?}")));
        }
        let verdict: Verdict =
            self.up.1.verdict(self.up.0.written()).and(self.down.1.verdict(self.down.0.written()));
        ensure!(verdict.is_whole(), "the history is not whole: {verdict}");
        Ok(())
    }
}

async fn one_transport_carries_a_session(ctx: &Ctx) -> Result<()> {
    let mut script = Script::new(ctx);
    script.switch().await?;
    script.finish().await
}

async fn make_before_break(ctx: &Ctx) -> Result<()> {
    let mut script = Script::new(ctx);
    script.switch().await?;
    script.until(EACH / 2).await?;
    script.switch().await?;
    script.finish().await
}

async fn break_before_make(ctx: &Ctx) -> Result<()> {
    let mut script = Script::new(ctx);
    let first = script.switch().await?;
    script.until(EACH / 2).await?;
    script.send()?;
    script.duo.near.detach(first, CloseCode::GOING_AWAY);
    script.duo.far.detach(first, CloseCode::GOING_AWAY);
    script.switch().await?;
    script.finish().await
}

async fn twelve_switches_at_any_moment(ctx: &Ctx) -> Result<()> {
    let mut script = Script::new(ctx);
    let mut random = ctx.random();
    let mut last = script.switch().await?;
    for _ in 0..12 {
        let until = script.delivered + random.random_range(0..EACH / 8);
        script.until(until).await?;
        match random.random_range(0..4) {
            0 => script.duo.near.detach(last, CloseCode::CONNECTION_LOST),
            1 => script.duo.far.detach(last, CloseCode::CONNECTION_LOST),
            _ => {}
        }
        last = script.switch().await?;
    }
    script.finish().await
}

async fn a_switch_during_a_switch(ctx: &Ctx) -> Result<()> {
    let mut script = Script::new(ctx);
    script.switch().await?;
    script.until(EACH / 2).await?;
    // Three at once: the first two have not even introduced themselves.
    script.switch().await?;
    script.switch().await?;
    script.switch().await?;
    script.finish().await
}

async fn there_and_back_over_another_kind(ctx: &Ctx) -> Result<()> {
    let mut script = Script::new(ctx);
    script.switch().await?;
    script.until(EACH / 2).await?;
    let (near, far, _link): (MemoryTransport, MemoryTransport, _) =
        memory::pair(memory::profile(9_000, 1_200));
    script.duo.switch(Box::new(near), Box::new(far))?;
    script.until(EACH).await?;
    script.switch().await?;
    script.finish().await
}

async fn a_cut_in_mid_stream(ctx: &Ctx) -> Result<()> {
    let mut script = Script::new(ctx);
    script.switch().await?;
    script.until(EACH / 2).await?;
    script.send()?;
    script.paths[0].inject(Fault::Cut);
    script.switch().await?;
    script.finish().await
}

async fn a_peer_without_its_state_is_told(ctx: &Ctx) -> Result<()> {
    let mut script = Script::new(ctx);
    let first = script.switch().await?;
    script.until(EACH / 2).await?;
    script.send()?;
    script.duo.near.detach(first, CloseCode::GOING_AWAY);
    // The far side comes back from a crash with nothing.
    let (near, far, _path) = ctx.link().await?.into_parts();
    let next = Generation(first.0 + 1);
    script.duo.near.attach(next, near.into())?;
    let mut far_side = Party::new(ResumeConfig::default(), ctx.seed().wrapping_add(0xDEAD), 1);
    far_side.attach(next, far.into())?;
    let told = async {
        loop {
            let event = tokio::select! {
                event = script.duo.near.next() => event,
                event = far_side.next() => event,
            };
            match event {
                Event::Gap { .. } | Event::Expired { why: Expiry::PeerRestarted, .. } => return Ok(()),
                Event::Message(_) => {
                    return Err(Failure("messages went on as if nothing was missing".to_owned()));
                }
                _ => {}
            }
        }
    };
    within(STEP_LIMIT, "telling the gap", told).await??;
    let ended: Option<_> = script.duo.near.resume().ended().or(far_side.resume().ended());
    ensure!(ended.is_some(), "a session with a gap goes on");
    Ok(())
}
