//! Where the programs under test are.

use std::path::{Path, PathBuf};

use crate::trouble::Trouble;

/// The binaries of this workspace's build.
#[derive(Debug, Clone)]
pub struct Programs {
    /// `beach-link`.
    pub link: PathBuf,
    /// `beach-lifeguard`.
    pub lifeguard: PathBuf,
}

impl Programs {
    /// Finds them beside this program, or in `BEACH_FIELD_PROGRAMS` to try those of another build.
    ///
    /// # Errors
    ///
    /// [`Trouble::Missing`], which says how to build them.
    pub fn find() -> Result<Self, Trouble> {
        let own = std::env::current_exe().map_err(Trouble::io("this program's path"))?;
        let beside = || match own.parent() {
            // Test programs are one folder deeper.
            Some(folder) if folder.ends_with("deps") => folder.parent().map(Path::to_owned),
            folder => folder.map(Path::to_owned),
        };
        let folder = std::env::var_os("BEACH_FIELD_PROGRAMS").map(PathBuf::from).or_else(beside);
        let folder = folder.unwrap_or_default();
        let found = |name| {
            let path = folder.join(name);
            if path.is_file() { Ok(path) } else { Err(Trouble::Missing(path)) }
        };
        Ok(Self { link: found("beach-link")?, lifeguard: found("beach-lifeguard")? })
    }
}
