//! `beach-link` in a real terminal: what the person sees, and the terminal as it was afterwards.

use std::{
    io::{Read, Write},
    sync::{Arc, Mutex},
    thread,
};

use beach_link::{screen::Screen, wire::Size};
use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, SlavePty, native_pty_system};

use super::until;

/// As most terminals are.
pub const USUAL: Size = Size { columns: 80, rows: 24 };

/// A terminal with `beach-link` in it.
pub struct Terminal {
    master: Box<dyn MasterPty + Send>,
    /// Keeps the terminal's settings alive after the program's end.
    _slave: Box<dyn SlavePty + Send>,
    pub child: Box<dyn Child + Send + Sync>,
    writer: Box<dyn Write + Send>,
    screen: Arc<Mutex<Screen>>,
    raw: Arc<Mutex<Vec<u8>>>,
    settings_before: String,
}

impl Terminal {
    pub fn join(link: &str, size: Size, more: &[&str]) -> Self {
        Self::start(size, &[&["join", "--loopback"], more].concat(), &[("BEACH_LINK", link)])
    }

    pub fn start(size: Size, arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        Self::run(env!("CARGO_BIN_EXE_beach-link"), size, arguments, environment)
    }

    /// Runs any program.
    pub fn run(program: &str, size: Size, arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        let pair = native_pty_system().openpty(pty_size(size)).unwrap();
        let mut command = CommandBuilder::new(program);
        command.args(arguments);
        // Neither sockets nor choices of the tester.
        command.env("XDG_RUNTIME_DIR", env!("CARGO_TARGET_TMPDIR"));
        command.env("XDG_CONFIG_HOME", env!("CARGO_TARGET_TMPDIR"));
        for (name, value) in environment {
            command.env(name, value);
        }
        let settings_before = settings(pair.master.as_ref());
        let child = pair.slave.spawn_command(command).unwrap();
        let (screen, raw) = (Arc::new(Mutex::new(Screen::new(size))), Arc::new(Mutex::new(Vec::new())));
        let mut reader = pair.master.try_clone_reader().unwrap();
        let (glass, bytes) = (screen.clone(), raw.clone());
        thread::spawn(move || {
            let mut buffer = [0; 65536];
            while let Ok(count @ 1..) = reader.read(&mut buffer) {
                glass.lock().unwrap().feed(&buffer[..count]);
                bytes.lock().unwrap().extend_from_slice(&buffer[..count]);
            }
        });
        let writer = pair.master.take_writer().unwrap();
        Self { master: pair.master, _slave: pair.slave, child, writer, screen, raw, settings_before }
    }

    pub fn type_text(&mut self, text: &str) {
        self.writer.write_all(text.as_bytes()).unwrap();
        self.writer.flush().unwrap();
    }

    pub fn text(&self) -> String {
        self.screen.lock().unwrap().text()
    }

    /// The title, if it was set since it was last asked for.
    pub fn take_title(&self) -> Option<String> {
        self.screen.lock().unwrap().take_title()
    }

    /// All that was written so far.
    pub fn output(&self) -> String {
        String::from_utf8_lossy(&self.raw.lock().unwrap()).into_owned()
    }

    #[track_caller]
    pub fn sees(&self, text: &str) {
        let seen = || self.text().contains(text).then_some(());
        until(&format!("{text:?} was not seen"), seen);
    }

    pub fn resize(&self, size: Size) {
        self.screen.lock().unwrap().resize(size);
        self.master.resize(pty_size(size)).unwrap();
    }

    /// Waits for the program's end; the terminal must be as it was before.
    #[track_caller]
    pub fn ends_with(&mut self, code: u32) {
        let status = until("the program goes on", || self.child.try_wait().unwrap());
        assert_eq!(status.exit_code(), code, "{status:?}: {}", self.text());
        assert_eq!(settings(self.master.as_ref()), self.settings_before);
        // What was written last may not have been read yet.
        until("the first screen did not come back", || {
            let raw = String::from_utf8_lossy(&self.raw.lock().unwrap()).into_owned();
            (raw.matches("\x1b[?1049h").count() == raw.matches("\x1b[?1049l").count()).then_some(())
        });
    }
}

fn settings(master: &dyn MasterPty) -> String {
    format!("{:?}", master.get_termios().unwrap())
}

fn pty_size(size: Size) -> PtySize {
    PtySize { rows: size.rows, cols: size.columns, pixel_width: 0, pixel_height: 0 }
}
