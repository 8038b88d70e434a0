//! No document shows Rust that is not compiled, and none asks for a version that is not this one.
#![allow(missing_docs, clippy::unwrap_used, reason = "a test")]

use std::{
    fs,
    path::{Path, PathBuf},
};

/// README.md and whatever is below `docs/`.
fn documents() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let (mut found, mut folders) = (vec![root.join("README.md")], vec![root.join("docs")]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "md") {
                found.push(path);
            }
        }
    }
    found
}

/// A number that is behind resolves to an older library than the one described.
#[test]
fn documents_ask_for_the_version_they_describe() {
    let wanted = env!("CARGO_PKG_VERSION").rsplit_once('.').unwrap().0;
    let mut seen = 0;
    for path in documents() {
        let text = fs::read_to_string(&path).unwrap();
        for line in text.lines().filter(|line| line.starts_with("beach-") && line.contains(" = ")) {
            // `beach-x = "0.2"` or `beach-x = { version = "0.2", … }`.
            let version = line.split('"').nth(1);
            assert_eq!(version, Some(wanted), "{}: {line}", path.display());
            seen += 1;
        }
    }
    assert!(seen >= 3, "{seen} lines");
}

#[test]
fn each_document_with_rust_in_it_is_compiled_and_none_of_it_is_ignored() {
    let compiled = include_str!("../src/lib.rs");
    let mut seen = 0;
    for path in documents() {
        let text = fs::read_to_string(&path).unwrap();
        for line in text.lines().filter(|line| line.trim_start().starts_with("```rust")) {
            let fence = line.trim();
            assert!(["```rust", "```rust,no_run"].contains(&fence), "{}: {fence}", path.display());
            let name = path.file_name().unwrap().to_str().unwrap();
            assert!(compiled.contains(&format!("/{name}\")]")), "{} is not compiled", path.display());
            seen += 1;
        }
    }
    assert!(seen >= 10, "{seen} blocks");
}
