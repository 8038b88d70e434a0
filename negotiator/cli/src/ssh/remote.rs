//! What runs at the other end of ssh, and what it answers.

use std::{
    ffi::{OsStr, OsString},
    os::unix::ffi::{OsStrExt, OsStringExt},
};

use serde::Deserialize;

/// A line of the other end's standard output. It holds a link, so it is not shown.
#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub(super) enum Answer {
    /// beach-link is not there.
    Missing,
    /// A session can be joined.
    Sharing {
        /// What it is called there.
        name: String,
        /// The first of its links.
        link: String,
    },
}

impl Answer {
    /// Reads a line; `None` for what a login prints.
    pub(super) fn read(line: &[u8]) -> Option<Self> {
        serde_json::from_slice(line).ok()
    }
}

/// Returns the one word that ssh hands to the login shell there: it starts a session in the background and prints where it
/// can be joined. `certificates`: PEM, for the session to trust. The login shell may be any that knows single quotes.
pub(super) fn script(share: &[OsString], certificates: Option<&str>, command: &[OsString]) -> OsString {
    let mut script = FIND.as_bytes().to_vec();
    match certificates {
        Some(pem) => {
            script.extend_from_slice(b"; ca=$(mktemp) || exit 1; printf '%s\\n' ");
            quote(pem.trim_end().as_bytes(), &mut script);
            script.extend_from_slice(b" > \"$ca\"; beach-link share --detach --output json --ca \"$ca\"");
        }
        None => script.extend_from_slice(b"; exec beach-link share --detach --output json"),
    }
    for word in share {
        script.push(b' ');
        quote(word.as_bytes(), &mut script);
    }
    if !command.is_empty() {
        script.extend_from_slice(b" --");
    }
    for word in command {
        script.push(b' ');
        quote(word.as_bytes(), &mut script);
    }
    if certificates.is_some() {
        // Read by then: the session can be joined.
        script.extend_from_slice(b"; status=$?; rm -f \"$ca\"; exit $status");
    }
    let mut word = b"exec sh -c ".to_vec();
    quote(&script, &mut word);
    OsString::from_vec(word)
}

/// Returns words as a person would write them in a shell.
pub(super) fn readable<'a>(words: impl IntoIterator<Item = &'a OsStr>) -> String {
    let each = words.into_iter().map(|word| {
        let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"@%+=:,./_-".contains(byte);
        if !word.is_empty() && word.as_bytes().iter().all(plain) {
            return word.to_string_lossy().into_owned();
        }
        let mut quoted = Vec::new();
        quote(word.as_bytes(), &mut quoted);
        String::from_utf8_lossy(&quoted).into_owned()
    });
    each.collect::<Vec<_>>().join(" ")
}

/// Writes one word for a shell.
fn quote(word: &[u8], out: &mut Vec<u8>) {
    out.push(b'\'');
    for byte in word {
        match byte {
            b'\'' => out.extend_from_slice(b"'\\''"),
            byte => out.push(*byte),
        }
    }
    out.push(b'\'');
}

/// A login that nobody types into has a shorter path than one that somebody does: where programs of one's own are is added.
const FIND: &str = "PATH=\"$PATH:$HOME/.local/bin:$HOME/.cargo/bin\"; \
                    command -v beach-link >/dev/null 2>&1 || { echo '{\"type\":\"missing\"}'; exit 0; }";

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    /// Runs the word as a login shell would, with a program that prints its arguments.
    fn run(word: &OsStr, shell: &str) -> String {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("beach-link");
        let text =
            "#!/bin/sh\nfor word; do printf '[%s]' \"$word\"; [ -f \"$word\" ] && cat \"$word\"; done\n";
        std::fs::write(&program, text).unwrap();
        let made = Command::new("chmod").arg("700").arg(&program).status().unwrap();
        assert!(made.success());
        let path = format!("{}:/usr/bin:/bin", folder.path().display());
        let end = Command::new(shell).arg("-c").arg(word).env("PATH", path).output().unwrap();
        String::from_utf8(end.stdout).unwrap()
    }

    fn words(words: &[&str]) -> Vec<OsString> {
        words.iter().map(OsString::from).collect()
    }

    #[test]
    fn every_argument_arrives_as_it_was_written() {
        let hostile = ["it's", "a b", "$(reboot)", "`x`", "\"", "\\", "*", "", "-n", "!x"];
        let word = script(&words(&["--pin", "ab"]), None, &words(&hostile));
        let expected: String = ["share", "--detach", "--output", "json", "--pin", "ab", "--"]
            .iter()
            .chain(&hostile)
            .map(|word| format!("[{word}]"))
            .collect();
        for shell in ["sh", "bash"] {
            assert_eq!(run(&word, shell), expected);
        }
    }

    #[test]
    fn certificates_go_along_and_are_gone_afterwards() {
        let said = run(&script(&[], Some("-----BEGIN\nx'y\n"), &[]), "sh");
        let (before, after) = said.split_once("[--ca][").unwrap();
        assert_eq!(before, "[share][--detach][--output][json]");
        let (file, text) = after.split_once(']').unwrap();
        assert_eq!(text, "-----BEGIN\nx'y\n");
        assert!(!std::path::Path::new(file).exists());
    }

    #[test]
    fn an_answer_is_told_from_what_a_login_prints() {
        let line = br#"{"type":"sharing","name":"work","program":"sh","link":"https://h/s#x","log":"/x"}"#;
        assert!(matches!(Answer::read(line), Some(Answer::Sharing { name, .. }) if name == "work"));
        assert!(matches!(Answer::read(br#"{"type":"missing"}"#), Some(Answer::Missing)));
        for other in ["Welcome!", "", "{}", r#"{"type":"sharing"}"#] {
            assert!(Answer::read(other.as_bytes()).is_none(), "{other}");
        }
    }

    #[test]
    fn what_a_person_is_to_type_can_be_typed() {
        assert_eq!(readable(["ssh", "-p", "22", "me@box", "a b"].map(OsStr::new)), "ssh -p 22 me@box 'a b'");
    }
}
