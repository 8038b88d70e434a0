//! The sharing side of a terminal.

pub mod hub;
mod pace;
pub mod pty;
mod resizes;
pub mod serve;
pub mod share;
