//! `beach-link demo`: a shell session moves from WebRTC to the relay and back, on this machine alone.

pub mod bulk;
pub mod report;
pub mod show;
pub mod stage;
pub mod story;
pub mod typist;

use std::time::{Duration, Instant};

use crate::{
    args::DemoArgs,
    exit::Failure,
    signal::Interrupts,
    ui::{Lines, To},
    viewer::enter::{ask, connect},
    wire::Service,
};
use report::{Measured, Report};
use show::Show;
use stage::Stage;

/// Runs the demo. Succeeds only if every byte arrived once and in order, and the session went to the relay and back.
///
/// # Errors
///
/// [`Failure`].
pub async fn demo(args: DemoArgs) -> Result<u8, Failure> {
    let mut interrupts = Interrupts::listen()?;
    let mut lines = Lines::new(To::Stdout);
    let stage = tokio::select! {
        stage = Stage::set(args.seed) => stage?,
        failure = interrupts.next() => return Err(failure),
    };
    let outcome = tokio::select! {
        outcome = perform(&stage, &mut lines) => outcome,
        failure = interrupts.next() => Err(failure),
    };
    stage.strike().await;
    let report = outcome?;
    if args.report.is_some() {
        let json = serde_json::to_string(&report).map_err(std::io::Error::from);
        lines.say(&json.map_err(Failure::io("the report"))?);
    }
    if report.ok { Ok(0) } else { Err(Failure::Demo(report.failures.join("; "))) }
}

async fn perform(stage: &Stage, lines: &mut Lines) -> Result<Report, Failure> {
    lines.say("a relay, a host with a shell and a viewer are running on this machine");
    lines.say(&format!(
        "for the demo the way back is tried every {} s and trusted after {} s (60 s and 5 s otherwise)\n",
        stage::CADENCE.as_secs(),
        stage::DWELL.as_secs()
    ));
    let start = Instant::now();
    let session = connect(&stage.link().parse()?, stage::network(), lines).await?;
    ask(&session, Service::Terminal).await?;
    let mut measured = Measured { connect: start.elapsed(), ..Measured::default() };
    let show = Show::start(session, start);
    stage.start_bulk();
    let mut script = Script { stage, show: &show, lines, measured: &mut measured };
    script.say("connected; a bulk stream runs and lines are typed into the shell");
    let failure = script.play().await.err();
    show.session.close().await;
    let report = show.note(|notes| Report::new(notes, measured, failure));
    lines.say("");
    for row in show.note(|notes| [report::chart(notes), vec![String::new()], report.table(notes)].concat()) {
        lines.say(&row);
    }
    lines.say("");
    if report.ok {
        lines.say("every byte arrived once and in order");
    }
    Ok(report)
}

/// The acts, and what is watched during all of them.
struct Script<'a> {
    stage: &'a Stage,
    show: &'a Show,
    lines: &'a mut Lines,
    measured: &'a mut Measured,
}

impl Script<'_> {
    async fn play(&mut self) -> Result<(), String> {
        self.direct().await?;

        self.stage.udp.cut();
        self.show.note(|notes| notes.story.cut(Instant::now()));
        self.say("✂ the UDP path is cut beneath ICE; nobody is told");
        self.until("the session did not reach the relay", FALL, |script| {
            script.show.note(|notes| notes.usable_again.is_some())
        })
        .await?;
        self.pause(ACT).await?;

        let repaired = Instant::now();
        self.stage.udp.restore();
        self.show.note(|notes| notes.story.restored(repaired));
        self.say("✚ the UDP path works again; nobody is told");
        self.until("the session did not return", RETURN, |script| script.on_direct_path()).await?;
        self.measured.restore = Some(repaired.elapsed());
        self.until("the relay socket stayed open", SETTLE, |script| script.stage.relay_sockets() == 0)
            .await?;
        self.direct().await?;

        self.show.note(|notes| notes.quiet = true);
        self.stage.stop_bulk();
        self.until("the last bytes did not arrive", LAST, |script| {
            script.show.note(|notes| notes.ledger.has_ended() && notes.typist.is_done())
        })
        .await
    }

    /// Stays on the direct path for an act, and counts relay sockets all the while.
    async fn direct(&mut self) -> Result<(), String> {
        let end = Instant::now() + ACT;
        while Instant::now() < end {
            self.step().await?;
            if !self.on_direct_path() {
                return Err("the session left a healthy direct path".to_owned());
            }
            self.measured.relay_sockets = self.measured.relay_sockets.max(self.stage.relay_sockets());
            self.measured.samples += 1;
        }
        Ok(())
    }

    async fn pause(&mut self, length: Duration) -> Result<(), String> {
        let end = Instant::now() + length;
        while Instant::now() < end {
            self.step().await?;
        }
        Ok(())
    }

    async fn until(
        &mut self,
        otherwise: &str,
        limit: Duration,
        reached: impl Fn(&Self) -> bool,
    ) -> Result<(), String> {
        let deadline = Instant::now() + limit;
        while !reached(self) {
            if Instant::now() >= deadline {
                return Err(format!("{otherwise} within {} s", limit.as_secs()));
            }
            self.step().await?;
        }
        Ok(())
    }

    /// Lets a moment pass and shows what happened in it.
    async fn step(&mut self) -> Result<(), String> {
        tokio::time::sleep(STEP).await;
        for line in self.show.note(|notes| std::mem::take(&mut notes.unshown)) {
            self.lines.say(&line);
        }
        self.lines.show(&[self.show.line()]);
        self.show.note(|notes| notes.end.as_ref().map_or(Ok(()), |end| Err(end.to_string())))
    }

    fn on_direct_path(&self) -> bool {
        self.show.session.status().path.is_some_and(|path| path == transport_webrtc::ID)
    }

    fn say(&mut self, what: &str) {
        let seconds = self.show.note(|notes| notes.story.since_start(Instant::now())).as_secs_f64();
        self.lines.say(&format!("{seconds:>6.1} s  {what}"));
    }
}

/// How long each act lasts.
const ACT: Duration = Duration::from_secs(3);

/// Time between two looks.
const STEP: Duration = Duration::from_millis(50);

/// How long the session may take to be usable on the relay: 12 s are promised.
const FALL: Duration = Duration::from_secs(30);

/// How long it may take to come back.
const RETURN: Duration = Duration::from_secs(45);

/// How long the relay socket may stay open after the return.
const SETTLE: Duration = Duration::from_secs(10);

/// How long the last bytes may take.
const LAST: Duration = Duration::from_secs(15);
