//! TLS for the streams this crate opens. The provider is named: with two in the process, rustls's
//! bare builder panics.

use std::sync::Arc;

use rustls::{
    ClientConfig, RootCertStore,
    crypto::{CryptoProvider, aws_lc_rs},
};
use rustls_pki_types::CertificateDer;

/// Trusts the web's roots and `extra`; certificates that cannot be parsed are left out.
pub(crate) fn client_config(extra: &[CertificateDer<'static>]) -> Result<Arc<ClientConfig>, rustls::Error> {
    let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    roots.add_parsable_certificates(extra.iter().cloned());
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

/// Gives the process a default provider, unless the binary chose one: the library's DTLS asks for it
/// and panics without.
pub(crate) fn ensure_default_provider() {
    if CryptoProvider::get_default().is_none() {
        // An error means that another thread was first, which is as good.
        let _ = aws_lc_rs::default_provider().install_default();
    }
}
