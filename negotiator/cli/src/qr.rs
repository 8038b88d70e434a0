//! A link as a picture that a telephone reads from the screen.

use qrcode::{EcLevel, QrCode, render::unicode::Dense1x2};

/// Draws `link` for a terminal of so many columns, two modules in a character: light ones are drawn, since most
/// terminals are dark. Where it cannot be drawn, says why.
pub fn picture(link: &str, columns: u16) -> String {
    // The lowest level of correction: a screen is not scratched, and the picture is smaller.
    let Ok(code) = QrCode::with_error_correction_level(link, EcLevel::L) else {
        return "the link is too long for a QR code".to_owned();
    };
    let width = code.width() + 2 * QUIET;
    if width > usize::from(columns) {
        return format!("the terminal is too narrow for the QR code: it takes {width} columns");
    }
    code.render::<Dense1x2>().dark_color(Dense1x2::Light).light_color(Dense1x2::Dark).build()
}

/// Modules of the margin on each side, as the standard wants (ISO/IEC 18004).
const QUIET: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_fits_a_usual_terminal_and_a_narrow_one_is_told() {
        let link = format!("https://beach.example/s#{}", "x".repeat(150));
        let drawn = picture(&link, 80);
        let widths: Vec<usize> = drawn.lines().map(|line| line.chars().count()).collect();
        assert!(widths.len() < 40 && widths.iter().all(|width| *width == widths[0] && *width <= 80));
        assert!(drawn.starts_with("█████"), "the margin is light");
        assert!(picture(&link, 40).contains("too narrow"));
        assert!(picture(&"x".repeat(8_000), 80).contains("too long"));
    }
}
