//! The sharing side of a terminal.

pub mod hub;
pub mod mailbox;
pub mod pty;
pub mod serve;
pub mod share;
