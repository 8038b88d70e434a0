//! What is printed: recordings of programs with the screens that xterm made of them, and lines that scroll.

use std::fmt::Write;

macro_rules! recording {
    ($name:literal) => {
        (
            $name,
            include_bytes!(concat!("../../../negotiator/cli/src/screen/corpus/", $name)).as_slice(),
            include_str!(concat!("../../../negotiator/cli/src/screen/corpus/", $name, ".xterm")),
        )
    };
}

/// A name, what was printed on 80x24, and what xterm showed.
pub const CORPUS: [(&str, &[u8], &str); 9] = [
    recording!("attributes"),
    recording!("drawing"),
    recording!("erasing"),
    recording!("less"),
    recording!("regions"),
    recording!("tmux"),
    recording!("tput"),
    recording!("vim"),
    recording!("wraps"),
];

/// Returns `count` lines of `width` letters, with another colour every ten letters if they are `coloured`.
pub fn lines(count: usize, width: usize, coloured: bool) -> Vec<u8> {
    let mut text = String::new();
    for line in 0..count {
        for column in 0..width {
            if coloured && column % 10 == 0 {
                let _ = write!(text, "\x1b[3{}m", (line + column / 10) % 8);
            }
            text.push(char::from(b'a' + u8::try_from((line + column) % 26).unwrap_or(0)));
        }
        text.push_str("\x1b[m\r\n");
    }
    text.into_bytes()
}
