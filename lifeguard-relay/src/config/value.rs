//! The types a setting can have, as text.

use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf, str::FromStr, time::Duration};

use url::Url;

use crate::{
    control::{Mode, Stage},
    listen::Network,
};

/// A type that can be read from a flag, an environment variable or a TOML value.
pub(super) trait Setting: Sized {
    /// What a person should have written, after "expected".
    const EXPECTS: &'static str;
    /// How it stands in TOML.
    const FORM: Form;

    fn read(text: &str) -> Option<Self>;
    /// As [`read`](Self::read) reads it.
    fn write(&self) -> String;
}

/// How a value stands in TOML.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// `8` or `true`
    Bare,
    /// `["a", "b"]`; one string with commas elsewhere
    List,
    /// `"text"`
    Quoted,
}

macro_rules! plain {
    ($($type:ty, $form:ident, $expects:literal;)+) => {$(
        impl Setting for $type {
            const EXPECTS: &'static str = $expects;
            const FORM: Form = Form::$form;

            fn read(text: &str) -> Option<Self> {
                Self::from_str(text).ok()
            }

            fn write(&self) -> String {
                self.to_string()
            }
        }
    )+};
}

plain! {
    SocketAddr, Quoted, "an address and a port, like 127.0.0.1:9443";
    Mode, Quoted, "production or development";
    Stage, Quoted, "dogfood, limited or general";
    Url, Quoted, "a URL";
    u8, Bare, "a whole number up to 255";
    u16, Bare, "a whole number up to 65535";
    u32, Bare, "a whole number";
    usize, Bare, "a whole number";
    f64, Bare, "a number";
}

impl Setting for String {
    const EXPECTS: &'static str = "text";
    const FORM: Form = Form::Quoted;

    fn read(text: &str) -> Option<Self> {
        Some(text.to_owned())
    }

    fn write(&self) -> String {
        self.clone()
    }
}

impl Setting for bool {
    const EXPECTS: &'static str = "true or false";
    const FORM: Form = Form::Bare;

    fn read(text: &str) -> Option<Self> {
        match text.to_ascii_lowercase().as_str() {
            "true" | "1" | "on" | "yes" => Some(true),
            "false" | "0" | "off" | "no" => Some(false),
            _ => None,
        }
    }

    fn write(&self) -> String {
        self.to_string()
    }
}

/// An empty text is "not set".
impl<T: Setting> Setting for Option<T> {
    const EXPECTS: &'static str = T::EXPECTS;
    const FORM: Form = Form::Quoted;

    fn read(text: &str) -> Option<Self> {
        if text.is_empty() { Some(None) } else { T::read(text).map(Some) }
    }

    fn write(&self) -> String {
        self.as_ref().map_or_else(String::new, T::write)
    }
}

impl Setting for PathBuf {
    const EXPECTS: &'static str = "a path";
    const FORM: Form = Form::Quoted;

    fn read(text: &str) -> Option<Self> {
        Some(text.into())
    }

    fn write(&self) -> String {
        self.display().to_string()
    }
}

impl Setting for Vec<String> {
    const EXPECTS: &'static str = "a list";
    const FORM: Form = Form::List;

    fn read(text: &str) -> Option<Self> {
        Some(text.split(',').map(str::trim).filter(|item| !item.is_empty()).map(str::to_owned).collect())
    }

    fn write(&self) -> String {
        self.join(",")
    }
}

impl Setting for Vec<Network> {
    const EXPECTS: &'static str = "addresses or ranges like 10.0.0.0/8";
    const FORM: Form = Form::List;

    fn read(text: &str) -> Option<Self> {
        Vec::<String>::read(text)?.iter().map(|item| item.parse().ok()).collect()
    }

    fn write(&self) -> String {
        self.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
    }
}

impl Setting for BTreeMap<String, u8> {
    const EXPECTS: &'static str = "names with percentages, like beta=25";
    const FORM: Form = Form::List;

    fn read(text: &str) -> Option<Self> {
        let read = |item: &String| {
            let (name, percent) = item.split_once('=')?;
            Some((name.trim().to_owned(), percent.trim().parse().ok()?))
        };
        Vec::<String>::read(text)?.iter().map(read).collect()
    }

    fn write(&self) -> String {
        self.iter().map(|(name, percent)| format!("{name}={percent}")).collect::<Vec<_>>().join(",")
    }
}

/// `500ms`, `5s`, `2m`, `24h`; a bare number is seconds, as in the prototype's variables.
impl Setting for Duration {
    const EXPECTS: &'static str = "a time like 500ms, 5s, 2m or 24h";
    const FORM: Form = Form::Quoted;

    fn read(text: &str) -> Option<Self> {
        let (number, unit) = split_unit(text);
        let number: u64 = number.parse().ok()?;
        let millis = match unit {
            "ms" => 1,
            "" | "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            _ => return None,
        };
        number.checked_mul(millis).map(Duration::from_millis)
    }

    fn write(&self) -> String {
        match self.as_millis() {
            0 => "0s".to_owned(),
            millis if millis % 3_600_000 == 0 => format!("{}h", millis / 3_600_000),
            millis if millis % 1_000 == 0 => format!("{}s", millis / 1_000),
            millis => format!("{millis}ms"),
        }
    }
}

/// A number of bytes: `65536`, `64KiB`, `1MiB`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bytes(
    /// How many.
    pub usize,
);

impl Setting for Bytes {
    const EXPECTS: &'static str = "a size like 65536, 64KiB or 1MiB";
    const FORM: Form = Form::Quoted;

    fn read(text: &str) -> Option<Self> {
        let (number, unit) = split_unit(text);
        let number: usize = number.parse().ok()?;
        let factor = match unit {
            "" | "B" => 1,
            "KiB" => 1 << 10,
            "MiB" => 1 << 20,
            _ => return None,
        };
        number.checked_mul(factor).map(Bytes)
    }

    fn write(&self) -> String {
        match self.0 {
            bytes if bytes > 0 && bytes % (1 << 20) == 0 => format!("{}MiB", bytes >> 20),
            bytes if bytes > 0 && bytes % (1 << 10) == 0 => format!("{}KiB", bytes >> 10),
            bytes => bytes.to_string(),
        }
    }
}

fn split_unit(text: &str) -> (&str, &str) {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    (&text[..end], text[end..].trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_sizes_carry_units() {
        assert_eq!(Duration::read("500ms"), Some(Duration::from_millis(500)));
        assert_eq!(Duration::read("5"), Some(Duration::from_secs(5)));
        assert_eq!(Duration::read("24h"), Some(Duration::from_secs(86_400)));
        assert_eq!(Bytes::read("64KiB"), Some(Bytes(65_536)));
        for bad in ["", "s", "5 days", "-1s", "99999999999999999999s", "1e3"] {
            assert_eq!(Duration::read(bad), None, "{bad:?}");
        }
        assert_eq!(Bytes::read("64kb"), None);
    }

    #[test]
    fn what_is_written_is_read() {
        for time in ["0s", "500ms", "90s", "120s", "1h", "24h"] {
            assert_eq!(Duration::read(time).unwrap().write(), time);
        }
        for size in ["0", "1000", "3KiB", "512KiB", "1MiB", "1025KiB"] {
            assert_eq!(Bytes::read(size).unwrap().write(), size);
        }
        for networks in ["", "10.0.0.0/8,192.0.2.1/32", "2001:db8::/32"] {
            assert_eq!(Vec::<Network>::read(networks).unwrap().write(), networks);
        }
    }

    #[test]
    fn empty_is_unset() {
        assert_eq!(Option::<PathBuf>::read(""), Some(None));
        assert_eq!(Vec::<String>::read(" a, ,b "), Some(vec!["a".to_owned(), "b".to_owned()]));
    }
}
