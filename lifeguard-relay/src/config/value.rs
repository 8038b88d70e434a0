//! The types a setting can have, as text.

use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf, str::FromStr, time::Duration};

use url::Url;

use crate::{
    control::{Mode, Stage},
    listen::Network,
    relay::DataPath,
};

/// A type that can be read from a flag, an environment variable or a TOML value.
pub(super) trait Setting: Sized {
    /// What a person should have written, after "expected".
    const EXPECTS: &'static str;
    /// How it stands in TOML.
    const FORM: Form;

    fn read(text: &str) -> Option<Self>;
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
        }
    )+};
}

plain! {
    SocketAddr, Quoted, "an address and a port, like 127.0.0.1:9443";
    DataPath, Quoted, "direct or reference";
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
}

/// An empty text is "not set".
impl<T: Setting> Setting for Option<T> {
    const EXPECTS: &'static str = T::EXPECTS;
    const FORM: Form = Form::Quoted;

    fn read(text: &str) -> Option<Self> {
        if text.is_empty() { Some(None) } else { T::read(text).map(Some) }
    }
}

impl Setting for PathBuf {
    const EXPECTS: &'static str = "a path";
    const FORM: Form = Form::Quoted;

    fn read(text: &str) -> Option<Self> {
        Some(text.into())
    }
}

impl Setting for Vec<String> {
    const EXPECTS: &'static str = "a list";
    const FORM: Form = Form::List;

    fn read(text: &str) -> Option<Self> {
        Some(text.split(',').map(str::trim).filter(|item| !item.is_empty()).map(str::to_owned).collect())
    }
}

impl Setting for Vec<Network> {
    const EXPECTS: &'static str = "addresses or ranges like 10.0.0.0/8";
    const FORM: Form = Form::List;

    fn read(text: &str) -> Option<Self> {
        Vec::<String>::read(text)?.iter().map(|item| item.parse().ok()).collect()
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
    fn empty_is_unset() {
        assert_eq!(Option::<PathBuf>::read(""), Some(None));
        assert_eq!(Vec::<String>::read(" a, ,b "), Some(vec!["a".to_owned(), "b".to_owned()]));
    }
}
