//! What the person who shares sees without a console: the links, who comes and goes, which path each viewer is on.

use std::collections::BTreeMap;

use negotiator::{Access, JoinLink, NegotiationEvent, PeerId, Session};
use serde_json::json;

use super::{
    console::menu::knock_line,
    control::protocol::{Knock, State, short},
    serve::{Left, Shared},
};
use crate::{
    args::Format,
    exit::Failure,
    terminal,
    ui::{Lines, To},
    viewer::status,
};

/// What the board is told.
#[derive(Debug)]
pub enum Report {
    /// A viewer is gone.
    Left(Session, Left),
    /// Something was decided about a viewer's path.
    Path(NegotiationEvent),
}

/// What the person who shares sees: the link, who comes and goes, which path each viewer is on.
#[derive(Debug)]
pub struct Board {
    format: Format,
    lines: Lines,
    viewers: BTreeMap<PeerId, Session>,
    knocks: Vec<Knock>,
    /// A console has the terminal.
    quiet: bool,
}

impl Board {
    /// Prints to `to`.
    pub fn new(format: Format, to: To) -> Self {
        Self { format, lines: Lines::new(to), viewers: BTreeMap::new(), knocks: Vec::new(), quiet: false }
    }

    /// Says what is shared and by which links.
    pub fn open(&mut self, link: &str, also: Option<&str>, program: &str, access: Access) {
        match self.format {
            Format::Json => self.json(&json!({
                "type": "sharing", "link": link, "read_only": access == Access::ReadOnly, "read_only_link": also,
            })),
            Format::Text => {
                let how = if access == Access::ReadOnly { ", read-only" } else { "" };
                self.lines
                    .say(&format!("sharing {program}{how}; join with:\n\n  beach-link join '{link}'\n"));
                if let Some(also) = also {
                    self.lines.say(&format!("or, to watch and not type:\n\n  beach-link join '{also}'\n"));
                }
            }
        }
    }

    /// Whoever gets a link that leads to their own machine finds nobody there.
    pub fn warn_of(&mut self, link: &JoinLink) {
        if self.format == Format::Text && link.is_local() {
            self.lines.say(LOCAL);
        }
    }

    /// Somebody came.
    pub fn joined(&mut self, session: Session) {
        let peer = session.peer();
        match self.format {
            Format::Json => {
                self.json(&json!({ "type": "joined", "peer": peer, "path": session.status().path }))
            }
            Format::Text => {
                let path = session.status().path.map_or_else(String::new, |path| format!(" over {path}"));
                self.say(&format!("{} joined{path}", name(peer)));
            }
        }
        self.viewers.insert(peer, session);
        self.refresh();
    }

    /// Somebody asks to come in, or does no longer.
    pub fn knocks(&mut self, state: &State) {
        let new: Vec<_> =
            state.knocks.iter().filter(|knock| !self.knocks.iter().any(|old| old.id == knock.id)).collect();
        for knock in new {
            match self.format {
                Format::Json => self.json(&json!({ "type": "knock", "knock": knock })),
                Format::Text => {
                    let command =
                        format!("beach-link sessions -s {} approve {}", state.name, short(&knock.id));
                    self.say(&format!("{}: {command}", knock_line(knock)));
                }
            }
        }
        self.knocks.clone_from(&state.knocks);
        self.refresh();
    }

    /// Something is to be told.
    pub fn report(&mut self, report: Report) {
        match (self.format, report) {
            (Format::Json, Report::Path(event)) => self.json(&json!({ "type": "event", "event": event })),
            (Format::Text, Report::Path(event)) => self.say(&format!("{} {event}", name(event.peer))),
            (format, Report::Left(session, left)) => {
                let peer = session.peer();
                // One that came back is here by another session.
                self.viewers.retain(|viewer, session| *viewer != peer || session.end().is_none());
                match format {
                    Format::Json => {
                        self.json(&json!({ "type": "left", "peer": peer, "why": left.to_string() }))
                    }
                    Format::Text => self.say(&format!("{} is gone: {left}", name(peer))),
                }
            }
        }
        self.refresh();
    }

    /// Draws the live lines anew.
    pub fn refresh(&mut self) {
        if self.format == Format::Json || self.quiet {
            return;
        }
        let mut lines: Vec<String> = self.viewers.values().map(viewer_line).collect();
        if lines.is_empty() {
            lines.push("nobody watches".to_owned());
        }
        self.lines.show(&lines);
    }

    /// Prints nothing while a console has the terminal. JSON goes elsewhere.
    pub fn quiet(&mut self, quiet: bool) {
        if quiet {
            self.lines.clear();
        }
        self.quiet = quiet;
    }

    /// Prints a line that stays.
    pub fn say(&mut self, line: &str) {
        if !self.quiet {
            self.lines.say(line);
        }
    }

    /// Says how it ended; on a terminal the last screen stays.
    ///
    /// # Errors
    ///
    /// [`Failure::Io`].
    pub fn close(&mut self, outcome: &Result<u8, Failure>, shared: &Shared) -> Result<(), Failure> {
        if self.format == Format::Text && self.lines.is_live() {
            // What the command said last stays here as it does at its viewers.
            self.lines.clear();
            let columns = terminal::size().map_or(80, |size| size.columns);
            let screen: String = shared.hub.lines(columns).into_iter().map(|line| line + "\n").collect();
            terminal::print(&screen)?;
        }
        let status = outcome.as_ref().ok();
        match self.format {
            Format::Json => self.json(&json!({ "type": "ended", "status": status })),
            Format::Text => {
                if let Some(status) = status {
                    self.lines.say(&format!("the command ended with status {status}"));
                }
            }
        }
        Ok(())
    }

    fn json(&mut self, value: &serde_json::Value) {
        self.lines.say(&value.to_string());
    }
}

/// The viewer's side decides about paths and knows the reasons; here it counts which one is used, and since when.
fn viewer_line(session: &Session) -> String {
    let status = session.status();
    let mut parts = vec![name(session.peer())];
    match (&status.path, status.since) {
        (Some(path), Some(since)) => parts.push(format!("{path} for {}", status::span(since))),
        _ => parts.push("no path, waiting for it to come back".to_owned()),
    }
    parts.extend(status.rtt.filter(|_| status.path.is_some()).map(status::milliseconds));
    let silence = status.last_heard.filter(|silence| *silence >= status::SILENT);
    parts.extend(silence.map(|silence| format!("last heard {} ago", status::span(silence))));
    parts.join(" · ")
}

/// The first digits of a peer's id: enough to tell viewers apart.
pub fn name(peer: PeerId) -> String {
    format!("viewer {:.4}", peer.to_string())
}

const LOCAL: &str = "this link works on this machine only: its control plane is at a loopback address. For other machines \
                     run `beach-lifeguard up`, here or where both can reach it";
