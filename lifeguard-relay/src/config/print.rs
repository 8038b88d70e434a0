//! The configuration as a person reads it.

use std::fmt::Write;

use super::{KEYS, Key, Values, value::Form};

/// The whole default configuration as a TOML file, each key with its help.
pub fn default_toml() -> String {
    let mut out = String::from(
        "# beach-lifeguard: every key with its default. Flags and environment variables win over this file.\n",
    );
    let mut section = "";
    for key in KEYS {
        let (of, name) = key.split();
        if of != section {
            section = of;
            let _ = write!(out, "\n[{section}]\n");
        }
        for line in key.help {
            let _ = writeln!(out, "#{line}");
        }
        let _ = writeln!(out, "# flag --{}, environment {}", key.flag(), key.env.join(" or "));
        if key.secret {
            let _ = writeln!(
                out,
                "# or {name}_file = \"FILE\", with --{}-file or {}_FILE: from a file of its own",
                key.flag(),
                key.env[0]
            );
        }
        let _ = writeln!(out, "{name} = {}\n", toml_value(key, &(key.default)()));
    }
    out.truncate(out.trim_end().len());
    out.push('\n');
    out
}

/// What is set to something else than its default, and where: the answer of `config check`.
pub fn checked(values: &Values) -> String {
    let mut out = String::new();
    for key in KEYS {
        let (text, origin) = values.explain(key);
        if origin != super::Origin::Default {
            let _ = writeln!(out, "{} = {}  ({origin})", key.path, toml_value(key, &text));
        }
    }
    out
}

fn toml_value(key: &Key, text: &str) -> String {
    let quoted = |text: &str| toml::Value::String(text.to_owned()).to_string();
    match key.form {
        Form::Bare => text.to_owned(),
        Form::Quoted => quoted(text),
        Form::List => {
            let items: Vec<_> = text.split(',').filter(|item| !item.is_empty()).map(quoted).collect();
            format!("[{}]", items.join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{fs::Permissions, os::unix::fs::PermissionsExt, path::Path};

    use super::*;
    use crate::config::{ConfigError, Origin, Settings};

    #[test]
    fn the_printed_default_is_a_configuration_and_is_the_default() {
        let mut values = Values::default();
        values.add_toml(KEYS, &default_toml(), Path::new("default.toml")).unwrap();
        Settings::read(&values).unwrap();
        for key in KEYS {
            let (text, origin) = values.explain(key);
            assert_ne!(origin, Origin::Default, "{} is not printed", key.path);
            if !key.secret {
                assert_eq!(text, (key.default)(), "{}", key.path);
            }
        }
    }

    #[test]
    fn every_key_has_one_place_one_flag_and_its_own_variables() {
        let mut seen = std::collections::BTreeSet::new();
        for key in KEYS {
            assert!(key.path.contains('.') && !key.help.is_empty(), "{}", key.path);
            for name in key.env.iter().map(|s| (*s).to_owned()).chain([key.flag()]) {
                assert!(seen.insert(name.clone()), "{name} twice");
            }
        }
    }

    #[test]
    fn flags_win_over_environment_and_environment_over_the_file() {
        let file = Path::new("relay.toml");
        let toml = "[listen]\naddr = \"127.0.0.1:1\"\n[relay]\nhello_timeout = \"1s\"\nidle_timeout = \"7s\"";
        let mut values = Values::default();
        values.set_flag(KEYS.iter().find(|key| key.path == "listen.addr").unwrap(), "127.0.0.1:3".to_owned());
        let env = |name: &str| match name {
            "BEACH_LIFEGUARD_LISTEN_ADDR" => Some("127.0.0.1:2".to_owned()),
            "BEACH_LIFEGUARD_HANDSHAKE_TIMEOUT_SECS" => Some("2".to_owned()),
            _ => None,
        };
        values.add_environment(KEYS, env).unwrap();
        values.add_toml(KEYS, toml, file).unwrap();
        let settings = Settings::read(&values).unwrap();
        assert_eq!(settings.listen_addr.port(), 3);
        assert_eq!(settings.hello_timeout.as_secs(), 2);
        assert_eq!(settings.idle_timeout.as_secs(), 7);
    }

    #[test]
    fn mistakes_are_named_with_their_place() {
        let file = Path::new("relay.toml");
        let error = |toml: &str| {
            let mut values = Values::default();
            let read = values.add_toml(KEYS, toml, file).and_then(|()| Settings::read(&values).map(|_| ()));
            read.unwrap_err().to_string()
        };
        assert_eq!(
            error("[relay]\nhello_timeout = \"soon\""),
            "`relay.hello_timeout` (from relay.toml:2): expected a time like 500ms, 5s, 2m or 24h"
        );
        assert_eq!(
            error("[listen]\nhello_timeout = \"5s\""),
            "relay.toml:2: unknown key `listen.hello_timeout`, did you mean `relay.hello_timeout`?"
        );
        assert!(error("\n\n[relay").starts_with("relay.toml:3: "), "{}", error("\n\n[relay"));
        assert!(error("\nsurprise = 1").starts_with("relay.toml:2: unknown key `surprise`"));
        let both = error("[admin]\ntoken = \"a\"\ntoken_file = \"/nowhere\"");
        assert!(both.contains("`admin.token`") && both.contains("`admin.token_file`"), "{both}");
    }

    #[test]
    fn a_conflict_says_where_its_sides_were_set() {
        let mut values = Values::default();
        values
            .add_environment(KEYS, |name| (name == "BEACH_LIFEGUARD_TLS_KEY").then(|| "/key.pem".to_owned()))
            .unwrap();
        let toml = "[listen]\n\n# TLS\ntls_certificate = \"/certificate.pem\"";
        values.add_toml(KEYS, toml, Path::new("relay.toml")).unwrap();
        let conflict = ConfigError::Conflict("`listen.tls_certificate`, `listen.tls_key`".to_owned());
        let told = values.located(conflict).to_string();
        assert!(told.contains("`listen.tls_certificate` from relay.toml:4"), "{told}");
        assert!(told.contains("`listen.tls_key` from BEACH_LIFEGUARD_TLS_KEY"), "{told}");
    }

    #[test]
    fn secrets_come_from_files_and_are_never_shown() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        std::fs::write(&path, "s3cret\n").unwrap();
        let mut values = Values::default();
        let env = |name: &str| {
            (name == "BEACH_LIFEGUARD_ADMIN_TOKEN_FILE").then(|| path.to_str().unwrap().to_owned())
        };
        values.add_environment(KEYS, env).unwrap();
        assert_eq!(Settings::read(&values).unwrap().admin_token, Some("s3cret".to_owned()));
        assert!(!checked(&values).contains("s3cret") && !format!("{values:?}").contains("s3cret"));

        let mut named = Values::default();
        let toml = format!("[admin]\ntoken_file = {:?}", path.to_str().unwrap());
        let file = folder.path().join("relay.toml");
        named.add_toml(KEYS, &toml, &file).unwrap();
        assert_eq!(Settings::read(&named).unwrap().admin_token, Some("s3cret".to_owned()));
        assert_eq!(named.files(), [file, path.clone()]);
        let mode = |mode| std::fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        mode(0o640);
        assert!(named.exposed().is_empty());
        mode(0o644);
        assert_eq!(named.exposed(), [path]);
    }
}
