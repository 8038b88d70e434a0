//! The process's TLS provider.

use rustls::crypto::{CryptoProvider, aws_lc_rs};

/// Gives the process a default provider, unless the binary chose one: the library's DTLS asks for it
/// and panics without.
pub(crate) fn ensure_default_provider() {
    if CryptoProvider::get_default().is_none() {
        // An error means that another thread was first, which is as good.
        let _ = aws_lc_rs::default_provider().install_default();
    }
}
