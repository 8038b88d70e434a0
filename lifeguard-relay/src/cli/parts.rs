//! What a process is made of, from its settings: one way for a start and for `config check`.

use std::{path::PathBuf, sync::Arc};

use beach_lifeguard_client::token::{KeyError, KeyId, TokenSigner, TokenVerifier};
use clap::ValueEnum;

use super::{failure::Failure, keys::parse_public};
use crate::{
    config::{ConfigError, Settings, Values, is_exposed},
    control::TokenKeys,
    listen::Certificates,
    page::{Page, PageError},
    store::{self, Store},
};

/// A command that runs with settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Plane {
    /// The relay plane.
    Serve,
    /// The control plane.
    ControlPlane,
}

/// Makes everything that a start makes of its settings, and opens nothing. Without a plane, what is set must be of use,
/// and nothing must be set.
pub(super) fn check(settings: &Settings, values: &Values, plane: Option<Plane>) -> Result<(), Failure> {
    if plane == Some(Plane::Serve) || !settings.public_keys.is_empty() {
        verifier(settings)?;
    }
    if plane == Some(Plane::ControlPlane) || settings.signing_key.is_some() {
        signer(settings)?;
    }
    if plane != Some(Plane::Serve) {
        settings.control().map_err(|error| values.located(error))?;
    }
    certificates(settings)?;
    page(settings, plane == Some(Plane::ControlPlane))?;
    store(settings)?;
    Ok(())
}

/// What a relay trusts.
pub(super) fn verifier(settings: &Settings) -> Result<TokenVerifier, Failure> {
    if settings.public_keys.is_empty() {
        return Err(conflict(
            "`tokens.public_keys` is empty: name the key that signs tokens (`keys generate`)",
        ));
    }
    let keys = settings.public_keys.iter().map(|entry| parse_public(entry)).collect::<Result<Vec<_>, _>>()?;
    Ok(TokenVerifier::new(&settings.issuer, keys))
}

/// What a control plane signs with.
pub(super) fn signer(settings: &Settings) -> Result<TokenKeys, Failure> {
    let Some(pem) = &settings.signing_key else {
        return Err(conflict(
            "`tokens.signing_key` is not set: make one with `keys generate`, name it in `tokens.signing_key_file`",
        ));
    };
    let unusable = |key: &'static str| move |error: KeyError| Failure::Input(format!("`{key}`: {error}"));
    let id = KeyId::parse(settings.key_id.as_str()).map_err(unusable("tokens.key_id"))?;
    let signer = TokenSigner::from_pem(id, pem.as_bytes()).map_err(unusable("tokens.signing_key"))?;
    Ok(TokenKeys::new(&settings.issuer, signer))
}

pub(super) fn certificates(settings: &Settings) -> Result<Option<Arc<Certificates>>, Failure> {
    match (&settings.tls_certificate, &settings.tls_key) {
        (Some(certificate), Some(key)) => Ok(Some(Arc::new(Certificates::from_files(certificate, key)?))),
        _ => Ok(None),
    }
}

pub(super) fn page(settings: &Settings, control_plane: bool) -> Result<Page, Failure> {
    Page::new(&settings.page(control_plane)).map_err(unserved)
}

pub(super) fn store(settings: &Settings) -> Result<Arc<dyn Store>, Failure> {
    let authority = settings.store_authority()?;
    store::open(settings.redis_url.as_deref(), authority.as_deref())
        .map_err(|error| conflict(&format!("`store.redis_url`: {error}")))
}

/// Files with secrets that everybody on the machine may read or write.
pub(super) fn exposed(settings: &Settings, values: &Values) -> Vec<PathBuf> {
    let key = settings.tls_key.iter().filter(|file| is_exposed(file)).cloned();
    values.exposed().into_iter().chain(key).collect()
}

pub(super) fn unserved(error: PageError) -> Failure {
    conflict(&format!("`page.folder`: {error}"))
}

pub(super) fn conflict(words: &str) -> Failure {
    ConfigError::Conflict(words.to_owned()).into()
}

pub(super) const EXPOSED: &str =
    "holds a secret, and everybody on this machine may read or write it (chmod 640)";
