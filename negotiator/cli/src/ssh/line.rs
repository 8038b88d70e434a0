//! What stands behind `beach-link ssh`: ssh's own options, the host, the command.

use std::{
    ffi::{OsStr, OsString},
    os::unix::ffi::OsStrExt,
};

use crate::exit::Failure;

/// A command line for ssh, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    /// Passed to ssh as they are.
    pub(super) options: Vec<OsString>,
    /// As ssh takes it: a name of its configuration, or user and host.
    pub(super) host: OsString,
    /// What runs there; empty for the login shell.
    pub(super) command: Vec<OsString>,
}

impl Line {
    /// Takes a command line apart.
    ///
    /// # Errors
    ///
    /// [`Failure::Usage`] without a host, or for options behind it.
    pub(super) fn read(words: &[OsString]) -> Result<Self, Failure> {
        let mut rest = words.iter();
        let mut options = Vec::new();
        let host = loop {
            let Some(word) = rest.next() else { return Err(Failure::Usage(NO_HOST.to_owned())) };
            match value_of(word) {
                Value::None => break word.clone(),
                Value::Inside => options.push(word.clone()),
                Value::Behind => {
                    options.push(word.clone());
                    options.extend(rest.next().cloned());
                }
            }
        };
        if host.is_empty() || host == "--" {
            return Err(Failure::Usage(NO_HOST.to_owned()));
        }
        let command = match rest.as_slice() {
            [dashes, command @ ..] if dashes == "--" => command,
            [option, ..] if option.as_bytes().starts_with(b"-") => {
                let option = option.display();
                return Err(Failure::Usage(format!(
                    "{option} stands behind the host: options stand before it, a command behind two dashes"
                )));
            }
            command => command,
        };
        Ok(Self { options, host, command: command.to_vec() })
    }
}

/// Where the value of an option is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Value {
    /// In the next word.
    Behind,
    /// In the same word, or there is none.
    Inside,
    /// It is no option.
    None,
}

/// Of letters that stand together the first that takes a value takes the rest of the word, or the next word.
fn value_of(word: &OsStr) -> Value {
    match word.as_bytes() {
        [b'-', letters @ ..] if !letters.is_empty() && letters != b"-" => {
            match letters.iter().position(|letter| WITH_VALUE.contains(letter)) {
                Some(place) if place + 1 == letters.len() => Value::Behind,
                _ => Value::Inside,
            }
        }
        _ => Value::None,
    }
}

/// The options of OpenSSH that take a value: ssh(1).
const WITH_VALUE: &[u8] = b"BbcDEeFIiJLlmOoPpQRSWw";

const NO_HOST: &str = "no host: beach-link ssh [OPTIONS] [SSH OPTIONS] HOST [-- COMMAND]";

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<OsString> {
        text.split_whitespace().map(OsString::from).collect()
    }

    #[test]
    fn options_host_and_command_are_told_apart() {
        for (text, options, host, command) in [
            ("box", "", "box", ""),
            ("me@box -- htop -d 5", "", "me@box", "htop -d 5"),
            ("box make -j4", "", "box", "make -j4"),
            ("-p 2222 -vi key box -- vim", "-p 2222 -vi key", "box", "vim"),
            ("-p2222 -oPort=1 -4A -J jump box", "-p2222 -oPort=1 -4A -J jump", "box", ""),
            ("-o ProxyCommand=x box -- -x", "-o ProxyCommand=x", "box", "-x"),
        ] {
            let expected = Line { options: words(options), host: host.into(), command: words(command) };
            assert_eq!(Line::read(&words(text)).unwrap(), expected, "{text}");
        }
    }

    #[test]
    fn without_a_host_and_with_options_behind_it_the_usage_is_told() {
        for text in ["", "-p 22", "-v", "-p", "-- box"] {
            assert!(matches!(Line::read(&words(text)), Err(Failure::Usage(_))), "{text}");
        }
        let said = Line::read(&words("box -p 22")).unwrap_err().to_string();
        assert!(said.starts_with("-p stands behind the host"), "{said}");
    }
}
