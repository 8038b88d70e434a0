//! Files this program leaves behind: made beside their place and moved there whole, and only ever onto a plain file. As
//! root, a rename onto `/dev/full` replaces the device for the whole machine.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use nix::fcntl::OFlag;
use rand::RngCore;

/// Who may read a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Readers {
    /// Whoever may see its folder.
    Everybody,
    /// Its owner alone.
    Owner,
}

/// A file that is being written beside its place. Dropping it without [`Draft::keep`] removes it.
#[derive(Debug)]
pub struct Draft {
    file: File,
    draft: PathBuf,
    place: PathBuf,
    kept: bool,
}

impl Draft {
    /// Begins a file.
    ///
    /// # Errors
    ///
    /// What the system says; [`io::ErrorKind::AlreadyExists`] when `place` is there and no plain file.
    pub fn beside(place: &Path, readers: Readers) -> io::Result<Self> {
        plain_or_none(place)?;
        let mut draft = place.as_os_str().to_owned();
        draft.push(format!(".{:016x}.tmp", rand::rng().next_u64()));
        let draft = PathBuf::from(draft);
        let mode = match readers {
            Readers::Everybody => 0o644,
            Readers::Owner => 0o600,
        };
        let file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&draft)?;
        Ok(Self { file, draft, place: place.to_owned(), kept: false })
    }

    /// Puts it in its place, over a plain file that is there.
    ///
    /// # Errors
    ///
    /// As [`beside`](Self::beside).
    pub fn keep(mut self) -> io::Result<()> {
        self.file.sync_all()?;
        plain_or_none(&self.place)?;
        fs::rename(&self.draft, &self.place)?;
        self.kept = true;
        Ok(())
    }
}

impl Write for Draft {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if !self.kept {
            let _ = fs::remove_file(&self.draft);
        }
    }
}

/// Writes a whole file. It appears whole or not at all.
///
/// # Errors
///
/// As [`Draft::beside`].
pub fn write(place: &Path, bytes: &[u8], readers: Readers) -> io::Result<()> {
    let mut draft = Draft::beside(place, readers)?;
    draft.write_all(bytes)?;
    draft.keep()
}

/// Opens a file to append to, for its owner's eyes only. Waits for nobody at the other end of a FIFO.
///
/// # Errors
///
/// As [`Draft::beside`].
pub fn append(place: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    open(place, options.append(true).create(true).mode(0o600))
}

/// Opens a file to read it and go on writing it; makes it if it is not there.
///
/// # Errors
///
/// As [`Draft::beside`].
pub fn update(place: &Path) -> io::Result<File> {
    open(place, OpenOptions::new().read(true).write(true).create(true).truncate(false))
}

fn open(place: &Path, options: &mut OpenOptions) -> io::Result<File> {
    plain_or_none(place)?;
    // What was put there since the look is not followed and not waited for.
    options.custom_flags((OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK).bits());
    let file = options.open(place)?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(not_plain(place)) }
}

fn plain_or_none(place: &Path) -> io::Result<()> {
    match fs::symlink_metadata(place) {
        Ok(found) if found.is_file() => Ok(()),
        Ok(_) => Err(not_plain(place)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

fn not_plain(place: &Path) -> io::Error {
    let words = format!(
        "{} is a device, a FIFO, a symbolic link or a folder and is left alone: name another file",
        place.display()
    );
    io::Error::new(io::ErrorKind::AlreadyExists, words)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use nix::{sys::stat::Mode, unistd::mkfifo};

    use super::*;

    #[test]
    fn only_plain_files_are_written_over_and_nothing_is_left_beside() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::write(at("target"), "old").unwrap();
        symlink(at("target"), at("symlink")).unwrap();
        symlink(at("nowhere"), at("dangling")).unwrap();
        mkfifo(&at("fifo"), Mode::S_IRWXU).unwrap();
        fs::create_dir(at("folder")).unwrap();
        for name in ["symlink", "dangling", "fifo", "folder"] {
            for error in
                [write(&at(name), b"new", Readers::Owner).unwrap_err(), append(&at(name)).unwrap_err()]
            {
                assert_eq!(error.kind(), io::ErrorKind::AlreadyExists, "{name}: {error}");
            }
        }
        assert!(write(Path::new("/dev/null"), b"new", Readers::Owner).is_err());
        assert!(!Path::new("/dev/null").is_file());
        write(&at("target"), b"new", Readers::Owner).unwrap();
        write(&at("fresh"), b"new", Readers::Everybody).unwrap();
        assert_eq!(fs::read(at("target")).unwrap(), b"new");
        assert_eq!(at("target").metadata().unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 6, "no draft is left");
    }

    #[test]
    fn a_draft_that_is_not_kept_is_gone_and_a_log_is_appended_to() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("file");
        let mut draft = Draft::beside(&place, Readers::Owner).unwrap();
        draft.write_all(b"half").unwrap();
        drop(draft);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
        for line in ["one\n", "two\n"] {
            append(&place).unwrap().write_all(line.as_bytes()).unwrap();
        }
        assert_eq!(fs::read_to_string(&place).unwrap(), "one\ntwo\n");
    }
}
