//! The report: the promises with their figures, then everything by kind.

use std::{fmt::Write, time::Duration};

use super::{
    Plan,
    plot::{Limit, Line, Plot},
    population::{Kind, Reach},
    tally::{KindTally, Spread, Tally},
};

/// One promise and what was found.
#[derive(Debug, Clone)]
pub struct Promise {
    /// What was promised.
    pub text: &'static str,
    /// What was found.
    pub found: String,
    /// Whether it was kept.
    pub kept: bool,
}

/// Compares a run with what issue and design promise.
pub fn promises(tally: &Tally) -> Vec<Promise> {
    let rate = tally.activation_where_it_works();
    let blocked = tally.sum(|kind| kind == Kind::UdpBlocked);
    let oscillating = tally.sum(|kind| kind == Kind::Oscillating);
    let narrow = tally.sum(Kind::is_narrow);
    let all = tally.sum(|_| true);
    vec![
        Promise {
            text: "the fallback wakes in less than 0.5 % of sessions on networks where WebRTC works",
            found: format!("{:.3} %", rate * 100.0),
            kept: rate < 0.005,
        },
        Promise {
            text: "every session on a UDP-blocked network reaches the relay, unless it was down or paused",
            found: format!("{} of {}", blocked.reached, blocked.eligible),
            kept: blocked.eligible > 0 && blocked.reached == blocked.eligible,
        },
        Promise {
            text: "a narrow or shared uplink: no link is given up while data flows",
            found: format!("{} in {} sessions", narrow.given_up, narrow.sessions),
            kept: narrow.given_up == 0,
        },
        within("UDP blocked: usable within 5 s of the start, p95", &blocked.first_usable, 0.95, 5.0),
        within("a path dies and only the relay is left: usable within 12 s, p99", &all.rescue, 0.99, 12.0),
        within(
            "after a sleep of up to 8 h: usable within 2 s of the radio being back, p95",
            &all.wake,
            0.95,
            2.0,
        ),
        within(
            "a healed path is in use again within 75 s, p99 (outages up to 9 min, flap budget not spent)",
            &all.lingering,
            0.99,
            75.0,
        ),
        Promise {
            text: "an oscillating path moves a session at most three times in ten minutes",
            found: format!("{}", oscillating.most_moves_in_ten_minutes),
            kept: oscillating.most_moves_in_ten_minutes <= 3,
        },
    ]
}

fn within(text: &'static str, spread: &Spread, share: f64, limit: f64) -> Promise {
    let value = spread.quantile(share);
    Promise {
        text,
        found: format!("{} ({} cases)", seconds(value), spread.count()),
        kept: value.is_none_or(|value| value.as_secs_f64() <= limit),
    }
}

/// Writes the report.
pub fn markdown(plan: &Plan, tally: &Tally, command: &str) -> String {
    let mut text = String::new();
    let all = tally.sum(|_| true);
    let _ = writeln!(
        text,
        "# The policy through {} simulated days\n\n\
         {} sessions ({} a day), {:.0} hours of session time, each judged by the real `FallbackPolicy` (first-party code, \
         not a model of it). Networks, links, dials and people are models: `conformance/src/simulator/`.\n\n\
         ```sh\n{command}\n```\n\n\
         Seed {}. A session depends on the seed and its own number only; the same command gives this file again.\n",
        plan.days,
        all.sessions,
        plan.sessions,
        all.lived_seconds as f64 / 3_600.0,
        plan.seed
    );
    text.push_str("## Promises\n\n| promise | found | kept |\n|---|---|---|\n");
    for promise in promises(tally) {
        let kept = if promise.kept { "yes" } else { "**no**" };
        let _ = writeln!(text, "| {} | {} | {kept} |", promise.text, promise.found);
    }
    text.push_str("\n![activation rate by day](simulator-activation.svg)\n\n");
    kinds(&mut text, tally);
    times(&mut text, tally);
    text.push_str("\n![time to a usable session](simulator-usable.svg)\n\n![time on the relay after healing](simulator-lingering.svg)\n\n");
    text.push_str("## Why the fallback woke\n\n| reason | activations |\n|---|---|\n");
    for (reason, count) in &tally.reasons {
        let _ = writeln!(text, "| `{reason}` | {count} |");
    }
    text.push_str(NOTES);
    text
}

fn kinds(text: &mut String, tally: &Tally) {
    text.push_str(
        "## By kind of network\n\n*Wrong*: woken while a primary had been working for 15 s. *Missed*: longer without a \
         path than promised (30 s at first, 12 s later) although no primary worked and the fallback was to be had \
         throughout. *Moves*: from one link to another, those after a wake or on another network aside; *most in 10 min* \
         counts them while the fallback was to be had, for without it there is nowhere to rest. *Given up*: links left \
         as dead, too slow or too far although they carried data.\n\n\
         | network | share | WebRTC | sessions | woke the fallback | wrong | missed | given up | moves per hour | most in 10 min |\n\
         |---|---|---|---|---|---|---|---|---|---|\n",
    );
    for (kind, share, reach) in Kind::SHARES {
        let Some(of) = tally.kinds.get(&kind) else { continue };
        let reach = match reach {
            Reach::Badly => "badly",
            Reach::Never => "never",
            Reach::Works => "works",
        };
        let _ = writeln!(
            text,
            "| {} | {share} % | {reach} | {} | {} ({}) | {} | {} | {} | {:.3} | {} |",
            kind.name(),
            of.sessions,
            of.activated,
            percent(of.activated, of.sessions),
            of.wrong,
            of.missed,
            of.given_up,
            of.moves as f64 * 3_600.0 / of.lived_seconds.max(1) as f64,
            of.most_moves_in_ten_minutes
        );
    }
}

fn times(text: &mut String, tally: &Tally) {
    text.push_str(
        "\n## Times\n\nMedian / p95 / p99 / worst, in seconds. *Rescue*: from data being stuck to a usable path while the \
         direct path stayed down. *Reconnect*: from the path being back to a usable session when relay and path had \
         both been down. *Lingering*: on the relay after the direct path healed for good, after outages up to 9 min, \
         after longer ones (looked after every 5 min), and where the flap budget kept the session there (10 min). *Detour*: \
         on TURN although the direct path carried data, until the session was there.\n\n\
         | network | first usable | rescue | reconnect | after a wake | the same, elsewhere | lingering | long outage | flap budget spent | detour |\n\
         |---|---|---|---|---|---|---|---|---|---|\n",
    );
    for (kind, ..) in Kind::SHARES {
        let Some(of) = tally.kinds.get(&kind) else { continue };
        row(text, kind.name(), of);
    }
    row(text, "**all**", &tally.sum(|_| true));
}

fn row(text: &mut String, name: &str, of: &KindTally) {
    let wakes = [&of.wake, &of.wake_elsewhere];
    let [first, rescue, reconnect] = [&of.first_usable, &of.rescue, &of.reconnect];
    let columns = [
        first,
        rescue,
        reconnect,
        wakes[0],
        wakes[1],
        &of.lingering,
        &of.lingering_long,
        &of.lingering_rested,
        &of.detour,
    ];
    let _ = writeln!(text, "| {name} | {} |", columns.map(spread).join(" | "));
}

fn spread(spread: &Spread) -> String {
    if spread.count() == 0 {
        return "–".to_owned();
    }
    let at = |share| spread.quantile(share).map_or(0.0, |value| value.as_secs_f64());
    format!("{:.1} / {:.1} / {:.1} / {:.1} ({})", at(0.5), at(0.95), at(0.99), at(1.0), spread.count())
}

/// Draws the plots: file name and SVG.
pub fn plots(tally: &Tally) -> Vec<(&'static str, String)> {
    let days = tally.days.iter();
    let rate =
        days.map(|(day, d)| (*day as f64 + 1.0, 100.0 * d.activated as f64 / d.sessions.max(1) as f64));
    let activation = Plot {
        title: "Sessions that woke the fallback where WebRTC works",
        x: "day",
        y: "per cent of the day's sessions",
        x_max: tally.days.len().max(1) as f64,
        y_max: 1.0,
        limit: Some(Limit::Y(0.5, "promise: below 0.5 %")),
        lines: vec![Line { name: "activation rate".to_owned(), points: rate.collect() }],
    };
    let curves = |kinds: &[Kind], of: fn(&KindTally) -> &Spread| -> Vec<Line> {
        let found = kinds.iter().filter_map(|kind| Some((kind, tally.kinds.get(kind)?)));
        let drawn = found.filter(|(_, t)| of(t).count() > 0);
        drawn.map(|(kind, t)| Line { name: kind.name().to_owned(), points: thin(of(t)) }).collect()
    };
    let usable = Plot {
        title: "From the start to a usable session",
        x: "seconds",
        y: "share of sessions",
        x_max: 10.0,
        y_max: 1.0,
        limit: Some(Limit::X(5.0, "UDP blocked: 5 s")),
        lines: curves(
            &[
                Kind::Healthy,
                Kind::Slow,
                Kind::LossyMild,
                Kind::LossyHeavy,
                Kind::SymmetricNat,
                Kind::UdpBlocked,
            ],
            |t| &t.first_usable,
        ),
    };
    let lingering = Plot {
        title: "On the relay after the direct path healed",
        x: "seconds",
        y: "share of returns",
        x_max: 150.0,
        y_max: 1.0,
        limit: Some(Limit::X(75.0, "promise: 75 s")),
        lines: curves(
            &[Kind::Healthy, Kind::Slow, Kind::LossyMild, Kind::Sleeping, Kind::Oscillating],
            |t| &t.lingering,
        ),
    };
    vec![
        ("simulator-activation.svg", activation.to_svg()),
        ("simulator-usable.svg", usable.to_svg()),
        ("simulator-lingering.svg", lingering.to_svg()),
    ]
}

/// At most 400 points of a curve: more are finer than the paper.
fn thin(spread: &Spread) -> Vec<(f64, f64)> {
    let points: Vec<(f64, f64)> = spread.curve().collect();
    let step = points.len().div_ceil(400).max(1);
    points.into_iter().step_by(step).collect()
}

fn percent(part: u64, whole: u64) -> String {
    format!("{:.2} %", 100.0 * part as f64 / whole.max(1) as f64)
}

fn seconds(value: Option<Duration>) -> String {
    value.map_or_else(|| "no case".to_owned(), |value| format!("{:.2} s", value.as_secs_f64()))
}

const NOTES: &str = "
## What the model holds, and what it leaves out

- Access fails for 1–20 s every six hours of a session, everywhere and relay included. UDP alone fails for 10–600 s every
  400 hours, and passes probes but no data as long every 800 hours. The relay is down twice a week for 2–20 min, minting is
  paused once a week for 10–60 min.
- A dial goes through signaling, gathering, checks, DTLS, SCTP, channels and Noise; each flight may be lost and is repeated after
  1, 2, 4 s. A silently dead direct path is noticed by ICE after 4.9–6.5 s, a silently dead relay link after 20–45 s, both sooner
  by samples when data is pending.
- A waking laptop's radio needs up to 0.8 s, and times after a wake begin when it is back; 30 % of sleepers wake on another network, a third of those without UDP. Those count as
  activated, not as activated where WebRTC works.
- Only the leading side's view is simulated; both peers share its network. The relay itself is never slow.
- On a narrow or shared uplink a program prints more than the uplink carries for 5–60 s every three minutes, by a sender that runs
  128 KiB ahead; acknowledgements come for 16 KiB (WebRTC) or 30 KiB (relay) at a time. With bufferbloat others add 0.2–2.4 s to
  each round trip for 5–120 s, at once. Elsewhere throughput is not modelled.
- Samples that could only say \"all is well\" are left out; a test runs the same sessions with every sample and compares.
";
