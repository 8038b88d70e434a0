//! A certificate authority of the laboratory's own, as a company has one.

use std::{
    fs,
    path::{Path, PathBuf},
};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};

use crate::trouble::Trouble;

/// An authority that no system trusts unless told.
#[derive(Debug)]
pub struct Authority {
    /// Its certificate, PEM.
    pub certificate: PathBuf,
    issuer: Issuer<'static, KeyPair>,
}

/// A server's certificate and key, PEM.
#[derive(Debug, Clone)]
pub struct Identity {
    /// The chain.
    pub certificate: PathBuf,
    /// The private key.
    pub key: PathBuf,
}

impl Authority {
    /// Makes one; its certificate goes to `folder`.
    ///
    /// # Errors
    ///
    /// [`Trouble::Io`].
    pub fn make(folder: &Path) -> Result<Self, Trouble> {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, AUTHORITY);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().map_err(made)?;
        let pem = params.self_signed(&key).map_err(made)?.pem();
        let certificate = folder.join("authority.pem");
        fs::write(&certificate, pem).map_err(Trouble::io("the authority's certificate"))?;
        Ok(Self { certificate, issuer: Issuer::new(params, key) })
    }

    /// Signs a certificate for `names`.
    ///
    /// # Errors
    ///
    /// [`Trouble::Io`].
    pub fn sign(&self, folder: &Path, names: &[&str]) -> Result<Identity, Trouble> {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).map_err(made)?;
        params.distinguished_name.push(DnType::CommonName, "service");
        let key = KeyPair::generate().map_err(made)?;
        let pem = params.signed_by(&key, &self.issuer).map_err(made)?.pem();
        let identity = Identity { certificate: folder.join("service.pem"), key: folder.join("service.key") };
        let write = || {
            fs::write(&identity.certificate, pem)?;
            fs::write(&identity.key, key.serialize_pem())
        };
        write().map_err(Trouble::io("the service's certificate"))?;
        Ok(identity)
    }

    /// Its certificate's text.
    ///
    /// # Errors
    ///
    /// [`Trouble::Io`].
    pub fn pem(&self) -> Result<String, Trouble> {
        fs::read_to_string(&self.certificate).map_err(Trouble::io("the authority's certificate"))
    }
}

fn made(error: rcgen::Error) -> Trouble {
    Trouble::io("a certificate")(std::io::Error::other(error))
}

/// Its name, which an error about trust must tell.
pub const AUTHORITY: &str = "Field Laboratory CA";
