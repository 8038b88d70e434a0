//! The host that a page is.

use js_sys::{JSON, JsString};
use negotiator::{Access, LinkInfo, LinkState, Member, PeerId};
use serde_json::{Value, json};
use wasm_bindgen::prelude::*;

use crate::{
    error::{aborted, failed, named},
    options::{LinkOptions, ShareOptions},
    session::{Session, iterable, step},
    watch,
};

#[wasm_bindgen(typescript_custom_section)]
const TYPES: &str = r#"
/** Iterates over viewers, each with a session of its own, until the host is closed. */
export interface Host extends AsyncIterable<Session> {}
/** Who is here. The name proves nothing; times are in milliseconds. */
export interface Member {
  peer: string;
  name: string | null;
  readOnly: boolean;
  path: string | null;
  since: number;
  lastHeard: number | null;
}
/** One link of a host: a password. `expiresAt` is in milliseconds since 1970. */
export interface LinkInfo {
  link: string;
  readOnly: boolean;
  expiresAt: number | null;
  uses: number | null;
  used: number;
  state: "open" | "expired" | "used up" | "revoked";
}
"#;

/// A session that this page shares. It ends when it is closed, or with the page.
#[wasm_bindgen]
#[derive(Debug)]
pub struct Host(negotiator::Host);

/// Shares a new session through the control plane at a URL, and resolves once others can join it.
///
/// Rejects with an `Error` whose `name` is `ShareFailed` or `AbortError`.
#[wasm_bindgen(unchecked_return_type = "Host")]
pub async fn share(
    #[wasm_bindgen(js_name = controlPlane, param_description = "the URL of the control plane")] control_plane: JsString,
    #[wasm_bindgen(unchecked_optional_param_type = "ShareOptions")] options: JsValue,
) -> Result<JsValue, JsValue> {
    let options = ShareOptions::read(&options)?;
    let sharing = negotiator::Host::share(options.host(control_plane.into())?);
    let shared = match &options.signal {
        None => sharing.await,
        Some(signal) => tokio::select! {
            shared = sharing => shared,
            () = watch::aborted(signal) => return Err(aborted()),
        },
    };
    iterable(Host(shared.map_err(|error| failed("ShareFailed", &error))?).into())
}

#[wasm_bindgen]
impl Host {
    /// The first link that lets others join: a password.
    #[wasm_bindgen(getter)]
    pub fn link(&self) -> String {
        self.0.link().reveal()
    }

    /// Waits for the next viewer: `{ value, done }`, as an async iterator does.
    #[wasm_bindgen(unchecked_return_type = "IteratorResult<Session, undefined>")]
    pub async fn next(&self) -> Result<JsValue, JsValue> {
        match self.0.accept().await {
            Some(session) => step(Some(Session::new(session).into_js()?)),
            None => step(None),
        }
    }

    /// Who is here.
    #[wasm_bindgen(unchecked_return_type = "Member[]")]
    pub fn members(&self) -> Result<JsValue, JsValue> {
        list(self.0.members().iter().map(member))
    }

    /// Removes a viewer, and keeps it out. Says whether it was here.
    pub fn remove(&self, peer: &str) -> Result<bool, JsValue> {
        Ok(self.0.remove(peer_id(peer)?))
    }

    /// Lets a viewer type, or only look; never more than it asked for. Says whether it is here.
    #[wasm_bindgen(js_name = setReadOnly)]
    pub fn set_read_only(
        &self,
        peer: &str,
        #[wasm_bindgen(js_name = readOnly)] read_only: bool,
    ) -> Result<bool, JsValue> {
        let access = if read_only { Access::ReadOnly } else { Access::Full };
        Ok(self.0.set_access(peer_id(peer)?, access))
    }

    /// Makes one more link, and resolves with it once it lets others join.
    #[wasm_bindgen(js_name = addLink)]
    pub async fn add_link(
        &self,
        #[wasm_bindgen(unchecked_optional_param_type = "LinkOptions")] options: JsValue,
    ) -> Result<String, JsValue> {
        let added = self.0.links().add(LinkOptions::read(&options)?).await;
        added.map(|link| link.reveal()).map_err(|error| failed("ShareFailed", &error))
    }

    /// Takes a link back: whoever came by it is out. Says whether it was in force.
    #[wasm_bindgen(js_name = revokeLink)]
    pub fn revoke_link(&self, link: &str) -> bool {
        let links = self.0.links();
        let id = links.list().into_iter().find(|info| info.link.reveal() == link).map(|info| info.id);
        id.is_some_and(|id| links.revoke(id))
    }

    /// Every link there was.
    #[wasm_bindgen(unchecked_return_type = "LinkInfo[]")]
    pub fn links(&self) -> Result<JsValue, JsValue> {
        list(self.0.links().list().iter().map(link_info))
    }

    /// Ends the session for every viewer, and resolves once they were told, after 3 s at most.
    pub async fn close(&self) {
        self.0.close().await;
    }
}

fn member(member: &Member) -> Value {
    json!({
        "peer": member.peer.to_string(),
        "name": member.name.as_ref().map(|name| name.as_str()),
        "readOnly": member.access == Access::ReadOnly,
        "path": member.path.as_ref().map(ToString::to_string),
        "since": member.since.as_millis(),
        "lastHeard": member.last_heard.map(|ago| ago.as_millis()),
    })
}

fn link_info(info: &LinkInfo) -> Value {
    json!({
        "link": info.link.reveal(),
        "readOnly": info.access == Access::ReadOnly,
        "expiresAt": info.expires_at.map(|seconds| seconds * 1_000),
        "uses": info.uses,
        "used": info.used,
        "state": match info.state {
            LinkState::Open => "open",
            LinkState::Expired => "expired",
            LinkState::UsedUp => "used up",
            _ => "revoked",
        },
    })
}

fn list(values: impl Iterator<Item = Value>) -> Result<JsValue, JsValue> {
    JSON::parse(&Value::Array(values.collect()).to_string())
}

fn peer_id(peer: &str) -> Result<PeerId, JsValue> {
    peer.parse().map_err(|_| named("TypeError", "a peer is named as `members` names it"))
}
