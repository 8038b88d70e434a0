//! The sharing side of a terminal.

pub mod hub;
pub mod mailbox;
pub mod pty;
mod resizes;
pub mod serve;
pub mod share;
