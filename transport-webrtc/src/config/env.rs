//! The environment names that Beach's operators know.

use std::num::NonZeroUsize;

use serde::Deserialize;

use super::{ChannelLabels, IceServer, IceUrl, Scheme, WebRtcConfig};
use crate::error::ConfigError;

impl WebRtcConfig {
    /// Reads the environment. Unset names keep their defaults.
    ///
    /// | name | meaning |
    /// |---|---|
    /// | `BEACH_ICE_SERVERS` | URLs separated by commas, or a JSON array `[{"urls", "username", "credential"}]` as browsers take it |
    /// | `BEACH_ICE_PUBLIC_IP`, `BEACH_ICE_PUBLIC_HOST` | address of a 1:1 NAT in front of this machine |
    /// | `BEACH_DISABLE_NAT_HINT` | `1`: ignore the two above |
    /// | `BEACH_ICE_PORT_START`, `BEACH_ICE_PORT_END` | UDP ports to bind, inclusive; both or neither |
    /// | `BEACH_WEBRTC_DISABLE_STUN` | `1`: ignore `stun:` URLs, and ask no TURN server for this machine's address |
    /// | `BEACH_WEBRTC_MAX_CHUNK_BYTES` | largest message on a data channel |
    /// | `BEACH_DC_CTRL_LABEL`, `BEACH_DC_TERM_LABEL` | names of the channels |
    /// | `BEACH_DC_TERM_UNRELIABLE` | `0`: no channel of its own for the datagram lane |
    ///
    /// # Errors
    ///
    /// [`ConfigError::Environment`] naming the variable that cannot be read.
    pub fn from_env() -> Result<Self, ConfigError> {
        Self::from_vars(|name| std::env::var(name).ok())
    }

    /// Reads the same names from `lookup`.
    ///
    /// # Errors
    ///
    /// As [`from_env`](Self::from_env).
    pub fn from_vars(lookup: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let lookup = |name: &str| lookup(name).filter(|value| !value.trim().is_empty());
        let mut config = Self::default();
        if let Some(value) = lookup("BEACH_ICE_SERVERS") {
            config.ice_servers =
                ice_servers(&value).ok_or(ConfigError::Environment { name: "BEACH_ICE_SERVERS" })?;
        }
        config.stun = switch(&lookup, "BEACH_WEBRTC_DISABLE_STUN")? != Some(true);
        if !config.stun {
            for server in &mut config.ice_servers {
                server.urls.retain(|url| !matches!(url.scheme, Scheme::Stun | Scheme::Stuns));
            }
            config.ice_servers.retain(|server| !server.urls.is_empty());
        }
        if switch(&lookup, "BEACH_DISABLE_NAT_HINT")? != Some(true) {
            config.public_host = lookup("BEACH_ICE_PUBLIC_IP").or_else(|| lookup("BEACH_ICE_PUBLIC_HOST"));
        }
        config.ports =
            match (number(&lookup, "BEACH_ICE_PORT_START")?, number(&lookup, "BEACH_ICE_PORT_END")?) {
                (None, None) => None,
                (Some(start), Some(end)) => Some(start..=end),
                (Some(_), None) => return Err(ConfigError::Environment { name: "BEACH_ICE_PORT_END" }),
                (None, Some(_)) => return Err(ConfigError::Environment { name: "BEACH_ICE_PORT_START" }),
            };
        if let Some(bytes) = number::<NonZeroUsize>(&lookup, "BEACH_WEBRTC_MAX_CHUNK_BYTES")? {
            config.max_chunk = bytes;
        }
        let labels = ChannelLabels::default();
        config.labels = ChannelLabels {
            ctrl: lookup("BEACH_DC_CTRL_LABEL").unwrap_or(labels.ctrl),
            term: lookup("BEACH_DC_TERM_LABEL").unwrap_or(labels.term),
        };
        if let Some(unreliable) = switch(&lookup, "BEACH_DC_TERM_UNRELIABLE")? {
            config.datagram_channel = unreliable;
        }
        config.validate()?;
        Ok(config)
    }
}

fn switch(lookup: &impl Fn(&str) -> Option<String>, name: &'static str) -> Result<Option<bool>, ConfigError> {
    match lookup(name).as_deref().map(str::trim) {
        None => Ok(None),
        Some("1" | "true" | "yes" | "on") => Ok(Some(true)),
        Some("0" | "false" | "no" | "off") => Ok(Some(false)),
        Some(_) => Err(ConfigError::Environment { name }),
    }
}

fn number<T: std::str::FromStr>(
    lookup: &impl Fn(&str) -> Option<String>,
    name: &'static str,
) -> Result<Option<T>, ConfigError> {
    lookup(name).map(|value| value.trim().parse().map_err(|_| ConfigError::Environment { name })).transpose()
}

fn ice_servers(text: &str) -> Option<Vec<IceServer>> {
    if text.trim_start().starts_with('[') {
        let entries: Vec<Entry> = serde_json::from_str(text).ok()?;
        return entries.into_iter().map(Entry::server).collect();
    }
    let urls: Result<Vec<IceUrl>, _> = text.split(',').map(|url| url.trim().parse()).collect();
    Some(vec![IceServer::new(urls.ok()?)])
}

/// One entry of the array that browsers call `iceServers`.
#[derive(Deserialize)]
struct Entry {
    urls: Urls,
    #[serde(default)]
    username: String,
    #[serde(default)]
    credential: String,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Urls {
    One(String),
    Many(Vec<String>),
}

impl Entry {
    fn server(self) -> Option<IceServer> {
        let urls = match self.urls {
            Urls::One(url) => vec![url],
            Urls::Many(urls) => urls,
        };
        let urls: Result<Vec<IceUrl>, _> = urls.iter().map(|url| url.parse()).collect();
        Some(IceServer::new(urls.ok()?).with_credentials(self.username, self.credential))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(vars: &[(&str, &str)]) -> Result<WebRtcConfig, ConfigError> {
        WebRtcConfig::from_vars(|name| {
            vars.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn servers_are_read_as_a_list_and_as_json() {
        let list = read(&[("BEACH_ICE_SERVERS", "stun:a, stun:b:99")]).unwrap();
        assert_eq!(list.ice_servers[0].urls.len(), 2);
        let json = r#"[{"urls":"stun:a"},{"urls":["turn:b","turns:b"],"username":"u","credential":"c"}]"#;
        let config = read(&[("BEACH_ICE_SERVERS", json), ("BEACH_WEBRTC_DISABLE_STUN", "1")]).unwrap();
        assert_eq!(config.ice_servers.len(), 1);
        assert_eq!((config.ice_servers[0].username.as_str(), config.ice_servers[0].urls.len()), ("u", 2));
    }

    #[test]
    fn every_name_reaches_its_field() {
        let config = read(&[
            ("BEACH_ICE_PUBLIC_HOST", "example.org"),
            ("BEACH_ICE_PORT_START", "4000"),
            ("BEACH_ICE_PORT_END", "4010"),
            ("BEACH_WEBRTC_MAX_CHUNK_BYTES", "4096"),
            ("BEACH_DC_CTRL_LABEL", "a"),
            ("BEACH_DC_TERM_LABEL", "b"),
            ("BEACH_DC_TERM_UNRELIABLE", "0"),
        ])
        .unwrap();
        assert_eq!(config.public_host.as_deref(), Some("example.org"));
        assert_eq!((config.ports, config.max_chunk.get()), (Some(4000..=4010), 4096));
        assert_eq!((config.labels.ctrl.as_str(), config.labels.term.as_str()), ("a", "b"));
        assert!(!config.datagram_channel);
        let hidden = read(&[("BEACH_ICE_PUBLIC_IP", "192.0.2.1"), ("BEACH_DISABLE_NAT_HINT", "1")]);
        assert_eq!(hidden.unwrap().public_host, None);
    }

    #[test]
    fn what_cannot_be_read_is_named_without_its_value() {
        for (name, value) in [
            ("BEACH_ICE_SERVERS", "turn:a?transport=x"),
            ("BEACH_ICE_SERVERS", "[{"),
            ("BEACH_ICE_PORT_START", "x"),
            ("BEACH_WEBRTC_DISABLE_STUN", "maybe"),
            ("BEACH_WEBRTC_MAX_CHUNK_BYTES", "0"),
        ] {
            assert_eq!(read(&[(name, value)]).unwrap_err(), ConfigError::Environment { name }, "{value}");
        }
        let half = read(&[("BEACH_ICE_PORT_START", "1")]).unwrap_err();
        assert_eq!(half, ConfigError::Environment { name: "BEACH_ICE_PORT_END" });
    }
}
