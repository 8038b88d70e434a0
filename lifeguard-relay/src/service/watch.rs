//! Files that are replaced under a running process. They are looked at, not subscribed to: a mounted secret is replaced
//! by moving a symbolic link beside it, and on network file systems nobody says anything.

use std::{
    fs::metadata,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::Duration,
};

/// How often files are looked at. What has changed is taken once it was the same twice: certificate and key are two
/// files, and are not written at one moment.
pub(crate) const LOOK: Duration = Duration::from_secs(2);

/// Some files, and how they were.
#[derive(Debug)]
pub(crate) struct Watch {
    files: Vec<PathBuf>,
    taken: Vec<Stamp>,
    seen: Vec<Stamp>,
}

/// Device, inode, length and time of change; none where there is no file.
type Stamp = Option<(u64, u64, u64, i64, i64)>;

impl Watch {
    /// Begins with the files as they are: call it before they are read.
    pub(crate) fn new(files: impl IntoIterator<Item = PathBuf>) -> Self {
        let files: Vec<_> = files.into_iter().collect();
        let taken = stamps(&files);
        Self { files, seen: taken.clone(), taken }
    }

    /// Adds files, as they are.
    pub(crate) fn add(&mut self, files: impl IntoIterator<Item = PathBuf>) {
        let more: Vec<_> = files.into_iter().collect();
        self.taken.extend(stamps(&more));
        self.seen.extend(stamps(&more));
        self.files.extend(more);
    }

    /// Looks at the files. Says once for each change that it is there and over.
    pub(crate) fn changed(&mut self) -> bool {
        let now = stamps(&self.files);
        let at_rest = now == self.seen;
        self.seen.clone_from(&now);
        let changed = at_rest && now != self.taken;
        if changed {
            self.taken = now;
        }
        changed
    }
}

fn stamps(files: &[PathBuf]) -> Vec<Stamp> {
    files.iter().map(|file| stamp(file)).collect()
}

/// Of the file itself, not of a link that leads there.
fn stamp(file: &Path) -> Stamp {
    let data = metadata(file).ok()?;
    // The time of change, not of the content: whoever copies a file with its times changes it too.
    Some((data.dev(), data.ino(), data.len(), data.ctime(), data.ctime_nsec()))
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::symlink};

    use super::*;

    #[test]
    fn a_change_is_told_once_when_it_is_over() {
        let folder = tempfile::tempdir().unwrap();
        let (one, two) = (folder.path().join("one"), folder.path().join("two"));
        fs::write(&one, "1").unwrap();
        let mut watch = Watch::new([one.clone(), two.clone()]);
        assert!(!watch.changed());
        fs::write(&one, "11").unwrap();
        assert!(!watch.changed(), "under way, perhaps");
        fs::write(&two, "2").unwrap();
        assert!(!watch.changed(), "still under way");
        assert!(watch.changed());
        assert!(!watch.changed());
        fs::remove_file(&two).unwrap();
        assert!(!watch.changed());
        assert!(watch.changed());
    }

    #[test]
    fn a_mounted_secret_is_replaced_by_a_link_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        for version in ["first", "second"] {
            fs::create_dir(path(version)).unwrap();
            fs::write(path(version).join("tls.crt"), "same length").unwrap();
        }
        symlink("first", path("..data")).unwrap();
        symlink("..data/tls.crt", path("tls.crt")).unwrap();
        let mut watch = Watch::new([path("tls.crt")]);
        symlink("second", path("next")).unwrap();
        fs::rename(path("next"), path("..data")).unwrap();
        assert!(!watch.changed());
        assert!(watch.changed());
    }
}
