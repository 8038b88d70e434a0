//! Where a value comes from: flag, environment, file, default; in that order of precedence.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    ops::Range,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use super::value::{Form, Setting};

/// One thing that can be set. The table of all of them is made by `keys!`.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    /// Its path in TOML, `section.name`.
    pub(crate) path: &'static str,
    /// Its environment variable, then older names that still work.
    pub(crate) env: &'static [&'static str],
    /// Its default, as text.
    pub(crate) default: fn() -> String,
    /// What it does, line by line.
    pub(crate) help: &'static [&'static str],
    /// Never shown. Can also be given as a file, by `…_FILE` and `…-file`.
    pub(crate) secret: bool,
    pub(super) form: Form,
}

impl Key {
    /// Its flag, without the dashes.
    pub fn flag(&self) -> String {
        self.path.replace(['.', '_'], "-")
    }

    /// Its section in TOML and its name there.
    pub(super) fn split(&self) -> (&'static str, &'static str) {
        // Each path in the table has a dot; a test looks.
        self.path.split_once('.').unwrap_or(("", self.path))
    }
}

/// A value and where it came from.
#[derive(Clone)]
struct Given {
    text: String,
    origin: Origin,
}

/// Where a value came from, for error messages and for `config check`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Origin {
    /// Nobody said anything.
    Default,
    /// An environment variable.
    Environment(String),
    /// The configuration file, and the line in it.
    File(PathBuf, usize),
    /// A flag.
    Flag(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::Environment(name) => write!(f, "from {name}"),
            Self::File(path, line) => write!(f, "from {}:{line}", path.display()),
            Self::Flag(flag) => write!(f, "from --{flag}"),
        }
    }
}

/// What was given, by key.
#[derive(Clone, Default)]
pub struct Values {
    given: BTreeMap<&'static str, Given>,
    files: Vec<PathBuf>,
    /// Those of the files that hold a secret.
    private: BTreeSet<PathBuf>,
}

/// Values may be secrets.
impl fmt::Debug for Values {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.given.iter().map(|(key, given)| (key, &given.origin))).finish()
    }
}

impl Values {
    /// Takes a flag.
    pub fn set_flag(&mut self, key: &'static Key, text: String) {
        self.given.insert(key.path, Given { text, origin: Origin::Flag(key.flag()) });
    }

    /// Takes a secret from the file a flag names.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Unreadable`].
    pub fn set_flag_file(&mut self, key: &'static Key, file: &Path) -> Result<(), ConfigError> {
        let text = self.read_secret(file)?;
        self.given.insert(key.path, Given { text, origin: Origin::Flag(format!("{}-file", key.flag())) });
        Ok(())
    }

    /// Adds what the environment says about keys that no flag has set. `env` looks a variable up.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Unreadable`] for a secret's file.
    pub fn add_environment(
        &mut self,
        keys: &'static [Key],
        env: impl Fn(&str) -> Option<String>,
    ) -> Result<(), ConfigError> {
        for key in keys.iter().filter(|key| !self.given.contains_key(key.path)).collect::<Vec<_>>() {
            for name in key.env {
                let (name, text) = match (env(name), env(&format!("{name}_FILE"))) {
                    (Some(text), _) => ((*name).to_owned(), text),
                    (None, Some(file)) if key.secret => {
                        (format!("{name}_FILE"), self.read_secret(Path::new(&file))?)
                    }
                    _ => continue,
                };
                self.given.insert(key.path, Given { text, origin: Origin::Environment(name) });
                break;
            }
        }
        Ok(())
    }

    /// Adds what a TOML file says about keys that neither a flag nor the environment has set. A secret may stand in a
    /// file of its own, which `NAME_file` names.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] for TOML that does not parse, for a key nobody knows and for a value of no use.
    pub fn add_toml(&mut self, keys: &'static [Key], text: &str, file: &Path) -> Result<(), ConfigError> {
        self.files.push(file.to_owned());
        let document: toml::Table = text.parse().map_err(|error: toml::de::Error| ConfigError::Toml {
            file: file.to_owned(),
            line: line(text, error.span().unwrap_or_default()),
            message: error.message().to_owned(),
        })?;
        let lines = lines(text);
        let line = |path: &str| lines.get(path).copied().unwrap_or(1);
        let mut said: BTreeSet<&str> = BTreeSet::new();
        for (section, content) in document {
            let toml::Value::Table(content) = content else {
                return Err(ConfigError::unknown(keys, &section, file, line(&section)));
            };
            for (name, value) in content {
                let path = format!("{section}.{name}");
                let secret_of = path.strip_suffix("_file");
                let known = keys.iter().find(|key| key.path == path);
                let in_file = keys.iter().find(|key| key.secret && Some(key.path) == secret_of);
                let Some(key) = known.or(in_file) else {
                    return Err(ConfigError::unknown(keys, &path, file, line(&path)));
                };
                let origin = Origin::File(file.to_owned(), line(&path));
                if !said.insert(key.path) {
                    let words =
                        format!("`{0}` and `{0}_file` ({origin}) say the same: set one of them", key.path);
                    return Err(ConfigError::Conflict(words));
                }
                let text = plain_text(value).ok_or_else(|| ConfigError::Value {
                    key: key.path,
                    origin: origin.clone(),
                    expected: "a single value or a list of texts",
                })?;
                if self.given.contains_key(key.path) {
                    continue;
                }
                let text = if known.is_some() { text } else { self.read_secret(Path::new(&text))? };
                if key.secret && known.is_some() && !text.is_empty() {
                    self.private.insert(file.to_owned());
                }
                self.given.insert(key.path, Given { text, origin });
            }
        }
        Ok(())
    }

    /// Every file that was read.
    pub fn files(&self) -> &[PathBuf] {
        &self.files
    }

    /// Files with a secret in them that everybody on the machine may read or write.
    pub fn exposed(&self) -> Vec<PathBuf> {
        self.private.iter().filter(|file| is_exposed(file)).cloned().collect()
    }

    /// Says where the keys were set that a conflict names.
    #[must_use]
    pub fn located(&self, error: ConfigError) -> ConfigError {
        let ConfigError::Conflict(words) = error else { return error };
        let named = self.given.iter().filter(|(path, _)| words.contains(&format!("`{path}`")));
        let places: Vec<_> = named.map(|(path, given)| format!("`{path}` {}", given.origin)).collect();
        ConfigError::Conflict(if places.is_empty() {
            words
        } else {
            format!("{words}\n  {}", places.join(" · "))
        })
    }

    fn read_secret(&mut self, file: &Path) -> Result<String, ConfigError> {
        self.files.push(file.to_owned());
        self.private.insert(file.to_owned());
        let text = std::fs::read_to_string(file)
            .map_err(|source| ConfigError::Unreadable { file: file.to_owned(), source })?;
        Ok(text.trim_end_matches(['\r', '\n']).to_owned())
    }

    /// Reads one key as its type.
    pub(super) fn read<T: Setting>(&self, key: &Key) -> Result<T, ConfigError> {
        let given = self.given.get(key.path);
        let text = given.map_or_else(key.default, |given| given.text.clone());
        T::read(&text).ok_or_else(|| ConfigError::Value {
            key: key.path,
            origin: given.map_or(Origin::Default, |given| given.origin.clone()),
            expected: T::EXPECTS,
        })
    }

    /// Where each key's value comes from, and the value unless it is a secret.
    pub fn explain(&self, key: &Key) -> (String, Origin) {
        match self.given.get(key.path) {
            Some(given) if key.secret => ("…".to_owned(), given.origin.clone()),
            Some(given) => (given.text.clone(), given.origin.clone()),
            None => ((key.default)(), Origin::Default),
        }
    }
}

/// Whether everybody on the machine may read or write a file.
pub(crate) fn is_exposed(file: &Path) -> bool {
    std::fs::metadata(file).is_ok_and(|data| data.permissions().mode() & 0o006 != 0)
}

/// The line of each key of a document, and of each section.
fn lines(text: &str) -> BTreeMap<String, usize> {
    let mut lines = BTreeMap::new();
    let Ok(document) = toml::de::DeTable::parse(text) else { return lines };
    for (section, content) in document.get_ref() {
        lines.insert(section.get_ref().to_string(), line(text, section.span()));
        if let toml::de::DeValue::Table(content) = content.get_ref() {
            for name in content.keys() {
                let path = format!("{}.{}", section.get_ref(), name.get_ref());
                lines.insert(path, line(text, name.span()));
            }
        }
    }
    lines
}

fn line(text: &str, span: Range<usize>) -> usize {
    1 + text.bytes().take(span.start).filter(|byte| *byte == b'\n').count()
}

fn plain_text(value: toml::Value) -> Option<String> {
    match value {
        toml::Value::String(text) => Some(text),
        toml::Value::Integer(number) => Some(number.to_string()),
        toml::Value::Float(number) => Some(number.to_string()),
        toml::Value::Boolean(flag) => Some(flag.to_string()),
        toml::Value::Array(items) => {
            let items: Option<Vec<_>> = items.into_iter().map(plain_text).collect();
            Some(items?.join(","))
        }
        toml::Value::Datetime(_) | toml::Value::Table(_) => None,
    }
}

/// A configuration that cannot be used. One line each, naming what to change.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// Settings that exclude or require each other.
    #[error("{0}")]
    Conflict(String),
    /// Not TOML.
    #[error("{}:{line}: {message}", file.display())]
    Toml {
        /// The file.
        file: PathBuf,
        /// The line in it, from 1.
        line: usize,
        /// What the parser says.
        message: String,
    },
    /// A key nobody knows.
    #[error("{}:{line}: unknown key `{path}`{hint}", file.display())]
    Unknown {
        /// The key.
        path: String,
        /// The file.
        file: PathBuf,
        /// The line in it, from 1.
        line: usize,
        /// `, did you mean …`, or nothing.
        hint: String,
    },
    /// A file that cannot be read.
    #[error("cannot read {}: {source}", file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A value of the wrong shape. Its text is not shown: it may be a secret.
    #[error("`{key}` ({origin}): expected {expected}")]
    Value {
        /// The key.
        key: &'static str,
        /// Where the value came from.
        origin: Origin,
        /// What it should have been.
        expected: &'static str,
    },
}

impl ConfigError {
    fn unknown(keys: &[Key], path: &str, file: &Path, line: usize) -> Self {
        let name = path.rsplit('.').next().unwrap_or(path);
        let near = keys.iter().find(|key| key.split().1 == name || key.split().0 == path);
        let hint = near.map(|key| format!(", did you mean `{}`?", key.path)).unwrap_or_default();
        Self::Unknown { path: path.to_owned(), file: file.to_owned(), line, hint }
    }
}
