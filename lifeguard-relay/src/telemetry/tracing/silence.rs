//! What libraries must not say: at their fullest some of them print what a client sent.

use ::tracing::Metadata;

/// Whether a line or span may be recorded at all. Asked before every other filter, so that no `RUST_LOG`
/// gets round it.
pub fn fit_to_print(metadata: &Metadata<'_>) -> bool {
    !is_silent(metadata.target())
}

fn is_silent(target: &str) -> bool {
    SILENT.iter().any(|name| {
        let rest = target.strip_prefix(name);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
    })
}

/// Targets, with everything below them, and what they would print.
const SILENT: [&str; 6] = [
    // Why a body could not be read, with the words of the body.
    "axum::rejection",
    // Requests and answers as they are on the wire.
    "h2",
    "hyper::proto",
    // Handshake messages.
    "rustls",
    // Whole messages, a hello with its token among them, and request lines with a v1 token.
    "tokio_tungstenite",
    "tungstenite",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_covers_what_is_below_it_and_nothing_beside_it() {
        for silent in ["tungstenite", "tungstenite::protocol::frame", "axum::rejection", "hyper::proto::h1"] {
            assert!(is_silent(silent), "{silent}");
        }
        for heard in ["tungstenites", "axum", "axum::serve", "hyper", "lifeguard_relay::app", ""] {
            assert!(!is_silent(heard), "{heard}");
        }
    }
}
