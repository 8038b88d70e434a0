//! Talks to a beach control plane: makes sessions known, gets tokens and TURN servers, and enters the
//! signaling room.
//!
//! The messages, and by what a member proves to be one ([`Credentials`]), are those of `beach-lifeguard-client`, the connections those of `beach-outbound`; this crate
//! puts the two together, sets deadlines, and says in words which of both failed. It decides nothing about
//! retries, except in the [`Room`], which comes back by itself.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use beach_control_client::{ControlPlane, Credentials, protocol::{identity::Identity, session::SessionDocument}};
//! use beach_outbound::Outbound;
//!
//! let control = ControlPlane::new("https://beach.example".parse()?, Outbound::default());
//! let identity = Identity::random()?;
//! let document = SessionDocument::new(identity.public(), 1).sign(&identity);
//! control.publish(&document).await?;
//! // Whatever is put into `newest` is published too, and again whenever the room was lost.
//! let (newest, documents) = tokio::sync::watch::channel(document);
//! let room = control.room(Credentials::host(identity), Some(documents))?;
//! # let _ = (room, newest);
//! # Ok(())
//! # }
//! ```
#![forbid(unsafe_code)]

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

mod clock;
mod error;
mod plane;
mod rescue;
mod room;
mod runtime;

pub use clock::Skew;
pub use error::{ControlError, Refusal};
pub use plane::{ControlPlane, Published};
pub use rescue::{KeptGrant, Rescue};
pub use room::Room;
// They stand in public signatures.
pub use beach_lifeguard_client::membership::Credentials;
pub use {beach_lifeguard_client as protocol, beach_outbound as outbound};
