//! Where the sockets of this user's sessions are.

use std::{
    env, fs, io,
    os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
};

use tokio::net::{UnixListener, UnixStream};

use crate::exit::Failure;

/// A folder that is its owner's alone.
#[derive(Debug, Clone)]
pub struct Folder(PathBuf);

/// A socket of a session that listens. Dropping it removes the socket.
#[derive(Debug)]
pub struct Socket {
    listener: UnixListener,
    path: PathBuf,
}

impl Folder {
    /// Finds the folder, and makes it where it is not.
    ///
    /// # Errors
    ///
    /// [`Failure::Folder`] when there is no place for it, or somebody else could write in it.
    pub fn open() -> Result<Self, Failure> {
        let place = |name: &str| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let base = place("XDG_RUNTIME_DIR")
            .or_else(|| place("XDG_STATE_HOME"))
            .or_else(|| place("HOME").map(|home| home.join(".local/state")));
        let base = base.ok_or_else(|| Failure::Folder(NOWHERE.to_owned()))?;
        Self::at(base.join("beach-link"))
    }

    /// Makes the folder at `path` where it is not, and checks it.
    ///
    /// # Errors
    ///
    /// [`Failure::Folder`].
    pub fn at(path: PathBuf) -> Result<Self, Failure> {
        let shown = path.display().to_string();
        let failed = |error: io::Error| Failure::Folder(format!("{shown}: {error}"));
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&path).map_err(failed)?;
        // Not followed: a link that somebody else made leads to a place of theirs.
        let found = fs::symlink_metadata(&path).map_err(failed)?;
        let own = found.uid() == nix::unistd::geteuid().as_raw();
        if !found.is_dir() || !own || found.permissions().mode() & 0o077 != 0 {
            return Err(Failure::Folder(format!(
                "{shown} must be a folder of yours alone: chmod 700 it, or remove it"
            )));
        }
        Ok(Self(path))
    }

    /// Lists the names that have a socket, whether or not somebody listens.
    pub fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.0).into_iter().flatten().flatten();
        let name = |path: PathBuf| Some(path.file_name()?.to_str()?.strip_suffix(SOCKET)?.to_owned());
        let mut names: Vec<String> = entries.filter_map(|entry| name(entry.path())).collect();
        names.sort();
        names
    }

    /// Returns the file for what a session in the background says.
    pub fn log(&self, name: &str) -> PathBuf {
        self.0.join(format!("{name}.log"))
    }

    /// Connects to the session that is called `name`; a socket on which nobody listens is removed.
    ///
    /// # Errors
    ///
    /// [`Failure::NoSuchSession`].
    pub async fn connect(&self, name: &str) -> Result<UnixStream, Failure> {
        let missing = || Failure::NoSuchSession(name.to_owned());
        check(name).map_err(|_| missing())?;
        let path = self.socket(name);
        match UnixStream::connect(&path).await {
            Ok(stream) => Ok(stream),
            Err(error) => {
                if error.kind() == io::ErrorKind::ConnectionRefused {
                    let _ = fs::remove_file(&path);
                }
                Err(missing())
            }
        }
    }

    /// Listens for those who ask for `name`.
    ///
    /// # Errors
    ///
    /// [`Failure::Usage`] for a name that cannot be or is taken, [`Failure::Folder`] when there can be no socket.
    pub async fn listen(&self, name: &str) -> Result<Socket, Failure> {
        check(name)?;
        if self.connect(name).await.is_ok() {
            return Err(Failure::Usage(format!(
                "a session called {name} runs already: attach to it, or give this one another --name"
            )));
        }
        let path = self.socket(name);
        let failed = |error: io::Error| Failure::Folder(format!("{}: {error}", path.display()));
        let listener = UnixListener::bind(&path).map_err(failed)?;
        let socket = Socket { listener, path: path.clone() };
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).map_err(failed)?;
        Ok(socket)
    }

    fn socket(&self, name: &str) -> PathBuf {
        self.0.join(format!("{name}{SOCKET}"))
    }
}

impl Socket {
    /// Waits for the next program of this user; others are turned away.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn accept(&self) -> UnixStream {
        loop {
            match self.listener.accept().await {
                Ok((stream, _)) => match stream.peer_cred() {
                    Ok(who) if who.uid() == nix::unistd::geteuid().as_raw() => return stream,
                    Ok(who) => tracing::warn!(uid = who.uid(), "somebody else asked for this session"),
                    Err(error) => tracing::warn!(%error, "it is not known who asks for this session"),
                },
                Err(error) => {
                    tracing::warn!(%error, "the control socket accepts nobody at the moment");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }

    /// Returns where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

/// Checks that a session can be called so: the name is part of a file's.
///
/// # Errors
///
/// [`Failure::Usage`].
pub fn check(name: &str) -> Result<(), Failure> {
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if (1..=MAX_NAME).contains(&name.len()) && name.chars().all(legal) && !name.starts_with(['.', '-']) {
        return Ok(());
    }
    let rule = format!(
        "a session's name has 1 to {MAX_NAME} letters, digits, '-', '_' or '.', a letter or digit first"
    );
    Err(Failure::Usage(rule))
}

/// Longer names make a path that is too long for a socket.
const MAX_NAME: usize = 32;

const SOCKET: &str = ".sock";

const NOWHERE: &str = "there is no place for it: set XDG_RUNTIME_DIR or HOME to a folder";

/// Between two attempts to accept when there is no descriptor to be had.
const PAUSE: std::time::Duration = std::time::Duration::from_millis(200);

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_name_is_taken_while_somebody_listens_and_free_afterwards() {
        let place = tempfile::tempdir().unwrap();
        let folder = Folder::at(place.path().join("a/b")).unwrap();
        let socket = folder.listen("one").await.unwrap();
        assert_eq!(folder.names(), ["one"]);
        assert!(folder.listen("one").await.unwrap_err().to_string().contains("runs already"));
        let (near, far) = tokio::join!(folder.connect("one"), socket.accept());
        drop((near.unwrap(), far));
        drop(socket);
        assert!(folder.names().is_empty());
        assert!(matches!(folder.connect("one").await, Err(Failure::NoSuchSession(_))));
    }

    #[tokio::test]
    async fn a_socket_that_nobody_listens_on_is_in_nobodys_way() {
        let place = tempfile::tempdir().unwrap();
        let folder = Folder::at(place.path().join("run")).unwrap();
        drop(std::os::unix::net::UnixListener::bind(folder.socket("dead")).unwrap());
        assert_eq!(folder.names(), ["dead"]);
        assert!(folder.connect("dead").await.is_err());
        assert!(folder.names().is_empty());
        folder.listen("dead").await.unwrap();
    }

    #[test]
    fn a_folder_that_others_can_enter_is_refused() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("run");
        fs::create_dir(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        assert!(Folder::at(path.clone()).unwrap_err().to_string().contains("yours alone"));
        let link = place.path().join("link");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).unwrap();
        std::os::unix::fs::symlink(&path, &link).unwrap();
        assert!(Folder::at(link).is_err());
        Folder::at(path).unwrap();
    }

    #[test]
    fn names_are_parts_of_files() {
        for name in ["work", "a", "A-1_b.c"] {
            check(name).unwrap();
        }
        for name in ["", ".", "..", "a/b", "-x", "ä", &"x".repeat(33), "a\n"] {
            assert!(check(name).is_err(), "{name:?}");
        }
    }
}
