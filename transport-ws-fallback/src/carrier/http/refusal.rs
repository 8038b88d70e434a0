//! What a relay says no with over HTTP.

use transport_core::Text;

/// The reason in a refusal of the relay's; `None` when somebody else says it.
pub(crate) fn reason_in(body: &[u8]) -> Option<Text> {
    let refusal: Refusal = serde_json::from_slice(body).ok()?;
    (!refusal.success).then(|| Text::new(refusal.reason))
}

/// What the relay says no with (`docs/wire.md` §1.7).
#[derive(serde::Deserialize)]
struct Refusal {
    success: bool,
    reason: String,
}

/// Bytes of a refusal at most.
pub(crate) const MAX_REFUSAL: usize = 4 << 10;
