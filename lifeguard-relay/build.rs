//! Embeds the viewer page, where `scripts/web page` has built it.
#![allow(missing_docs, reason = "a build script")]

use std::{
    env,
    fmt::Write,
    fs, io,
    path::{Path, PathBuf},
};

fn main() -> io::Result<()> {
    println!("cargo::rerun-if-env-changed={VARIABLE}");
    println!("cargo::rerun-if-changed=build.rs");
    let mut files = String::new();
    if let Some(folder) = folder()? {
        println!("cargo::rerun-if-changed={}", folder.display());
        if folder.join("index.html").is_file() {
            list(&folder, &folder, &mut files)?;
        }
    }
    let out = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default());
    fs::write(out.join("page.rs"), format!("pub(super) static BUILT: &[(&str, &[u8])] = &[{files}];\n"))
}

/// Where the page may be: where the variable says, or where `scripts/web page` of this workspace builds it.
fn folder() -> io::Result<Option<PathBuf>> {
    if let Some(folder) = env::var_os(VARIABLE) {
        return Ok(Some(PathBuf::from(folder).canonicalize()?));
    }
    let here = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default());
    let Some(workspace) = here.parent().filter(|parent| parent.join("scripts/web").is_file()) else {
        return Ok(None);
    };
    // Cargo would run this anew each time if it watched a folder that is not there.
    let folder = workspace.join("target/web-page");
    fs::create_dir_all(&folder)?;
    Ok(Some(folder))
}

fn list(root: &Path, folder: &Path, files: &mut String) -> io::Result<()> {
    let mut entries = fs::read_dir(folder)?.collect::<io::Result<Vec<_>>>()?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let path = entry.path();
        if path.is_dir() {
            list(root, &path, files)?;
        } else {
            let name = path.strip_prefix(root).unwrap_or(&path).display().to_string();
            // Writing to a String cannot fail.
            let _ = write!(files, "({name:?}, include_bytes!({:?})),", path.display().to_string());
        }
    }
    Ok(())
}

/// Names another folder with a built page.
const VARIABLE: &str = "BEACH_WEB_PAGE";
