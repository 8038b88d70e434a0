#![expect(clippy::disallowed_methods, reason = "an anchor for a hand-driven clock")]
