//! Sessions that survive their transport: WebRTC first, the relay when it must be, and back.
//!
//! ```no_run
//! use negotiator::{Host, HostConfig, NetworkConfig, Negotiator, Received};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let host = Host::share(HostConfig::new("https://beach.example")).await?;
//! let link = host.link().reveal();
//!
//! // On another machine:
//! let session = Negotiator::new(link.parse()?, NetworkConfig::default()).connect().await?;
//! session.send("hello".into()).await?;
//! while let Received::Message(bytes) = session.recv().await? {
//!     println!("{} bytes", bytes.len());
//! }
//! # Ok(()) }
//! ```
//!
//! This crate drives; it does not decide. The judgement is `transport_core::policy`, the exactly-once
//! bookkeeping `transport_core::resume`, the seal `transport_core::secure`. Without its default features
//! it holds no WebRTC, no HTTP and no relay; feature `webrtc` brings the first, `ws-fallback` the last, each alone or
//! both, and both the control plane. Without any: bring a [`Signaling`](transport_core::signaling::Signaling)
//! and [`Way`]s of your own, as a [`Rendezvous`].
#![forbid(unsafe_code)]

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

mod assembly;
#[cfg(feature = "blocking")]
pub mod blocking;
mod byte_stream;
mod config;
#[cfg(feature = "control-plane")]
mod control_plane;
mod core;
mod driver;
mod endpoint;
mod error;
mod event;
mod explain;
mod gate;
mod host;
mod link;
mod meeting;
#[cfg(feature = "metrics")]
pub mod metrics;
mod negotiator;

mod pump;
#[cfg(feature = "ws-fallback")]
mod relay_tokens;
mod rendezvous;
mod runtime;
mod send_limit;
mod session;
mod stats;
mod streams;
#[cfg(any(test, feature = "testing"))]
pub mod testing;

#[cfg(feature = "webrtc")]
mod turn;
mod viewer_key;

pub use self::core::RefusedInput;
#[cfg(feature = "control-plane")]
pub use beach_outbound::{self as outbound, ConfigError as OutboundConfigError, OutboundConfig};
// A browser has its own.
#[cfg(all(feature = "control-plane", not(all(target_family = "wasm", target_os = "unknown"))))]
pub use beach_outbound::{Fingerprint, ProxyMode, ProxyUrl};
pub use byte_stream::ByteStream;
pub use config::{FallbackMode, HostConfig, NetworkConfig, Questions, TunePolicy};
#[cfg(feature = "control-plane")]
pub use control_plane::ControlPlaneRendezvous;
pub use endpoint::{Prefetch, Way};
pub use error::{JoinError, SendError, SessionEnd, ShareError};
pub use event::{EVENTS, EventStream, NegotiationEvent};
pub use explain::{Absence, Explanation, Status, Tried};
pub use gate::{FallbackGate, SwitchGate};
pub use host::{Applicant, Approval, Decision, Host, LinkInfo, LinkOptions, LinkState, Links, Member};
pub use link::{BadJoinLink, JoinLink};
pub use negotiator::Negotiator;
#[cfg(feature = "ws-fallback")]
pub use relay_tokens::RelayTokens;
pub use rendezvous::{ListedLink, Membership, Missing, Rendezvous, SessionDocument};
pub use session::{Received, Session};
pub use stats::SessionStats;
pub use streams::MessageSink;
pub use transport_core::{
    CloseCode, Closed, Initiator, PeerId, Role, SessionId, Text, TransportId,
    policy::{Gate, GateState, Gates, Reason, TransitionKind},
    secure::{Access, CertificatePin, Identity, LinkId, PublicKey},
    signaling::{ByeReason, Obstacle, SignalingError},
};
pub use viewer_key::{BadViewerKey, ViewerKey};
