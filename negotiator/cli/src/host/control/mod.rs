//! What a host can be told while its terminal is shared: by the person in front of it, and by programs of the same user
//! over a socket.

pub mod approvals;
mod encoded;
pub mod folder;
pub mod lines;
pub mod protocol;
pub mod serve;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use negotiator::{Access, Decision, Host, LinkOptions, PeerId};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use self::{
    approvals::Approvals,
    protocol::{Answer, Knock, Link, Request, State, Viewer, called, may},
};
use super::serve::Shared;

/// One shared terminal, as its host decides about it.
#[derive(Debug)]
pub struct Control {
    name: String,
    program: String,
    since: Instant,
    host: Arc<Host>,
    shared: Arc<Shared>,
    approvals: Arc<Approvals>,
    /// Somebody asked for the end.
    stop: CancellationToken,
    /// How many consoles are attached.
    consoles: watch::Sender<usize>,
}

impl Control {
    /// Decides about `host`, which calls itself `name` on this machine and runs `program`.
    pub fn new(
        name: String,
        program: String,
        host: Arc<Host>,
        shared: Arc<Shared>,
        approvals: Arc<Approvals>,
    ) -> Self {
        Self {
            name,
            program,
            since: Instant::now(),
            host,
            shared,
            approvals,
            stop: CancellationToken::new(),
            consoles: watch::Sender::new(0),
        }
    }

    /// Waits until somebody asks for the end.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn stopped(&self) {
        self.stop.cancelled().await;
    }

    /// Returns how many consoles are attached, and their number whenever it changes.
    pub fn consoles(&self) -> watch::Receiver<usize> {
        self.consoles.subscribe()
    }

    /// Returns how many ask to come in, and their number whenever it changes.
    pub fn knocks_changed(&self) -> watch::Receiver<usize> {
        self.approvals.changed()
    }

    /// Returns the name that a viewer who is here gave.
    pub fn name_of(&self, id: &str) -> Option<String> {
        self.state().viewers.into_iter().find(|viewer| viewer.id == id).and_then(|viewer| viewer.name)
    }

    /// Tells whoever sits at a console of this machine.
    pub fn tell_consoles(&self, text: &str) {
        self.shared.hub.notify_local(text);
    }

    /// Does what is asked for, and answers.
    pub async fn obey(&self, request: Request) -> Answer {
        match request {
            Request::Who => Answer::State(self.state()),
            Request::Links => Answer::Links { links: self.links() },
            Request::Stop => {
                self.stop.cancel();
                Answer::done("the session ends")
            }
            Request::Approve { viewer } => self.decide(&viewer, true),
            Request::Refuse { viewer } => self.decide(&viewer, false),
            Request::Access { viewer, access } => self.of_viewer(&viewer, |peer, called| {
                if !self.host.set_access(peer, access) {
                    return None;
                }
                let now = self.host.members().into_iter().find(|member| member.peer == peer)?.access;
                Some(match (access, now) {
                    (Access::Full, Access::Full) => format!("{called} may type"),
                    (Access::Full, Access::ReadOnly) => {
                        format!("{called} came to watch: give them a link to type by")
                    }
                    (Access::ReadOnly, _) => format!("{called} watches and no longer types"),
                })
            }),
            Request::Remove { viewer } => self.of_viewer(&viewer, |peer, called| {
                self.host.remove(peer).then(|| format!("{called} was removed and is kept out"))
            }),
            Request::AddLink { access, lifetime, uses } => {
                let mut options = options(access);
                options.expires_in = lifetime.map(Duration::from_secs);
                options.uses = uses;
                match self.host.links().add(options).await {
                    Ok(_) => Answer::Links { links: self.links() },
                    Err(error) => Answer::failed(format!("no link was made: {error}")),
                }
            }
            Request::RevokeLink { link } => self.revoke(&link),
            Request::RotateLinks => self.rotate().await,
            Request::Console { .. }
            | Request::Recall { .. }
            | Request::Redraw
            | Request::Resize { .. }
            | Request::Type { .. } => Answer::failed("only a console does that"),
        }
    }

    /// Tells who is here and who knocks.
    pub fn state(&self) -> State {
        let members = self.host.members().into_iter().map(|member| Viewer {
            id: member.peer.to_string(),
            name: member.name.map(|name| name.to_string()),
            link: member.link.to_string(),
            access: member.access,
            path: member.path.map(|path| path.to_string()),
            since: member.since.as_secs(),
            last_heard: member.last_heard.map(|silence| silence.as_secs()),
        });
        State {
            name: self.name.clone(),
            pid: std::process::id(),
            program: self.program.clone(),
            since: self.since.elapsed().as_secs(),
            viewers: members.collect(),
            knocks: self.approvals.list(Instant::now()),
        }
    }

    fn links(&self) -> Vec<Link> {
        self.host.links().list().into_iter().map(Link::from).collect()
    }

    fn decide(&self, viewer: &str, admit: bool) -> Answer {
        let knocks = self.approvals.list(Instant::now());
        let Knock { id, name, access, .. } = match only(knocks, viewer, |knock| &knock.id, "who knocks") {
            Ok(knock) => knock,
            Err(why) => return Answer::failed(why),
        };
        let called = called(name.as_deref(), &id);
        let decision = if admit { Decision::Admit(access) } else { Decision::Refuse };
        let known = id.parse().is_ok_and(|peer| self.approvals.decide(peer, decision));
        match (known, admit) {
            (false, _) => Answer::failed(format!("{called} no longer waits")),
            (true, true) => Answer::done(format!("{called} comes in and {}", may(access))),
            (true, false) => Answer::done(format!("{called} was turned away")),
        }
    }

    fn of_viewer(&self, viewer: &str, act: impl FnOnce(PeerId, &str) -> Option<String>) -> Answer {
        let here = self.state().viewers;
        let Viewer { id, name, .. } = match only(here, viewer, |viewer| &viewer.id, "who is here") {
            Ok(viewer) => viewer,
            Err(why) => return Answer::failed(why),
        };
        let called = called(name.as_deref(), &id);
        let said = id.parse().ok().and_then(|peer| act(peer, &called));
        said.map_or_else(|| Answer::failed(format!("{called} is gone")), Answer::done)
    }

    fn revoke(&self, link: &str) -> Answer {
        let in_force = self.links().into_iter().filter(Link::is_in_force).collect();
        let found = match only(in_force, link, |link| &link.id, "the links in force") {
            Ok(found) => found,
            Err(why) => return Answer::failed(why),
        };
        let infos = self.host.links().list();
        let revoked = infos.iter().find(|info| info.id.to_string() == found.id);
        if revoked.is_some_and(|info| self.host.links().revoke(info.id)) {
            Answer::done(format!(
                "link {} was revoked; whoever came by it is out",
                protocol::short(&found.id)
            ))
        } else {
            Answer::failed("that link is not in force any more")
        }
    }

    /// The new links come first: without any the session could not be joined again.
    async fn rotate(&self) -> Answer {
        let links = self.host.links();
        let old: Vec<_> =
            links.list().into_iter().filter(|info| Link::from(info.clone()).is_open()).collect();
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        for info in &old {
            let mut options = options(info.access);
            options.expires_in =
                info.expires_at.map(|at| Duration::from_secs(at.saturating_sub(now.as_secs()).max(1)));
            options.uses = info.uses.map(|uses| uses.saturating_sub(info.used).max(1));
            if let Err(error) = links.add(options).await {
                return Answer::failed(format!(
                    "not every link could be replaced: {error}; the old ones stay"
                ));
            }
        }
        for info in &old {
            links.revoke(info.id);
        }
        Answer::Links { links: self.links() }
    }
}

fn options(access: Access) -> LinkOptions {
    match access {
        Access::Full => LinkOptions::full(),
        Access::ReadOnly => LinkOptions::read_only(),
    }
}

/// Finds the only one whose id begins with these digits.
///
/// # Errors
///
/// A sentence that says what to do.
fn only<T>(all: Vec<T>, digits: &str, id: impl Fn(&T) -> &String, what: &str) -> Result<T, String> {
    let mut found = all.into_iter().filter(|one| !digits.is_empty() && id(one).starts_with(digits));
    match (found.next(), found.next()) {
        (Some(one), None) => Ok(one),
        (Some(_), Some(_)) => Err(format!("{digits} is more than one of {what}: give more of its digits")),
        (None, _) => {
            Err(format!("{digits} is none of {what}: `beach-link sessions who` and `links` list them"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_name_one_or_nobody() {
        let all = || vec!["3fa2".to_owned(), "3fb1".to_owned(), "90".to_owned()];
        let find = |digits| only(all(), digits, |id| id, "who is here");
        assert_eq!(find("3fa").unwrap(), "3fa2");
        assert_eq!(find("9").unwrap(), "90");
        assert!(find("3f").unwrap_err().contains("more than one of who is here"));
        assert!(find("x").unwrap_err().contains("none of who is here"));
        assert!(find("").is_err());
    }
}
