//! What stays the same over restarts: the key that signs tokens, and the certificate with its key.
//!
//! The directory is its owner's alone (0700), and so are the files (0600). Each is made once: written beside, and put
//! in place only where nothing stands.

use std::{
    env,
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use aws_lc_rs::rand;
use beach_lifeguard_client::token::{KeyId, TokenSigner, private_key_pem};
use beach_outbound::Fingerprint;
use rustls_pki_types::{CertificateDer, pem::PemObject};

use crate::{cli::failure::Failure, listen::Certificates};

/// A directory that only this user can look into.
#[derive(Debug)]
pub(super) struct State {
    folder: PathBuf,
    owner: u32,
}

impl State {
    /// Opens `folder`, or the usual one, and makes it where there is none.
    ///
    /// # Errors
    ///
    /// [`Failure::State`], for another's directory among others.
    pub(super) fn open(folder: Option<PathBuf>) -> Result<Self, Failure> {
        let Some(folder) = folder.or_else(usual) else {
            return Err(refuse(Path::new("?"), "there is no home directory: name one with --state"));
        };
        if let Some(above) = folder.parent() {
            fs::create_dir_all(above).map_err(|error| refuse(&folder, error))?;
        }
        match DirBuilder::new().mode(0o700).create(&folder) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(refuse(&folder, error)),
        }
        let found = fs::metadata(&folder).map_err(|error| refuse(&folder, error))?;
        if !found.is_dir() {
            return Err(refuse(&folder, "it is no directory"));
        }
        let state = Self { owner: found.uid(), folder };
        // Whose this process is shows in what it makes.
        let own = match state.draft("probe") {
            Ok((draft, file)) => {
                let _ = fs::remove_file(draft);
                file.metadata().map(|made| made.uid()).unwrap_or(state.owner)
            }
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                return Err(refuse(&state.folder, "it is another user's; name one of yours with --state"));
            }
            Err(error) => return Err(refuse(&state.folder, error)),
        };
        if own != state.owner {
            return Err(refuse(&state.folder, "it is another user's; name one of yours with --state"));
        }
        if found.mode() & 0o077 != 0 {
            let why = format!("others may look into it; `chmod 700 {}` first", state.folder.display());
            return Err(refuse(&state.folder, why));
        }
        Ok(state)
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The key that signs tokens; made at the first call.
    ///
    /// # Errors
    ///
    /// [`Failure::State`].
    pub(super) fn signer(&self) -> Result<TokenSigner, Failure> {
        let pem = self.kept(SIGNING_KEY, || {
            let mut seed = [0; 32];
            rand::fill(&mut seed).map_err(|_| "the system has no random numbers".to_owned())?;
            Ok(private_key_pem(&seed).as_bytes().to_vec())
        })?;
        let unusable = |error| refuse(&self.folder.join(SIGNING_KEY), error);
        let name = KeyId::parse("up").map_err(unusable)?;
        TokenSigner::from_pem(name, &pem).map_err(unusable)
    }

    /// The certificate that nobody signed, with its fingerprint; made for `host` at the first call. It stays when the
    /// host changes: who pins it does not look at names.
    ///
    /// # Errors
    ///
    /// [`Failure::State`].
    pub(super) fn certificate(&self, host: String) -> Result<(Certificates, Fingerprint), Failure> {
        let pem = self.kept(CERTIFICATE, || {
            let made = rcgen::generate_simple_self_signed(vec![host]).map_err(|error| error.to_string())?;
            Ok(format!("{}{}", made.cert.pem(), made.signing_key.serialize_pem()).into_bytes())
        })?;
        let path = self.folder.join(CERTIFICATE);
        let der = CertificateDer::from_pem_slice(&pem).map_err(|error| refuse(&path, error))?;
        let certificates = Certificates::from_files(&path, &path).map_err(|error| refuse(&path, error))?;
        Ok((certificates, Fingerprint::of(&der)))
    }

    /// Reads a file of this directory, after making it where there is none.
    fn kept(&self, name: &str, make: impl FnOnce() -> Result<Vec<u8>, String>) -> Result<Vec<u8>, Failure> {
        let path = self.folder.join(name);
        if let Err(error) = fs::symlink_metadata(&path) {
            if error.kind() != io::ErrorKind::NotFound {
                return Err(refuse(&path, error));
            }
            let bytes = make().map_err(|why| refuse(&path, why))?;
            self.put(name, &bytes, Existing::Stays).map_err(|error| refuse(&path, error))?;
        }
        self.plain(&path).map_err(|why| refuse(&path, why))?;
        fs::read(&path).map_err(|error| refuse(&path, error))
    }

    /// Puts a file in place whole or not at all.
    ///
    /// # Errors
    ///
    /// Those of the file system.
    pub(super) fn put(&self, name: &str, bytes: &[u8], existing: Existing) -> io::Result<()> {
        place(&self.folder, name, bytes, OWNER_ONLY, existing)
    }

    /// Opens a new file beside the one of this name, for its owner alone.
    fn draft(&self, name: &str) -> io::Result<(PathBuf, File)> {
        draft(&self.folder, name, OWNER_ONLY)
    }

    /// Checks that a secret is in a file, and in nobody else's hands. A FIFO would never be read to its end.
    fn plain(&self, path: &Path) -> Result<(), String> {
        let found = fs::symlink_metadata(path).map_err(|error| error.to_string())?;
        if !found.is_file() {
            return Err("it is no plain file; it is left as it is".to_owned());
        }
        if found.uid() != self.owner {
            return Err("it is another user's".to_owned());
        }
        if found.mode() & 0o077 != 0 {
            return Err("others may read it: take it away, and a new one is made (links that name the old \
                        certificate end then)"
                .to_owned());
        }
        Ok(())
    }
}

/// Puts a file in place whole or not at all.
///
/// # Errors
///
/// Those of the file system.
pub(super) fn place(
    folder: &Path,
    name: &str,
    bytes: &[u8],
    mode: u32,
    existing: Existing,
) -> io::Result<()> {
    let (draft, mut file) = draft(folder, name, mode)?;
    let path = folder.join(name);
    let placed = file.write_all(bytes).and_then(|()| file.sync_all()).and_then(|()| match existing {
        Existing::IsReplaced => fs::rename(&draft, &path),
        // Unlike a rename this fails where something stands, of another process that was quicker.
        Existing::Stays => match fs::hard_link(&draft, &path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            linked => linked,
        },
    });
    let _ = fs::remove_file(&draft);
    placed
}

fn draft(folder: &Path, name: &str, mode: u32) -> io::Result<(PathBuf, File)> {
    let path = folder.join(format!(".{name}.{}", std::process::id()));
    let _ = fs::remove_file(&path);
    let file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&path)?;
    Ok((path, file))
}

/// What becomes of a file that is there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Existing {
    /// The new one takes its place.
    IsReplaced,
    /// It is kept.
    Stays,
}

/// Where state is kept when nobody says: where a service manager says, or where the user's programs keep theirs.
fn usual() -> Option<PathBuf> {
    managed("STATE_DIRECTORY").or_else(of_user)
}

/// Whether a certificate was made in this directory before.
pub(super) fn holds_certificate(folder: &Path) -> bool {
    folder.join(CERTIFICATE).is_file()
}

/// Where the programs of this user keep what stays.
pub(super) fn of_user() -> Option<PathBuf> {
    let of = |name: &str| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let base = of("XDG_STATE_HOME").or_else(|| Some(of("HOME")?.join(".local/state")));
    Some(base?.join(FOLDER))
}

/// The first directory that a service manager names in the variable.
pub(super) fn managed(variable: &str) -> Option<PathBuf> {
    let list = env::var(variable).ok()?;
    list.split(':').next().filter(|first| !first.is_empty()).map(PathBuf::from)
}

fn refuse(path: &Path, why: impl ToString) -> Failure {
    Failure::State { folder: path.display().to_string(), why: why.to_string() }
}

const OWNER_ONLY: u32 = 0o600;
/// The name of this program's directories.
pub(super) const FOLDER: &str = "beach-lifeguard";
const SIGNING_KEY: &str = "signing-key.pem";
/// Certificate and key in one file, so that there is never one without the other.
const CERTIFICATE: &str = "certificate.pem";

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn failing(outcome: Result<impl Sized, Failure>) -> String {
        outcome.err().expect("refused").to_string()
    }

    #[test]
    fn keys_and_certificate_are_made_once_and_are_their_owners_alone() {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("a/state");
        let read = || {
            let state = State::open(Some(folder.clone())).unwrap();
            let (_, print) = state.certificate("203.0.113.9".to_owned()).unwrap();
            (state.signer().unwrap().public_key().to_string(), print)
        };
        let first = read();
        assert_eq!(read(), first);
        let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&folder), 0o700);
        let mut names: Vec<_> =
            fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, [CERTIFICATE, SIGNING_KEY], "no drafts are left");
        assert!(names.iter().all(|name| mode(&folder.join(name)) == 0o600));
    }

    #[test]
    fn a_link_a_fifo_and_an_open_file_are_left_alone_and_told() {
        let home = tempfile::tempdir().unwrap();
        let state = State::open(Some(home.path().join("state"))).unwrap();
        let (path, target) = (state.folder.join(SIGNING_KEY), home.path().join("target"));
        symlink(&target, &path).unwrap();
        assert!(failing(state.signer()).contains("no plain file"));
        assert!(!target.exists(), "nothing was written through the link");
        fs::remove_file(&path).unwrap();
        let made = std::process::Command::new("mkfifo").arg(&path).status().unwrap();
        assert!(made.success());
        assert!(failing(state.signer()).contains("no plain file"));
        fs::remove_file(&path).unwrap();
        state.signer().unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(failing(state.signer()).contains("others may read it"));
    }

    #[test]
    fn a_directory_that_others_look_into_and_a_file_are_refused() {
        let home = tempfile::tempdir().unwrap();
        let open = home.path().join("open");
        DirBuilder::new().mode(0o755).create(&open).unwrap();
        fs::set_permissions(&open, fs::Permissions::from_mode(0o755)).unwrap();
        assert!(failing(State::open(Some(open))).contains("chmod 700"));
        let file = home.path().join("file");
        fs::write(&file, "").unwrap();
        assert!(failing(State::open(Some(file))).contains("no directory"));
    }

    #[test]
    fn what_is_put_replaces_a_link_and_never_follows_it() {
        let home = tempfile::tempdir().unwrap();
        let state = State::open(Some(home.path().join("state"))).unwrap();
        let target = home.path().join("target");
        fs::write(&target, "precious").unwrap();
        symlink(&target, state.folder.join("x")).unwrap();
        state.put("x", b"new", Existing::IsReplaced).unwrap();
        assert_eq!(fs::read_to_string(&target).unwrap(), "precious");
        assert_eq!(fs::read_to_string(state.folder.join("x")).unwrap(), "new");
    }
}
