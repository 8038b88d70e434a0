//! `beach-link` in a terminal whose every byte is kept, and what of them could steer it.
#![allow(dead_code, unreachable_pub)]

use std::{
    io::Read,
    sync::{Arc, Mutex},
    thread::{self, JoinHandle},
};

use portable_pty::{Child, CommandBuilder, PtyPair, PtySize, native_pty_system};

/// What terminals have been made to do by text: titles, clipboards, answers, colours, screens, directions, nothing to see.
pub const CORPUS: &[&str] = &[
    "mallory\u{1b}]0;title\u{7}\u{1b}]2;t\u{1b}\\end",
    "mallory\u{1b}]52;c;ZXZpbA==\u{7}end",
    "mallory\u{1b}]8;;http://evil\u{1b}\\link\u{1b}]8;;\u{1b}\\end",
    "mallory\u{1b}[2J\u{1b}[H\u{1b}[31m\u{1b}[?1049h\u{1b}[6nend",
    "mallory\u{1b}P$q\"p\u{1b}\\\u{1b}_apc\u{1b}\\\u{1b}^pm\u{1b}\\\u{1b}cend",
    "mallory\u{9b}2J\u{9d}0;t\u{9c}\u{90}q\u{9c}\u{85}end",
    "mallory\r\noverwritten\rline\u{8}\u{8}\u{b}\u{c}\u{7f}\u{0}\u{e}\u{f}end",
    "mallory\u{202e}\u{202d}\u{2066}\u{2067}\u{2069}\u{200e}\u{200f}\u{61c}end",
    "mallory\u{200b}\u{200c}\u{200d}\u{2060}\u{feff}\u{ad}\u{2028}\u{2029}end",
];

/// A program in a terminal. Dropping it ends the program.
pub struct Glass {
    pair: Option<PtyPair>,
    child: Box<dyn Child + Send + Sync>,
    written: Arc<Mutex<Vec<u8>>>,
    reading: Option<JoinHandle<()>>,
}

impl Glass {
    pub fn start(arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        let size = PtySize { rows: 24, cols: 200, pixel_width: 0, pixel_height: 0 };
        let pair = native_pty_system().openpty(size).unwrap();
        let mut command = CommandBuilder::new(env!("CARGO_BIN_EXE_beach-link"));
        command.args(arguments);
        for (name, value) in environment {
            command.env(name, value);
        }
        let child = pair.slave.spawn_command(command).unwrap();
        let written = Arc::new(Mutex::new(Vec::new()));
        let mut reader = pair.master.try_clone_reader().unwrap();
        let bytes = written.clone();
        let reading = thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(count @ 1..) = reader.read(&mut buffer) {
                bytes.lock().unwrap().extend_from_slice(&buffer[..count]);
            }
        });
        Self { pair: Some(pair), child, written, reading: Some(reading) }
    }

    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// All that was written so far.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.written.lock().unwrap()).into_owned()
    }

    /// Ends the program if it goes on. Returns all that it wrote.
    pub fn finish(mut self) -> Vec<u8> {
        self.end();
        std::mem::take(&mut self.written.lock().unwrap())
    }

    fn end(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        self.pair = None;
        if let Some(reading) = self.reading.take() {
            let _ = reading.join();
        }
    }
}

impl Drop for Glass {
    fn drop(&mut self) {
        self.end();
    }
}

/// What of this could steer a terminal, beyond the ends of lines and the two sequences with which live lines are replaced.
pub fn steering(written: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(written).replace("\r\n", "");
    let mut rest = String::new();
    let mut parts = text.split("\u{1b}[");
    rest.push_str(parts.next().unwrap_or_default());
    for part in parts {
        let digits = part.trim_start_matches(|c: char| c.is_ascii_digit());
        match digits.strip_prefix(['F', 'J']) {
            Some(after) => rest.push_str(after),
            None => rest.extend(["\u{1b}[", part]),
        }
    }
    let steers = |c: &char| {
        c.is_control()
            || matches!(*c, '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
    };
    rest.chars().filter(steers).map(|c| c.escape_unicode().to_string()).collect()
}
