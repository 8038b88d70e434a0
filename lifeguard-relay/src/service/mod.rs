//! What a manager of services, systemd for one, gives this process and is told by it.

mod descriptors;
mod notify;
mod sockets;
mod watch;

pub(crate) use self::{
    descriptors::raise,
    notify::Notify,
    sockets::{Handed, Place},
    watch::{LOOK, Watch},
};
