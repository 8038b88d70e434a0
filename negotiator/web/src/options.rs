//! What a page may ask for.

use std::time::Duration;

use js_sys::{Function, JSON, Reflect};
use negotiator::NetworkConfig;
use serde::Deserialize;
use wasm_bindgen::prelude::*;
use web_sys::AbortSignal;

use crate::error::{failed, named};

#[wasm_bindgen(typescript_custom_section)]
const TYPES: &str = r#"
/** How to join. Every field may be left out. */
export interface ConnectOptions {
  /** Gives the attempt up; once joined it has no effect. */
  signal?: AbortSignal;
  /** To look and not to type. */
  readOnly?: boolean;
  /** How the host may call this viewer. It proves nothing. */
  name?: string;
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
  /** Called once when the host asks its person whether to let this viewer in. */
  onPending?: () => void;
}
"#;

/// The same, read.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Options {
    #[serde(skip)]
    pub(crate) signal: Option<AbortSignal>,
    pub(crate) read_only: bool,
    pub(crate) name: Option<String>,
    cohort: Option<String>,
    entitlement_proof: Option<String>,
    telemetry: bool,
    connect_timeout: Option<f64>,
    resume_window: Option<f64>,
    ack_delay: Option<f64>,
    #[serde(skip)]
    pub(crate) on_pending: Option<Function>,
}

impl Options {
    pub(crate) fn read(options: &JsValue) -> Result<Self, JsValue> {
        if options.is_undefined() || options.is_null() {
            return Ok(Self::default());
        }
        let text: String = JSON::stringify(options)?.into();
        let mut read: Self = serde_json::from_str(&text).map_err(|error| failed("TypeError", &error))?;
        let signal = Reflect::get(options, &"signal".into())?;
        if !signal.is_undefined() {
            read.signal =
                Some(signal.dyn_into().map_err(|_| named("TypeError", "signal is no AbortSignal"))?);
        }
        let pending = Reflect::get(options, &"onPending".into())?;
        if !pending.is_undefined() {
            read.on_pending =
                Some(pending.dyn_into().map_err(|_| named("TypeError", "onPending is no function"))?);
        }
        Ok(read)
    }

    pub(crate) fn network(&self) -> Result<NetworkConfig, JsValue> {
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
