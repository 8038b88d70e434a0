//! Where a value comes from: flag, environment, file, default; in that order of precedence.

use std::{
    collections::BTreeMap,
    fmt,
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
    /// The configuration file.
    File(PathBuf),
    /// A flag.
    Flag(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::Environment(name) => write!(f, "from {name}"),
            Self::File(path) => write!(f, "from {}", path.display()),
            Self::Flag(flag) => write!(f, "from --{flag}"),
        }
    }
}

/// What was given, by key.
#[derive(Clone, Default)]
pub struct Values(BTreeMap<&'static str, Given>);

/// Values may be secrets.
impl fmt::Debug for Values {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.0.iter().map(|(key, given)| (key, &given.origin))).finish()
    }
}

impl Values {
    /// Takes a flag.
    pub fn set_flag(&mut self, key: &'static Key, text: String) {
        self.0.insert(key.path, Given { text, origin: Origin::Flag(key.flag()) });
    }

    /// Takes a secret from the file a flag names.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Unreadable`].
    pub fn set_flag_file(&mut self, key: &'static Key, file: &Path) -> Result<(), ConfigError> {
        let text = read_secret(file)?;
        self.0.insert(key.path, Given { text, origin: Origin::Flag(format!("{}-file", key.flag())) });
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
        for key in keys.iter().filter(|key| !self.0.contains_key(key.path)).collect::<Vec<_>>() {
            for name in key.env {
                let (name, text) = match (env(name), env(&format!("{name}_FILE"))) {
                    (Some(text), _) => ((*name).to_owned(), text),
                    (None, Some(file)) if key.secret => {
                        (format!("{name}_FILE"), read_secret(Path::new(&file))?)
                    }
                    _ => continue,
                };
                self.0.insert(key.path, Given { text, origin: Origin::Environment(name) });
                break;
            }
        }
        Ok(())
    }

    /// Adds what a TOML file says about keys that neither a flag nor the environment has set.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] for TOML that does not parse, for a key nobody knows and for a value of no use.
    pub fn add_toml(&mut self, keys: &'static [Key], text: &str, file: &Path) -> Result<(), ConfigError> {
        let syntax = |error: toml::de::Error| ConfigError::Toml {
            file: file.to_owned(),
            message: error.message().to_owned(),
        };
        let document: toml::Table = text.parse().map_err(syntax)?;
        for (section, content) in document {
            let toml::Value::Table(content) = content else {
                return Err(ConfigError::unknown(keys, &section, file));
            };
            for (name, value) in content {
                let path = format!("{section}.{name}");
                let key = keys.iter().find(|key| key.path == path);
                let key = key.ok_or_else(|| ConfigError::unknown(keys, &path, file))?;
                let origin = Origin::File(file.to_owned());
                let text = plain_text(value).ok_or_else(|| ConfigError::Value {
                    key: key.path,
                    origin: origin.clone(),
                    expected: "a single value or a list of texts",
                })?;
                self.0.entry(key.path).or_insert(Given { text, origin });
            }
        }
        Ok(())
    }

    /// Reads one key as its type.
    pub(super) fn read<T: Setting>(&self, key: &Key) -> Result<T, ConfigError> {
        let given = self.0.get(key.path);
        let text = given.map_or_else(key.default, |given| given.text.clone());
        T::read(&text).ok_or_else(|| ConfigError::Value {
            key: key.path,
            origin: given.map_or(Origin::Default, |given| given.origin.clone()),
            expected: T::EXPECTS,
        })
    }

    /// Where each key's value comes from, and the value unless it is a secret.
    pub fn explain(&self, key: &Key) -> (String, Origin) {
        match self.0.get(key.path) {
            Some(_) if key.secret => ("…".to_owned(), self.0[key.path].origin.clone()),
            Some(given) => (given.text.clone(), given.origin.clone()),
            None => ((key.default)(), Origin::Default),
        }
    }
}

fn read_secret(file: &Path) -> Result<String, ConfigError> {
    let text = std::fs::read_to_string(file)
        .map_err(|source| ConfigError::Unreadable { file: file.to_owned(), source })?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
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
    #[error("{}: {message}", file.display())]
    Toml {
        /// The file.
        file: PathBuf,
        /// What the parser says.
        message: String,
    },
    /// A key nobody knows.
    #[error("{}: unknown key `{path}`{hint}", file.display())]
    Unknown {
        /// The key.
        path: String,
        /// The file.
        file: PathBuf,
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
    fn unknown(keys: &[Key], path: &str, file: &Path) -> Self {
        let name = path.rsplit('.').next().unwrap_or(path);
        let near = keys.iter().find(|key| key.split().1 == name || key.split().0 == path);
        let hint = near.map(|key| format!(", did you mean `{}`?", key.path)).unwrap_or_default();
        Self::Unknown { path: path.to_owned(), file: file.to_owned(), hint }
    }
}
