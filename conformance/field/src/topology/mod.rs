//! Namespaces, the links between them, and what the kernel does to packets there.

pub mod firewall;
pub mod link;
pub mod shaper;
pub mod space;
pub mod sweep;

use std::{
    path::Path,
    process::Command,
    sync::atomic::{AtomicU32, Ordering},
};

pub use firewall::{Chain, Firewall};
pub use link::{End, link};
pub use shaper::{Queue, Shaper};
pub use space::Space;
use tempfile::TempDir;

use crate::trouble::{Trouble, output};

/// A laboratory: a folder for its files, and a prefix that tells its namespaces from all others.
#[derive(Debug)]
pub struct Lab {
    prefix: String,
    folder: TempDir,
}

impl Lab {
    /// Opens a laboratory with nothing in it.
    ///
    /// # Errors
    ///
    /// [`Trouble::NotAllowed`] where namespaces or firewall rules cannot be made.
    pub fn open() -> Result<Self, Trouble> {
        let number = OPENED.fetch_add(1, Ordering::Relaxed);
        let prefix = format!("{}{number}", sweep::own_prefix());
        let folder = sweep::folder(&prefix).map_err(Trouble::io("a folder for the laboratory"))?;
        Ok(Self { prefix, folder })
    }

    /// Says whether this machine allows what a laboratory needs, by trying it.
    ///
    /// # Errors
    ///
    /// [`Trouble::NotAllowed`] with the reason.
    pub fn allowed() -> Result<(), Trouble> {
        let try_all = || {
            let space = Self::open()?.space("try")?;
            output(Command::new("nft").arg("--version"))?;
            Firewall::raise(&space)?.add(Chain::Forward, "meta l4proto udp drop")
        };
        try_all().map_err(|why: Trouble| Trouble::NotAllowed(why.to_string()))
    }

    /// Makes a namespace.
    ///
    /// # Errors
    ///
    /// [`Trouble`] when the system refuses.
    pub fn space(&self, name: &str) -> Result<Space, Trouble> {
        Space::make(format!("{}-{name}", self.prefix), self.folder.path())
    }

    /// Where this laboratory's files are.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }
}

static OPENED: AtomicU32 = AtomicU32::new(0);
