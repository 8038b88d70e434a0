//! The parts of `beach-link`: what a person or a script sees of a session that survives its transport.
//!
//! The binary parses arguments, calls [`run`] and exits with its code. The modules are public so that tests
//! can drive one end in process; they are no stable interface.

pub mod host;
pub mod screen;
pub mod wire;
