//! What a person sets before `beach-link` starts: environment, flags, and the clock on the wall.

use std::path::Path;

/// Environment, flags and clock of one `beach-link`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Setting {
    pub(super) environment: Vec<(String, String)>,
    pub(super) arguments: Vec<String>,
    pub(super) clock: Option<String>,
    pub(super) command: Vec<String>,
}

impl Setting {
    /// Sets an environment variable.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Adds a flag.
    #[must_use]
    pub fn arg(mut self, argument: &str) -> Self {
        self.arguments.push(argument.to_owned());
        self
    }

    /// Shares this command in place of `cat`.
    #[must_use]
    pub fn command(mut self, words: &[&str]) -> Self {
        self.command = words.iter().map(|word| (*word).to_owned()).collect();
        self
    }

    /// Trusts the certificates in a file, the way OpenSSL's users say so.
    #[must_use]
    pub fn trusting(self, certificates: &Path) -> Self {
        self.env("SSL_CERT_FILE", &certificates.display().to_string())
    }

    /// Sets the clock off by so much, in `faketime`'s words: `+10m`.
    #[must_use]
    pub fn clock(mut self, offset: &str) -> Self {
        self.clock = Some(offset.to_owned());
        self
    }

    /// The program and its arguments in front of `beach-link`, and `beach-link` itself.
    pub(super) fn prefix(&self, program: &Path) -> Vec<String> {
        let clock = self.clock.iter().flat_map(|offset| ["faketime", "--exclude-monotonic", "-f", offset]);
        let mut words: Vec<String> = clock.map(str::to_owned).collect();
        words.push(program.display().to_string());
        words
    }
}
