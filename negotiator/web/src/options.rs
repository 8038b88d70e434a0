//! What a page may ask for.

use std::{sync::Arc, time::Duration};

use js_sys::{Function, JSON, Reflect};
use negotiator::{HostConfig, NetworkConfig};
use serde::{Deserialize, de::DeserializeOwned};
use wasm_bindgen::{JsCast, prelude::*};
use web_sys::AbortSignal;

use crate::{
    approval::PageApproval,
    error::{failed, named},
};

#[wasm_bindgen(typescript_custom_section)]
const TYPES: &str = r#"
/** How the network is used. Every field may be left out. */
export interface NetworkOptions {
  /** The cohort, for roll-out and guardrails. */
  cohort?: string;
  /** Proof that the user may use the fallback: a JWT from the account service. */
  entitlementProof?: string;
  /** Whether the relay may count this session in its per-session figures. */
  telemetry?: boolean;
  /** How long joining may take, in milliseconds; 45000. */
  connectTimeout?: number;
  /** How long a session lives without any path, in milliseconds; 600000. */
  resumeWindow?: number;
  /** How long what was received may stay unacknowledged, in milliseconds. A viewer of a terminal is quick: 5. */
  ackDelay?: number;
}
/** How to join. Every field may be left out. */
export interface ConnectOptions extends NetworkOptions {
  /** Gives the attempt up; once joined it has no effect. */
  signal?: AbortSignal;
  /** To look and not to type. */
  readOnly?: boolean;
  /** How the host may call this viewer. It proves nothing. */
  name?: string;
  /** Joins as the viewer of this key, which `viewerKey` made; left out, as somebody new. */
  key?: string;
  /** Called once when the host asks its person whether to let this viewer in. */
  onPending?: () => void;
}
/** What a link is good for. Every field may be left out. */
export interface LinkOptions {
  /** To look and not to type. */
  readOnly?: boolean;
  /** How long it lets new viewers in, in milliseconds; as long as the session is shared. */
  expiresIn?: number;
  /** How many viewers it lets in; any number. */
  uses?: number;
}
/** Who asks to come in. The name proves nothing. */
export interface Applicant {
  peer: string;
  name: string | null;
  readOnly: boolean;
}
/** How to share. Every field may be left out. */
export interface ShareOptions extends NetworkOptions {
  /** Gives the attempt up; once shared it has no effect. */
  signal?: AbortSignal;
  /** What the first link is good for. */
  link?: LinkOptions;
  /** Viewers at one time; 32. */
  maxViewers?: number;
  /** Decides about each viewer before its session is handed out; what it throws refuses. Left out, a link is enough. */
  approve?: (applicant: Applicant) => boolean | "readOnly" | Promise<boolean | "readOnly">;
}
"#;

/// How the network is used, read.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct NetworkOptions {
    cohort: Option<String>,
    entitlement_proof: Option<String>,
    telemetry: bool,
    connect_timeout: Option<f64>,
    resume_window: Option<f64>,
    ack_delay: Option<f64>,
}

/// How to join, read.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct ConnectOptions {
    #[serde(skip)]
    pub(crate) signal: Option<AbortSignal>,
    pub(crate) read_only: bool,
    pub(crate) name: Option<String>,
    pub(crate) key: Option<String>,
    #[serde(flatten)]
    network: NetworkOptions,
    #[serde(skip)]
    pub(crate) on_pending: Option<Function>,
}

/// What a link is good for, read.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct LinkOptions {
    read_only: bool,
    expires_in: Option<f64>,
    uses: Option<u32>,
}

/// How to share, read.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct ShareOptions {
    #[serde(skip)]
    pub(crate) signal: Option<AbortSignal>,
    link: LinkOptions,
    max_viewers: Option<usize>,
    #[serde(flatten)]
    network: NetworkOptions,
    #[serde(skip)]
    approve: Option<Function>,
}

impl ConnectOptions {
    pub(crate) fn read(options: &JsValue) -> Result<Self, JsValue> {
        let mut read: Self = plain(options)?;
        read.signal = object(options, "signal", "AbortSignal")?;
        read.on_pending = object(options, "onPending", "function")?;
        Ok(read)
    }

    pub(crate) fn network(&self) -> Result<NetworkConfig, JsValue> {
        self.network.config()
    }
}

impl LinkOptions {
    pub(crate) fn read(options: &JsValue) -> Result<negotiator::LinkOptions, JsValue> {
        plain::<Self>(options)?.link()
    }

    fn link(&self) -> Result<negotiator::LinkOptions, JsValue> {
        let mut link = negotiator::LinkOptions::full();
        if self.read_only {
            link = negotiator::LinkOptions::read_only();
        }
        link.expires_in = self.expires_in.map(millis).transpose()?;
        link.uses = self.uses;
        Ok(link)
    }
}

impl ShareOptions {
    pub(crate) fn read(options: &JsValue) -> Result<Self, JsValue> {
        let mut read: Self = plain(options)?;
        read.signal = object(options, "signal", "AbortSignal")?;
        read.approve = object(options, "approve", "function")?;
        Ok(read)
    }

    pub(crate) fn host(&self, control_plane: String) -> Result<HostConfig, JsValue> {
        let mut config = HostConfig::new(control_plane);
        config.network = self.network.config()?;
        config.links = vec![self.link.link()?];
        if let Some(most) = self.max_viewers {
            config.max_viewers = most;
        }
        if let Some(approve) = &self.approve {
            config.approval = Some(Arc::new(PageApproval::new(approve.clone())));
        }
        Ok(config)
    }
}

/// Reads what JSON can say of an object.
fn plain<T: Default + DeserializeOwned>(options: &JsValue) -> Result<T, JsValue> {
    if options.is_undefined() || options.is_null() {
        return Ok(T::default());
    }
    let text: String = JSON::stringify(options)?.into();
    serde_json::from_str(&text).map_err(|error| failed("TypeError", &error))
}

/// Reads one field that JSON cannot say, of the kind that is named.
fn object<T: JsCast>(options: &JsValue, field: &str, kind: &str) -> Result<Option<T>, JsValue> {
    if options.is_undefined() || options.is_null() {
        return Ok(None);
    }
    let value = Reflect::get(options, &field.into())?;
    if value.is_undefined() {
        return Ok(None);
    }
    let wrong = |_| named("TypeError", &format!("{field} is no {kind}"));
    value.dyn_into().map(Some).map_err(wrong)
}

impl NetworkOptions {
    fn config(&self) -> Result<NetworkConfig, JsValue> {
        let mut network = NetworkConfig::default();
        if let Some(cohort) = &self.cohort {
            network.cohort.clone_from(cohort);
        }
        network.entitlement_proof.clone_from(&self.entitlement_proof);
        network.telemetry_opt_in = self.telemetry;
        if let Some(timeout) = self.connect_timeout {
            network.connect_timeout = millis(timeout)?;
        }
        if let Some(window) = self.resume_window {
            network.resume_window = millis(window)?;
        }
        if let Some(delay) = self.ack_delay {
            network.ack_delay = millis(delay)?;
        }
        Ok(network)
    }
}

fn millis(value: f64) -> Result<Duration, JsValue> {
    Duration::try_from_secs_f64(value / 1e3).map_err(|error| failed("RangeError", &error))
}
