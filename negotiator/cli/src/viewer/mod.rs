//! The watching side of a terminal.

pub mod again;
mod desk;
pub mod enter;
pub mod explain;
pub mod join;
pub mod json;
mod outbox;
pub mod pager;
pub mod predict;
pub mod status;
pub mod view;
