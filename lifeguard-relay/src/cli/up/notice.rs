//! What `up` leaves for programs of the same machine: where it is, and by which certificate it is known. No secrets.

use std::{
    env, fs,
    fs::DirBuilder,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

use beach_outbound::Fingerprint;

use super::state::{Existing, FOLDER, State, managed, of_user, place};

/// A service, as `beach-link share` needs it.
#[derive(Debug)]
pub(super) struct Notice {
    pub(super) control_plane: String,
    pub(super) pin: Option<Fingerprint>,
}

/// The files that were left. Dropping it takes them away.
#[derive(Debug)]
pub(super) struct Left {
    text: String,
    files: Vec<PathBuf>,
    /// Whether `beach-link` looks at one of them without being told.
    pub(super) is_found: bool,
}

impl Notice {
    /// Leaves it in the state directory, and where programs of the machine look while the service runs. A place that
    /// cannot be written is none: what is printed says all of it, too.
    pub(super) fn leave(&self, state: &State) -> Left {
        let mut left = Left { text: self.text(), files: Vec::new(), is_found: false };
        let text = left.text.as_bytes();
        match state.put(NAME, text, Existing::IsReplaced) {
            Ok(()) => {
                left.is_found = of_user().is_some_and(|usual| usual == state.folder());
                left.files.push(state.folder().join(NAME));
            }
            Err(error) => {
                tracing::warn!(%error, "no file for programs of this machine in the state directory")
            }
        }
        if let Some((folder, mode)) = runtime() {
            match place(&folder, NAME, text, mode, Existing::IsReplaced) {
                Ok(()) => {
                    left.is_found = true;
                    left.files.push(folder.join(NAME));
                }
                Err(error) => {
                    tracing::warn!(%error, folder = %folder.display(), "no file for programs of this machine")
                }
            }
        }
        left
    }

    /// The options that say the same.
    pub(super) fn options(&self) -> String {
        let pin = self.pin.map(|pin| format!(" --pin {pin}")).unwrap_or_default();
        format!("--control-plane {}{pin}", self.control_plane)
    }

    /// In the form of `beach-link`'s configuration file.
    fn text(&self) -> String {
        let pin = self.pin.map(|pin| format!("pin = \"{pin}\"\n")).unwrap_or_default();
        format!(
            "# Left by `beach-lifeguard up` while it runs. Can be copied to ~/.config/beach/config.toml elsewhere.\n\
             control_plane = \"{}\"\n{pin}",
            self.control_plane
        )
    }
}

impl Drop for Left {
    fn drop(&mut self) {
        for file in &self.files {
            // Another one that runs has left its own since.
            if fs::read_to_string(file).is_ok_and(|text| text == self.text) {
                let _ = fs::remove_file(file);
            }
        }
    }
}

/// Where a service manager says (for everybody on the machine), or else where the user's programs look.
fn runtime() -> Option<(PathBuf, u32)> {
    if let Some(folder) = managed("RUNTIME_DIRECTORY") {
        return Some((folder, 0o644));
    }
    let base = env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|path| path.is_absolute())?;
    let folder = Path::new(&base).join(FOLDER);
    let _ = DirBuilder::new().mode(0o700).create(&folder);
    Some((folder, 0o600))
}

const NAME: &str = "service.toml";
