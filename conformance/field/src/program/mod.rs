//! The programs that run in namespaces: the service, who shares, who joins.

mod authority;
mod process;
mod programs;
mod service;
mod setting;
mod share;
mod terminal;

pub use authority::{AUTHORITY, Authority, Identity};
pub use process::Process;
pub use programs::Programs;
pub use service::{CONTROL, RELAY, RELAY_PORT, Service};
pub use setting::Setting;
pub use share::Share;
pub use terminal::Terminal;
