//! The programs that run in namespaces: the service, who shares, who joins.

mod authority;
mod pipe;
mod process;
mod programs;
mod service;
mod setting;
mod share;
mod store;
mod terminal;
mod up;

pub use authority::{AUTHORITY, Authority, Identity};
pub use pipe::Pipe;
pub use process::Process;
pub use programs::Programs;
pub use service::{CONTROL, Memory, RELAY, RELAY_PORT, Service};
pub use setting::Setting;
pub use share::Share;
pub use store::Store;
pub use terminal::Terminal;
pub use up::Up;

/// A Perl program that prints so many KiB a second without end and repeats what is typed in its first row.
pub const PRINTER: &str = include_str!("printer.pl");
