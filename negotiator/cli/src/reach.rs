//! Whose certificates are trusted, and through which proxy everything goes.

use std::{fs, path::PathBuf};

use base64::{Engine, engine::general_purpose::STANDARD};
use clap::Args;
use negotiator::{OutboundConfig, ProxyMode};

use crate::exit::Failure;

/// How the control plane, TURN servers and the relay are reached.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Reaching the service")]
pub struct ReachArgs {
    /// Trust the certificates in FILE, PEM or DER, besides those that the system trusts: a company's own authority, a
    /// relay's own certificate. May be repeated.
    #[arg(long, value_name = "FILE", env = "BEACH_CA")]
    pub ca: Vec<PathBuf>,
    /// Go through this CONNECT proxy, http://USER:PASSWORD@HOST:PORT, whatever HTTPS_PROXY, HTTP_PROXY, ALL_PROXY
    /// and NO_PROXY say. A password is better kept in BEACH_PROXY: arguments can be seen by others.
    #[arg(long, value_name = "URL", env = "BEACH_PROXY", hide_env_values = true)]
    pub proxy: Option<String>,
    /// Go through no proxy, whoever names one.
    #[arg(long)]
    pub no_proxy: bool,
}

impl ReachArgs {
    /// Turns the arguments into the library's configuration.
    ///
    /// # Errors
    ///
    /// [`Failure::Usage`] naming what cannot be.
    pub fn config(&self) -> Result<OutboundConfig, Failure> {
        let mut config = OutboundConfig::default();
        for file in &self.ca {
            let name = file.display().to_string();
            let bytes = fs::read(file).map_err(|error| Failure::Usage(format!("--ca {name}: {error}")))?;
            let added = config.trust.add_roots(&name, &bytes);
            added.map_err(|error| Failure::Usage(format!("--ca: {error}")))?;
        }
        if self.no_proxy {
            config.proxy = ProxyMode::Direct;
        } else if let Some(url) = &self.proxy {
            // The text may hold a password, so it is not repeated.
            let url = url.parse().map_err(|error| Failure::Usage(format!("--proxy: {error}")))?;
            config.proxy = ProxyMode::Explicit(url);
        }
        Ok(config)
    }

    /// Returns the trusted certificates as one PEM text, for a program on another machine; `None` where none is named.
    ///
    /// # Errors
    ///
    /// [`Failure::Usage`] naming a file that cannot be read.
    pub fn certificates(&self) -> Result<Option<String>, Failure> {
        let mut texts = Vec::new();
        for file in &self.ca {
            let bytes = fs::read(file)
                .map_err(|error| Failure::Usage(format!("--ca {}: {error}", file.display())))?;
            texts.push(match String::from_utf8(bytes) {
                Ok(text) => text.trim_end().to_owned(),
                Err(binary) => format!(
                    "-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----",
                    STANDARD.encode(binary.as_bytes())
                ),
            });
        }
        Ok((!texts.is_empty()).then(|| texts.join("\n")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(args: &ReachArgs) -> String {
        args.config().unwrap_err().to_string()
    }

    #[test]
    fn a_file_without_a_certificate_and_a_bad_proxy_are_told() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("ca.pem");
        let args = ReachArgs { ca: vec![file.clone()], ..ReachArgs::default() };
        assert!(said(&args).contains("ca.pem: No such file"));
        fs::write(&file, "nonsense").unwrap();
        assert!(said(&args).contains("the root certificate from") && said(&args).contains("ca.pem"));
        let proxy = Some("socks5://ada:sesame@h:1".to_owned());
        let told = said(&ReachArgs { proxy, ..ReachArgs::default() });
        assert!(told.starts_with("--proxy: ") && !told.contains("sesame"), "{told}");
    }

    #[test]
    fn no_proxy_has_the_last_word() {
        let proxy = Some("10.0.0.1:3128".to_owned());
        let mut args = ReachArgs { proxy, ..ReachArgs::default() };
        assert!(matches!(args.config().unwrap().proxy, ProxyMode::Explicit(_)));
        args.no_proxy = true;
        assert_eq!(args.config().unwrap().proxy, ProxyMode::Direct);
        assert_eq!(ReachArgs::default().config().unwrap().proxy, ProxyMode::Environment);
    }
}
