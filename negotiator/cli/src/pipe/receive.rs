//! `beach-link receive`: a file from whoever sends it, whole or not at all.

use std::{
    io::{self, SeekFrom},
    path::{Path, PathBuf},
};

use negotiator::Session;
use nix::fcntl::{Flock, FlockArg};
use sha2::{Digest, Sha256};
use tokio::{
    fs::File,
    io::{AsyncSeekExt, AsyncWriteExt},
};
use transport_core::Text;

use super::{
    enter,
    progress::Progress,
    send::{hash_of, sum_line},
    stream::{deliver, last_word, next, refusal, tell},
};
use crate::{
    args::ReceiveArgs,
    exit::Failure,
    files,
    signal::Interrupts,
    ui::{Lines, To},
    wire::{Message, Service, Sum},
};

/// Receives the file and puts it in its place.
///
/// # Errors
///
/// [`Failure`]. What has come stays in `NAME.part`, and the next time goes on from there.
pub async fn receive(args: ReceiveArgs) -> Result<u8, Failure> {
    let mut interrupts = Interrupts::listen()?;
    let link = args.link.read()?;
    let mut lines = Lines::new(To::Stderr);
    let session = tokio::select! {
        session = enter(&link, args.network.config()?, Service::File, &mut lines) => session?,
        failure = interrupts.next() => return Err(failure),
    };
    let outcome = take(&session, args.to.as_deref(), &mut lines, interrupts.next()).await;
    session.close().await;
    lines.clear();
    let (sum, place) = outcome?;
    Lines::new(To::Stdout).say(&sum_line(&sum, &place.display().to_string()));
    Ok(0)
}

/// Takes the file that a host offers. Returns what it is and where.
///
/// # Errors
///
/// [`Failure`]; the host was told.
pub async fn take(
    session: &Session,
    to: Option<&Path>,
    lines: &mut Lines,
    stop: impl Future<Output = Failure>,
) -> Result<(Sum, PathBuf), Failure> {
    let outcome = tokio::select! {
        outcome = accept(session, to, lines) => outcome,
        failure = stop => Err(failure),
    };
    if let Err(failure) = &outcome {
        tell(session, failure).await;
    }
    outcome
}

async fn accept(session: &Session, to: Option<&Path>, lines: &mut Lines) -> Result<(Sum, PathBuf), Failure> {
    let (bytes, name) = match next(session).await? {
        Message::Offer { bytes, name } => (bytes, name),
        other => return Err(refusal(other)),
    };
    let place = place(to, &name)?;
    let mut partial = Partial::open(&place).await?;
    deliver(session, Message::From(partial.sum())).await?;
    match next(session).await? {
        Message::From(Sum { bytes: 0, .. }) => partial.restart().await.map_err(Failure::io(PARTIAL))?,
        Message::From(sum) if sum == partial.sum() => {}
        Message::From(_) => return Err(Failure::Corrupt),
        other => return Err(refusal(other)),
    }
    let progress = Progress::new(&name, bytes).behind(partial.bytes);
    let sum = tokio::select! {
        sum = fill(session, &mut partial, bytes, &progress) => sum?,
        never = progress.show(session, lines) => match never {},
    };
    partial.keep(&place).await?;
    deliver(session, Message::Done(sum.bytes)).await?;
    last_word(session).await?;
    Ok((sum, place))
}

async fn fill(
    session: &Session,
    partial: &mut Partial,
    bytes: u64,
    progress: &Progress,
) -> Result<Sum, Failure> {
    loop {
        match next(session).await? {
            Message::Data(data) if partial.bytes + data.len() as u64 <= bytes => {
                partial.add(&data).await.map_err(Failure::io(PARTIAL))?;
                progress.add(data.len());
            }
            // More than was offered would fill the disk of whoever agreed to less.
            Message::Data(_) => return Err(Failure::Corrupt),
            Message::End(sum) if sum == partial.sum() && sum.bytes == bytes => return Ok(sum),
            Message::End(_) => return Err(Failure::Corrupt),
            other => return Err(refusal(other)),
        }
    }
}

/// What has come of a file. It stays when this is dropped.
#[derive(Debug)]
struct Partial {
    path: PathBuf,
    file: File,
    hash: Sha256,
    bytes: u64,
    /// Two at once would write into one another.
    _lock: Flock<std::fs::File>,
}

impl Partial {
    async fn open(place: &Path) -> Result<Self, Failure> {
        let mut path = place.as_os_str().to_owned();
        path.push(".part");
        let path = PathBuf::from(path);
        let file = files::update(&path).map_err(Failure::io(PARTIAL))?;
        let lock = file.try_clone().map_err(Failure::io(PARTIAL))?;
        let lock = Flock::lock(lock, FlockArg::LockExclusiveNonblock).map_err(|_| {
            Failure::Usage(format!("{} is being written by another beach-link", path.display()))
        })?;
        let bytes = file.metadata().map_err(Failure::io(PARTIAL))?.len();
        let mut file = File::from_std(file);
        let hash = hash_of(&mut file, bytes).await.map_err(Failure::io(PARTIAL))?;
        file.seek(SeekFrom::Start(bytes)).await.map_err(Failure::io(PARTIAL))?;
        Ok(Self { path, file, hash, bytes, _lock: lock })
    }

    fn sum(&self) -> Sum {
        Sum { bytes: self.bytes, sha256: self.hash.clone().finalize().into() }
    }

    async fn restart(&mut self) -> io::Result<()> {
        self.file.set_len(0).await?;
        self.file.rewind().await?;
        (self.hash, self.bytes) = (Sha256::new(), 0);
        Ok(())
    }

    async fn add(&mut self, data: &[u8]) -> io::Result<()> {
        self.file.write_all(data).await?;
        self.hash.update(data);
        self.bytes += data.len() as u64;
        Ok(())
    }

    /// Gives the whole file its name.
    async fn keep(&mut self, place: &Path) -> Result<(), Failure> {
        self.file.flush().await.map_err(Failure::io(PARTIAL))?;
        self.file.sync_all().await.map_err(Failure::io(PARTIAL))?;
        free(place)?;
        tokio::fs::rename(&self.path, place).await.map_err(Failure::io("the file"))
    }
}

/// Says where the file goes. Its sender's name for it must be one that does no harm here.
fn place(to: Option<&Path>, name: &str) -> Result<PathBuf, Failure> {
    let place = match to {
        Some(to) if !to.is_dir() => to.to_owned(),
        folder => {
            let folder = folder.unwrap_or(Path::new(""));
            if !is_harmless(name) {
                let words =
                    format!("the sender calls the file {name:?}, which is no name for here: --to NAME");
                return Err(Failure::Usage(words));
            }
            folder.join(name)
        }
    };
    free(&place)?;
    Ok(place)
}

fn free(place: &Path) -> Result<(), Failure> {
    match place.symlink_metadata() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(Failure::io("the file")(error)),
        Ok(_) => {
            let words = format!("{} is there already: move it away, or --to another", place.display());
            Err(Failure::Usage(words))
        }
    }
}

/// Says whether a name stays in its folder, and is none that a program or a shell reads by itself or takes for an option.
fn is_harmless(name: &str) -> bool {
    let plain = Path::new(name).file_name().is_some_and(|only| only == name);
    plain && name.len() <= MAX_NAME && !name.starts_with(['.', '-']) && name.chars().all(Text::shows)
}

const PARTIAL: &str = "the partial file";

/// Bytes of a name: with `.part` behind it the longest that file systems take.
const MAX_NAME: usize = 250;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_senders_name_stays_in_the_folder_and_is_no_trap() {
        for good in ["photos.tar", "Übung 1.pdf", "a..b", "x"] {
            assert!(is_harmless(good), "{good}");
        }
        let long = "x".repeat(251);
        for bad in [
            "",
            ".",
            "..",
            "/etc/passwd",
            "../x",
            "a/b",
            "a/",
            ".bashrc",
            "-rf",
            "a\u{7}",
            "a\u{202e}b",
            &long,
        ] {
            assert!(!is_harmless(bad), "{bad}");
            assert!(place(None, bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn nothing_is_written_over_and_a_folder_takes_the_senders_name() {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path();
        assert_eq!(place(Some(at), "x").unwrap(), at.join("x"));
        assert_eq!(place(Some(&at.join("mine")), ".bashrc").unwrap(), at.join("mine"));
        std::fs::write(at.join("x"), "old").unwrap();
        std::os::unix::fs::symlink("nowhere", at.join("dangling")).unwrap();
        for taken in ["x", "dangling"] {
            let error = place(Some(at), taken).unwrap_err().to_string();
            assert!(error.contains("is there already"), "{error}");
        }
    }
}
