//! A session that stands, on the path a row is about; and how long it is silent.

use std::{
    thread,
    time::{Duration, Instant},
};

use super::{
    super::world::{PATIENCE, World, first_key},
    seconds,
};
use crate::{
    middlebox::NameServer,
    program::{Programs, Share, Terminal},
    row::{Figure, Miss},
    topology::Chain,
};

/// A session in a world. Fields are dropped in this order.
pub(super) struct Live {
    pub(super) terminal: Terminal,
    pub(super) _share: Share,
    pub(super) _names: NameServer,
    pub(super) world: World,
}

/// On WebRTC, which the fault then hits.
pub(super) fn direct(programs: &Programs) -> Result<Live, Miss> {
    stand(World::build(programs)?, "webrtc")
}

/// On the relay, UDP blocked.
pub(super) fn relayed(programs: &Programs) -> Result<Live, Miss> {
    relayed_in(World::build(programs)?)
}

/// The same in a world of the row's own.
pub(super) fn relayed_in(world: World) -> Result<Live, Miss> {
    world.wall.add(Chain::Forward, NO_UDP)?;
    stand(world, "ws-fallback")
}

/// Shares and joins in a world, types, and looks that the session is on `path` at rest.
pub(super) fn stand(world: World, path: &str) -> Result<Live, Miss> {
    let names = world.usual_names()?;
    let (share, link) = world.share(&world.usual())?;
    let mut terminal = world.join(&link, &world.usual())?;
    first_key(&mut terminal)?;
    thread::sleep(REST);
    match terminal.path() {
        found if found == path => Ok(Live { terminal, _share: share, _names: names, world }),
        found => Err(Miss::Due(format!("on {found} in place of {path} before anything happened"))),
    }
}

impl Live {
    /// Types a key now; how long its echo takes, and on which path it came.
    pub(super) fn silence(&mut self) -> Result<Figure, Miss> {
        match self.terminal.key(PATIENCE) {
            Some(took) => Ok(Figure::of(took).and(format!("on {}", self.terminal.path()))),
            None => Err(Miss::Due(format!(
                "no echo within {}, the last line says {:?}",
                crate::row::seconds(PATIENCE),
                self.terminal.path()
            ))),
        }
    }

    /// Cuts everything at `device` off, types a key, and waits until the last line says all of `words`; how long that took.
    fn says_after(&mut self, device: &str, words: &[&str]) -> Result<Duration, Miss> {
        let since = Instant::now();
        self.world.enclose(device)?;
        // Nobody notices that nobody answers who asks nothing.
        self.terminal.key(seconds(1));
        match self.terminal.tells(ABSENCE, words) {
            Some(()) => Ok(since.elapsed()),
            None => {
                let says = self.terminal.last_line();
                Err(Miss::Due(format!("in place of {words:?} the last line says {says:?}")))
            }
        }
    }

    /// Types keys until one typed after `since` comes back; how long after `since` that was.
    pub(super) fn usable_after(&mut self, since: Instant) -> Result<Figure, Miss> {
        let figure = self.silence()?;
        Ok(Figure::of(since.elapsed()).and(figure.words))
    }
}

/// `FIELD_SLEEP_SECONDS` makes the sleep longer or shorter.
pub(super) fn lid_closed(programs: &Programs) -> Result<Figure, Miss> {
    let mut live = direct(programs)?;
    let pids = live.world.viewer.pids()?;
    live.world.viewer.signal("STOP", &pids)?;
    let asked = std::env::var("FIELD_SLEEP_SECONDS").ok().and_then(|asked| asked.parse().ok());
    thread::sleep(asked.map_or(SLEEP, seconds));
    live.world.viewer.signal("CONT", &pids)?;
    let woke = Instant::now();
    live.usable_after(woke)?.within(seconds(2))
}

pub(super) fn who_is_away(programs: &Programs) -> Result<Figure, Miss> {
    let mut live = relayed(programs)?;
    let host = live.says_after("to-host", &["the host is silent since", "the relay answers"])?;
    let relay = live.says_after("to-viewer", &["last heard", "the relay cannot be reached"])?;
    let words = format!("the relay's absence after {}", crate::row::seconds(relay));
    Figure::of(host).and(words).within(ABSENCE)
}

/// Drops all UDP between machines; the viewer's name server is in the router.
pub(super) const NO_UDP: &str = "meta l4proto udp drop";

/// How soon it is said who is away: a path is given up, a dial is made and waits for 10 s.
const ABSENCE: Duration = Duration::from_secs(45);

/// A session settles.
const REST: Duration = Duration::from_secs(2);

/// Longer than the resume window of the first edition.
const SLEEP: Duration = Duration::from_secs(150);
