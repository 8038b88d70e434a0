//! Talks to a beach control plane: makes sessions known, gets tokens and TURN servers, and enters the
//! signaling room.
//!
//! The messages are those of `beach-lifeguard-client`, the connections those of `beach-outbound`; this crate
//! puts the two together, sets deadlines, and says in words which of both failed. It decides nothing about
//! retries, except in the [`Room`], which comes back by itself.
//!
//! ```no_run
//! # async fn example(credentials: beach_control_client::Credentials) -> Result<(), Box<dyn std::error::Error>> {
//! use beach_control_client::ControlPlane;
//! use beach_outbound::Outbound;
//!
//! let control = ControlPlane::new("https://beach.example".parse()?, Outbound::default());
//! control.register(credentials.session, &credentials.verifier).await?;
//! let room = control.room(credentials, true)?;
//! # let _ = room;
//! # Ok(())
//! # }
//! ```
#![forbid(unsafe_code)]

mod clock;
mod credentials;
mod error;
mod plane;
mod room;
mod runtime;

pub use clock::Skew;
pub use credentials::Credentials;
pub use error::{ControlError, Refusal};
pub use plane::{ControlPlane, Registered};
pub use room::Room;
// They stand in public signatures.
pub use {beach_lifeguard_client as protocol, beach_outbound as outbound};
