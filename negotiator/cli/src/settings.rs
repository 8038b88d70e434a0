//! What a person chose for every run: `beach/config.toml` in the folder of configurations.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use negotiator::Fingerprint;
use serde::{Deserialize, Deserializer, de::DeserializeOwned, de::Error};

use crate::{exit::Failure, viewer::view::Clipboard};

/// What the file says. An option or a name of the environment counts more.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Where new sessions meet: a URL.
    pub control_plane: Option<String>,
    /// The SHA-256 fingerprint of that one's certificate, where nobody signed it.
    #[serde(default, deserialize_with = "fingerprint")]
    pub pin: Option<Fingerprint>,
    /// Whether what a shared program copies reaches the terminal's clipboard.
    pub clipboard: Option<Clipboard>,
}

impl Settings {
    /// Reads the file; nothing is chosen where there is none.
    ///
    /// # Errors
    ///
    /// [`Failure::Usage`], naming the file, for one that cannot be read or understood.
    pub fn of_person() -> Result<Self, Failure> {
        let place = place(&|name| env::var_os(name).map(PathBuf::from));
        Ok(place.map(|file| read(&file)).transpose()?.flatten().unwrap_or_default())
    }
}

/// Where the file is, below `XDG_CONFIG_HOME` or `.config` at home; `None` where neither is known.
pub(crate) fn place(lookup: &dyn Fn(&str) -> Option<PathBuf>) -> Option<PathBuf> {
    below(lookup, "XDG_CONFIG_HOME", ".config").map(|base| base.join("beach/config.toml"))
}

/// Returns the folder that `own` names, or the one below home. A relative one is none (XDG Base Directory Specification).
pub(crate) fn below(lookup: &dyn Fn(&str) -> Option<PathBuf>, own: &str, home: &str) -> Option<PathBuf> {
    let folder = |name: &str| lookup(name).filter(|path| path.is_absolute());
    folder(own).or_else(|| Some(folder("HOME")?.join(home)))
}

/// Reads a file of settings; `None` where there is none.
///
/// # Errors
///
/// [`Failure::Usage`], naming the file.
pub(crate) fn read<T: DeserializeOwned>(file: &Path) -> Result<Option<T>, Failure> {
    let bad = |why: String| Failure::Usage(format!("{}: {}", file.display(), why.trim_end()));
    // What is no file, such as a FIFO, might never end.
    match fs::metadata(file) {
        Ok(found) if !found.is_file() => return Err(bad("it is no plain file".to_owned())),
        Ok(found) if found.len() > LONGEST => return Err(bad(format!("it has more than {LONGEST} bytes"))),
        Ok(_) => {}
        // Another user's service; or none.
        Err(_) => return Ok(None),
    }
    let text = fs::read_to_string(file).map_err(|error| bad(error.to_string()))?;
    toml::from_str(&text).map(Some).map_err(|error| bad(error.to_string()))
}

pub(crate) fn fingerprint<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Fingerprint>, D::Error> {
    String::deserialize(from)?.parse().map(Some).map_err(D::Error::custom)
}

/// A few lines and their comments.
const LONGEST: u64 = 16 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Result<Settings, String> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("config.toml");
        fs::write(&file, text).unwrap();
        read(&file).map(Option::unwrap_or_default).map_err(|failure| failure.to_string())
    }

    #[test]
    fn a_clipboard_is_chosen_by_the_words_of_the_option() {
        for (word, chosen) in [("off", Clipboard::Off), ("ask", Clipboard::Ask), ("on", Clipboard::On)] {
            assert_eq!(of(&format!("clipboard = \"{word}\"")).unwrap().clipboard, Some(chosen));
        }
        assert_eq!(of("control_plane = 'https://h'").unwrap().clipboard, None);
    }

    #[test]
    fn what_is_no_choice_is_refused_with_the_file_and_the_choices() {
        for text in ["clipboard = 'On'", "clipboard = 'always'", "clipboard = true", "clipboards = 'on'"] {
            let said = of(text).unwrap_err();
            assert!(said.contains("config.toml") && said.contains("clipboard"), "{said}");
        }
        assert!(of("clipboard = 'always'").unwrap_err().contains("`off`, `ask`, `on`"));
    }

    #[test]
    fn the_file_is_below_the_folder_that_is_named_or_at_home() {
        let at = |names: &'static [(&str, &str)]| {
            place(&move |name| {
                names.iter().find(|(own, _)| *own == name).map(|(_, path)| PathBuf::from(path))
            })
        };
        assert_eq!(at(&[("HOME", "/h"), ("XDG_CONFIG_HOME", "/c")]), Some("/c/beach/config.toml".into()));
        assert_eq!(
            at(&[("HOME", "/h"), ("XDG_CONFIG_HOME", "c")]),
            Some("/h/.config/beach/config.toml".into())
        );
        assert_eq!(at(&[]), None);
    }
}
