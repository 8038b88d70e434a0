//! Credentials for TURN servers, made from a secret shared with them: "TURN REST API", as coturn's
//! `use-auth-secret` checks it. The user name is an expiry and a pseudonym, the password its HMAC-SHA1.

use std::{
    net::{IpAddr, Ipv6Addr},
    time::{SystemTime, UNIX_EPOCH},
};

use aws_lc_rs::hmac::{self as legacy, HMAC_SHA1_FOR_LEGACY_USE_ONLY};
use axum::{
    Json,
    extract::{Extension, State, rejection::JsonRejection},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use beach_lifeguard_client::{
    api::{TurnCredentials, TurnRequest},
    membership::Purpose,
    reason::Reason,
};
use hmac::{Hmac, Mac};
use sha2::Sha256;
use uuid::Uuid;

use super::{
    config::{Secret, TurnConfig},
    entitlement::Unentitled,
    plane::ControlPlane,
    refusal::Refused,
};
use crate::listen::Client;

/// `POST /turn/credentials`.
pub(super) async fn credentials(
    State(control): State<ControlPlane>,
    client: Option<Extension<Client>>,
    body: Result<Json<TurnRequest>, JsonRejection>,
) -> Result<Json<TurnCredentials>, Refused> {
    let address = client.map(|Extension(client)| client.address);
    let issued = control.turn(body.map(|Json(body)| body), address).await;
    control.0.metrics.turn_requested(match &issued {
        Ok(TurnCredentials { withheld: Some(_), .. }) => "stun_only",
        Ok(_) => "issued",
        Err(Reason::TurnUnconfigured) => "unconfigured",
        Err(Reason::TurnUnentitled | Reason::EntitlementRequired | Reason::EntitlementInvalid) => {
            "unentitled"
        }
        Err(Reason::Internal | Reason::StoreUnavailable | Reason::EntitlementUnavailable) => "error",
        Err(Reason::InvalidRequest) => "error",
        Err(_) => "membership",
    });
    Ok(issued.map(Json)?)
}

impl ControlPlane {
    async fn turn(
        &self,
        body: Result<TurnRequest, JsonRejection>,
        address: Option<IpAddr>,
    ) -> Result<TurnCredentials, Reason> {
        let (turn, stun) = (&self.0.config.turn, &self.0.config.stun);
        let secret = turn.secrets.first().filter(|_| !turn.urls.is_empty());
        if secret.is_none() && stun.urls.is_empty() {
            return Err(Reason::TurnUnconfigured);
        }
        let request = body.map_err(|_| Reason::InvalidRequest)?;
        let granted = match secret {
            Some(secret) => self.entitled_to_turn(&request).await.map(|()| secret),
            None => Err(Reason::TurnUnconfigured),
        };
        if let Err(reason) = granted
            && (stun.urls.is_empty() || reason == Reason::EntitlementUnavailable)
        {
            return Err(reason);
        }
        self.prove(Purpose::Turn, request.session_id, &request.proof).await?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_err(|_| Reason::Internal)?.as_secs();
        let answer = match granted {
            Ok(secret) => sign(turn, secret, (request.session_id, address), now),
            Err(reason) => TurnCredentials { withheld: Some(reason), ..TurnCredentials::default() },
        };
        Ok(TurnCredentials { stun_urls: stun.urls.clone(), ..answer })
    }

    /// Says whether the account may use TURN, where accounts are asked at all.
    async fn entitled_to_turn(&self, request: &TurnRequest) -> Result<(), Reason> {
        if !self.0.entitlements.are_required() {
            return Ok(());
        }
        let wanted: Vec<&str> = self.0.config.turn.entitlements.iter().map(String::as_str).collect();
        let checked = self.0.entitlements.check(request.entitlement_proof.as_deref(), &wanted).await;
        checked.map(drop).map_err(|unentitled| match unentitled {
            Unentitled::Missing => Reason::TurnUnentitled,
            other => other.reason(),
        })
    }
}

fn sign(
    config: &TurnConfig,
    secret: &Secret,
    (session, address): (Uuid, Option<IpAddr>),
    now: u64,
) -> TurnCredentials {
    let username = format!("{}:{}", now + config.ttl, pseudonym(secret, session, address));
    let credential = password(secret, &username);
    TurnCredentials {
        username,
        credential,
        ttl: config.ttl,
        urls: config.urls.clone(),
        realm: config.realm.clone(),
        ..TurnCredentials::default()
    }
}

fn password(secret: &Secret, username: &str) -> String {
    let key = legacy::Key::new(HMAC_SHA1_FOR_LEGACY_USE_ONLY, secret.expose().as_bytes());
    STANDARD.encode(legacy::sign(&key, username.as_bytes()))
}

/// TURN servers count their quotas by it, so it is made of what is not had for the asking: a viewer draws a new key, and
/// with it a new name, as often as it likes, but has its session and its network. They also log it, and nobody needs to know
/// either. Behind another service's listener the network is not known.
fn pseudonym(secret: &Secret, session: Uuid, address: Option<IpAddr>) -> String {
    // HMAC takes keys of any length (RFC 2104 §2).
    let mut mac =
        Hmac::<Sha256>::new_from_slice(secret.expose().as_bytes()).expect("any key length is legal");
    mac.update(b"beach/2/turn-pseudonym");
    mac.update(session.as_bytes());
    mac.update(&address.map_or([0; 16], prefix));
    mac.finalize().into_bytes()[..8].iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What one subscriber has: one IPv4 address, or an IPv6 /56.
fn prefix(address: IpAddr) -> [u8; 16] {
    match address.to_canonical() {
        IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 72)).octets(),
    }
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
    fn a_name_is_an_expiry_and_the_same_pseudonym_for_one_session_and_one_network() {
        let config = TurnConfig { urls: vec!["turn:a".to_owned()], ttl: 120, ..TurnConfig::default() };
        let (secret, session) = (Secret::new("north"), Uuid::from_u128(1));
        let name = |session, address: &str, now| {
            sign(&config, &secret, (session, address.parse().ok()), now).username
        };
        let first = name(session, "192.0.2.1", 1_433_895_798);
        let (expiry, alias) = first.split_once(':').unwrap();
        assert_eq!(expiry, "1433895918");
        assert!(alias.len() == 16 && !session.simple().to_string().contains(alias), "{alias}");
        let again = name(session, "::ffff:192.0.2.1", 1_433_895_799);
        assert_eq!(again, format!("1433895919:{alias}"), "one network, one quota");
        let alias = |session, address| name(session, address, 0).split_once(':').unwrap().1.to_owned();
        assert_eq!(alias(session, "2001:db8:0:1::1"), alias(session, "2001:db8:0:ff::9"), "one /56");
        let all = [
            alias(session, "192.0.2.1"),
            alias(session, "192.0.2.2"),
            alias(session, "2001:db8:0:1::1"),
            alias(session, "2001:db8:0:100::1"),
            alias(session, "unknown"),
            alias(Uuid::from_u128(2), "192.0.2.1"),
        ];
        assert_eq!(all.iter().collect::<std::collections::BTreeSet<_>>().len(), all.len());
    }
}
