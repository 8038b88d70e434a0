//! What is wrong with bytes that are no message.

/// Why bytes are not a [`Message`](super::Message).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadMessage {
    /// Not even a kind.
    #[error("an empty message")]
    Empty,
    /// A kind that is not in the table.
    #[error("unknown kind {0}")]
    Kind(u8),
    /// Too short or too long for its kind.
    #[error("a message of kind {kind} with the wrong length")]
    Length {
        /// The kind.
        kind: u8,
    },
    /// A terminal that is smaller or larger than one may be shared.
    #[error("a message of kind {kind} with a terminal of {columns}×{rows}")]
    Size {
        /// The kind.
        kind: u8,
        /// The columns it names.
        columns: u16,
        /// The rows it names.
        rows: u16,
    },
    /// Text that is not UTF-8.
    #[error("a message of kind {kind} whose text is not UTF-8")]
    Text {
        /// The kind.
        kind: u8,
    },
    /// A code outside its set.
    #[error("a message of kind {kind} with the unknown code {code}")]
    Value {
        /// The kind.
        kind: u8,
        /// The code.
        code: u8,
    },
}
