//! The watching side of a terminal.

pub mod explain;
pub mod join;
pub mod json;
pub mod predict;
pub mod status;
pub mod view;
