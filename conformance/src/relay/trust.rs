//! TLS towards a relay whose certificate no public authority signed.

use std::sync::Arc;

use rustls::{
    ClientConfig, RootCertStore,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, pem::PemObject},
};

use crate::{case::Result, ensure};

/// Trusts the certificates in `pem`. The provider is named: with two in the process, rustls's bare builder panics.
pub(super) fn only(pem: &[u8]) -> Result<ClientConfig> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        roots.add(certificate?)?;
    }
    ensure!(!roots.is_empty(), "there is no certificate to trust in the PEM");
    let mut config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    // A WebSocket upgrade needs it, and the control plane takes it.
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}
