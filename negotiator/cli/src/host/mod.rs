//! The sharing side of a terminal.

pub mod board;
pub mod console;
pub mod control;
mod detach;
mod drain;
pub mod hub;
mod pace;
pub mod pty;
mod resizes;
pub mod serve;
pub mod sessions;
pub mod share;
