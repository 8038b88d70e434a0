//! What is said on a session's control socket: one JSON object per line, each way.
//!
//! Whoever connects asks ([`Request`]) and is answered ([`Answer`]), one answer for each request, in order. After
//! [`Request::Console`] the connection is a *console*: what is typed goes to the program, and the host sends messages of
//! the terminal's wire and its [`State`] whenever they change, between the answers.

use bytes::Bytes;
use negotiator::{Access, LinkInfo, LinkState};
use serde::{Deserialize, Serialize};

use super::encoded;
use crate::wire::Message;

/// What can be asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub enum Request {
    /// Let this viewer do at most that from here on.
    Access {
        /// The viewer: its id or the first digits of it.
        viewer: String,
        /// What it may do.
        access: Access,
    },
    /// Make one more link.
    AddLink {
        /// What its holders may do.
        access: Access,
        /// Seconds for which it lets new viewers in; as long as the session is shared without it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        lifetime: Option<u64>,
        /// How many viewers it lets in.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        uses: Option<u32>,
    },
    /// Let in whoever knocks.
    Approve {
        /// Who: its id or the first digits of it.
        viewer: String,
    },
    /// Become a console with a terminal of this size.
    Console {
        /// Columns that the shared screen may use.
        columns: u16,
        /// Rows that it may use.
        rows: u16,
    },
    /// List the links.
    Links,
    /// Send lines that left the top of the screen. Of a console only.
    Recall {
        /// The number of the line behind the last wanted one.
        before: u64,
        /// How many at most.
        lines: u16,
    },
    /// Send the whole screen. Of a console only.
    Redraw,
    /// Turn away whoever knocks.
    Refuse {
        /// Who: its id or the first digits of it.
        viewer: String,
    },
    /// Remove a viewer and keep it out.
    Remove {
        /// The viewer: its id or the first digits of it.
        viewer: String,
    },
    /// The console's terminal has this size. Of a console only; not answered.
    Resize {
        /// Columns that the shared screen may use.
        columns: u16,
        /// Rows that it may use.
        rows: u16,
    },
    /// Take a link back. Whoever came by it goes.
    RevokeLink {
        /// Its id or the first digits of it.
        link: String,
    },
    /// Put a new link in the place of each that is in force. Whoever came by the old ones goes.
    RotateLinks,
    /// End the program, and the session with it.
    Stop,
    /// This was typed. Of a console only; not answered.
    Type {
        /// What, in base64.
        #[serde(with = "encoded")]
        bytes: Bytes,
    },
    /// Say who is here and who knocks.
    Who,
}

/// What comes back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub enum Answer {
    /// It was done.
    Done {
        /// A sentence about it.
        said: String,
    },
    /// It was not.
    Failed {
        /// A sentence that says why.
        why: String,
    },
    /// The links, in the order of their making.
    Links {
        /// Each of them.
        links: Vec<Link>,
    },
    /// A message of the terminal's wire, as viewers get it. To a console only.
    Message {
        /// It, in base64.
        #[serde(with = "encoded")]
        bytes: Bytes,
    },
    /// Who is here and who knocks.
    State(State),
}

/// The session as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// What the session is called on this machine.
    pub name: String,
    /// Its process.
    pub pid: u32,
    /// The shared program.
    pub program: String,
    /// Seconds since it was shared.
    pub since: u64,
    /// Who is here.
    pub viewers: Vec<Viewer>,
    /// Who waits to be let in, the longest first.
    pub knocks: Vec<Knock>,
}

/// Somebody who is here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Viewer {
    /// Its id, derived from its key.
    pub id: String,
    /// The name it gave, which proves nothing.
    pub name: Option<String>,
    /// The id of the link it came by.
    pub link: String,
    /// What it may do now.
    pub access: Access,
    /// The transport that carries its session; `None` while there is none.
    pub path: Option<String>,
    /// Seconds it has been here.
    pub since: u64,
    /// Seconds since anything was heard from it.
    pub last_heard: Option<u64>,
}

/// Somebody who asks to come in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Knock {
    /// Its id, derived from its key.
    pub id: String,
    /// The name it gave, which proves nothing.
    pub name: Option<String>,
    /// The id of the link it holds.
    pub link: String,
    /// What that link allows.
    pub access: Access,
    /// Seconds for which it still waits.
    pub left: u64,
}

/// A link of the session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// Its id.
    pub id: String,
    /// The link itself: a password.
    pub link: String,
    /// What its holders may do.
    pub access: Access,
    /// `open`, `expired`, `revoked` or `used_up`.
    pub state: String,
    /// From when on nobody new comes in by it, in Unix seconds.
    pub expires_at: Option<u64>,
    /// How many viewers it is for.
    pub uses: Option<u32>,
    /// How many have come by it.
    pub used: u32,
}

impl Answer {
    /// Says that something was done.
    pub fn done(said: impl Into<String>) -> Self {
        Self::Done { said: said.into() }
    }

    /// Says why something was not.
    pub fn failed(why: impl Into<String>) -> Self {
        Self::Failed { why: why.into() }
    }

    /// Wraps a message for a console.
    pub fn message(message: &Message) -> Self {
        Self::Message { bytes: message.encode() }
    }
}

impl From<LinkInfo> for Link {
    fn from(info: LinkInfo) -> Self {
        let state = match info.state {
            LinkState::Expired => "expired",
            LinkState::Open => OPEN,
            LinkState::Revoked => "revoked",
            LinkState::UsedUp => "used_up",
            _ => "unknown",
        };
        Self {
            id: info.id.to_string(),
            link: info.link.reveal().to_string(),
            access: info.access,
            state: state.to_owned(),
            expires_at: info.expires_at,
            uses: info.uses,
            used: info.used,
        }
    }
}

impl Link {
    /// Says whether it lets in whoever holds it.
    pub fn is_open(&self) -> bool {
        self.state == OPEN
    }

    /// Says whether it is still a link: it lets in whoever came by it, at least.
    pub fn is_in_force(&self) -> bool {
        self.state != "revoked"
    }
}

const OPEN: &str = "open";

/// The first digits of an id: enough to tell apart those of one session.
pub fn short(id: &str) -> &str {
    id.get(..4).unwrap_or(id)
}

/// How somebody is called: by the name it gave and the digits that nobody else can claim.
pub fn called(name: Option<&str>, id: &str) -> String {
    match name {
        Some(name) if name.chars().count() > SHOWN => {
            let name: String = name.chars().take(SHOWN - 1).collect();
            format!("{name}… ({})", short(id))
        }
        Some(name) => format!("{name} ({})", short(id)),
        None => format!("viewer {}", short(id)),
    }
}

/// Characters of a name that are shown: what stands behind it is not a stranger's to push away.
const SHOWN: usize = 24;

/// What somebody may do, in words.
pub fn may(access: Access) -> &'static str {
    match access {
        Access::Full => "may type",
        Access::ReadOnly => "read-only",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Request {
        serde_json::from_str(line).unwrap()
    }

    #[test]
    fn requests_and_answers_are_pinned() {
        for (line, request) in [
            (r#"{"do":"who"}"#, Request::Who),
            (
                r#"{"do":"access","viewer":"3fa2","access":"read_only"}"#,
                Request::Access { viewer: "3fa2".into(), access: Access::ReadOnly },
            ),
            (r#"{"do":"type","bytes":"bHMN"}"#, Request::Type { bytes: "ls\r".into() }),
            (
                r#"{"do":"add_link","access":"full","uses":1}"#,
                Request::AddLink { access: Access::Full, lifetime: None, uses: Some(1) },
            ),
        ] {
            assert_eq!(read(line), request);
            assert_eq!(serde_json::to_string(&request).unwrap(), line);
        }
        let exit = Answer::message(&Message::Exit(7));
        assert_eq!(serde_json::to_string(&exit).unwrap(), r#"{"is":"message","bytes":"Cwc="}"#);
    }

    #[test]
    fn a_long_name_leaves_the_digits_in_sight() {
        assert_eq!(called(Some("ada"), "3fa2b1"), "ada (3fa2)");
        assert_eq!(called(None, "3fa2b1"), "viewer 3fa2");
        assert_eq!(called(Some(&"x".repeat(100)), "3fa2b1"), format!("{}… (3fa2)", "x".repeat(23)));
    }

    #[test]
    fn what_is_no_request_is_an_error() {
        for line in ["", "{}", r#"{"do":"dance"}"#, r#"{"do":"type","bytes":"?"}"#] {
            assert!(serde_json::from_str::<Request>(line).is_err(), "{line}");
        }
    }
}
