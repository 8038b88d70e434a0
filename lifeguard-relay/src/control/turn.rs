//! Credentials for TURN servers, made from a secret shared with them: "TURN REST API", as coturn's
//! `use-auth-secret` checks it. The user name is an expiry and a pseudonym, the password its HMAC-SHA1.

use std::time::{SystemTime, UNIX_EPOCH};

use axum::{
    Json,
    extract::{State, rejection::JsonRejection},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use beach_lifeguard_client::{
    api::{TurnCredentials, TurnRequest},
    membership::Purpose,
    reason::Reason,
};
use hmac::{Hmac, Mac};
use sha1::Sha1;
use sha2::Sha256;
use uuid::Uuid;

use super::{
    config::{Secret, TurnConfig},
    entitlement::Unentitled,
    plane::ControlPlane,
    refusal::Refused,
};

/// `POST /turn/credentials`.
pub(super) async fn credentials(
    State(control): State<ControlPlane>,
    body: Result<Json<TurnRequest>, JsonRejection>,
) -> Result<Json<TurnCredentials>, Refused> {
    let issued = control.turn(body.map(|Json(body)| body)).await;
    control.0.metrics.turn_requested(match &issued {
        Ok(_) => "issued",
        Err(Reason::TurnUnconfigured) => "unconfigured",
        Err(Reason::TurnUnentitled | Reason::EntitlementRequired | Reason::EntitlementInvalid) => {
            "unentitled"
        }
        Err(Reason::MembershipInvalid | Reason::UnknownSession) => "membership",
        Err(_) => "error",
    });
    Ok(issued.map(Json)?)
}

impl ControlPlane {
    async fn turn(&self, body: Result<TurnRequest, JsonRejection>) -> Result<TurnCredentials, Reason> {
        let config = &self.0.config.turn;
        let Some(secret) = config.secrets.first().filter(|_| !config.urls.is_empty()) else {
            return Err(Reason::TurnUnconfigured);
        };
        let request = body.map_err(|_| Reason::InvalidRequest)?;
        if self.0.entitlements.are_required() {
            let wanted: Vec<&str> = config.entitlements.iter().map(String::as_str).collect();
            let checked = self.0.entitlements.check(request.entitlement_proof.as_deref(), &wanted).await;
            checked.map_err(|unentitled| match unentitled {
                Unentitled::Missing => Reason::TurnUnentitled,
                other => other.reason(),
            })?;
        }
        self.prove(Purpose::Token, request.session_id, &request.proof).await?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_err(|_| Reason::Internal)?.as_secs();
        Ok(sign(config, secret, request.proof.peer_id, now))
    }
}

fn sign(config: &TurnConfig, secret: &Secret, peer: Uuid, now: u64) -> TurnCredentials {
    let username = format!("{}:{}", now + config.ttl, pseudonym(secret, peer));
    let credential = password(secret, &username);
    TurnCredentials {
        username,
        credential,
        ttl: config.ttl,
        urls: config.urls.clone(),
        realm: config.realm.clone(),
    }
}

fn password(secret: &Secret, username: &str) -> String {
    // HMAC takes keys of any length (RFC 2104 §2), here and below.
    let mut mac = Hmac::<Sha1>::new_from_slice(secret.expose().as_bytes()).expect("any key length is legal");
    mac.update(username.as_bytes());
    STANDARD.encode(mac.finalize().into_bytes())
}

/// TURN servers log user names; quotas need the same one for the same peer, and nobody needs the peer.
fn pseudonym(secret: &Secret, peer: Uuid) -> String {
    let mut mac =
        Hmac::<Sha256>::new_from_slice(secret.expose().as_bytes()).expect("any key length is legal");
    mac.update(b"beach/1/turn-pseudonym");
    mac.update(peer.as_bytes());
    mac.finalize().into_bytes()[..8].iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_what_turn_servers_compute() {
        // From `openssl dgst -sha1 -hmac north -binary | base64`.
        let password = password(&Secret::new("north"), "1433895918:ninefingers");
        assert_eq!(password, "jy8hTxmOO7UtEKXqSkSlvakPVYA=");
    }

    #[test]
    fn a_name_is_an_expiry_and_the_same_pseudonym_for_the_same_peer() {
        let config = TurnConfig { urls: vec!["turn:a".to_owned()], ttl: 120, ..TurnConfig::default() };
        let (secret, peer) = (Secret::new("north"), Uuid::from_u128(1));
        let name = |peer, now| sign(&config, &secret, peer, now).username;
        let (expiry, alias) =
            name(peer, 1_433_895_798).split_once(':').map(|(e, a)| (e.to_owned(), a.to_owned())).unwrap();
        assert_eq!(expiry, "1433895918");
        assert!(alias.len() == 16 && !peer.simple().to_string().contains(&alias), "{alias}");
        assert_eq!(name(peer, 1_433_895_799), format!("1433895919:{alias}"), "one peer, one quota");
        assert!(!name(Uuid::from_u128(2), 1_433_895_798).contains(&alias));
    }
}
