//! Who gets in (wire §2, §3 and §4).

use beach_lifeguard_client::{Access, ClientHello, FallbackToken, Role, control::Control};
use futures::SinkExt;
use tokio_tungstenite::tungstenite::Message;
use uuid::Uuid;

use super::{
    RelayTarget, Session,
    client::{Endpoint, closed, is, open, post},
    relay_cases,
};
use crate::{case::Result, ensure};

relay_cases! { "admission":
    a_token_admits_once [ "2" ];
    an_altered_token_is_refused [ "2" ];
    nonsense_tokens_are_refused [ "4" ];
    another_session_is_refused [ "4" ];
    another_peer_is_refused [ "4" ];
    another_role_is_refused [ "1.1" ];
    strangers_get_no_token [ "3.1" ];
    an_unknown_session_gets_no_token [ "3.6" ];
    a_session_belongs_to_its_host [ "3.2" ];
    a_refused_hello_is_not_seen_by_others [ "1.1" ];
}

async fn refused(target: &RelayTarget, hello: &ClientHello, code: u16, reason: &str) -> Result<()> {
    let mut socket = open(target).await?;
    socket.send(Message::text(hello.encode())).await?;
    is(&closed(&mut socket).await?, code, reason)
}

async fn a_token_admits_once(target: &RelayTarget) -> Result<()> {
    let session = Session::register(target).await?;
    let hello = session.hello(&session.member(Role::Host)?).await?;
    let _first = Endpoint::enter(target, &hello).await?;
    refused(target, &hello, 4500, "token_spent").await
}

async fn an_altered_token_is_refused(target: &RelayTarget) -> Result<()> {
    let session = Session::register(target).await?;
    let hello = session.hello(&session.member(Role::Host)?).await?;
    let token = hello.token.expose().to_owned();
    let body = token.rfind('.').unwrap_or(0);
    // A character of the header, of the claims and of the signature; the last one may carry unused bits.
    for at in [4, token.find('.').unwrap_or(0) + 9, body - 9, body + 9, token.len() - 9] {
        let mut altered = token.clone().into_bytes();
        altered[at] = if altered[at] == b'A' { b'B' } else { b'A' };
        let mut forged = hello.clone();
        forged.token = FallbackToken::new(String::from_utf8_lossy(&altered).into_owned());
        refused(target, &forged, 4500, "").await?;
    }
    // None of the attempts used the real one up.
    Endpoint::enter(target, &hello).await?;
    Ok(())
}

async fn nonsense_tokens_are_refused(target: &RelayTarget) -> Result<()> {
    let session = Session::register(target).await?;
    let hello = session.hello(&session.member(Role::Host)?).await?;
    // The last one is an unsigned token: {"alg":"none"} and empty claims.
    for nonsense in ["", ".", "..", "a.b.c", "a.b.c.d", "\u{e9}", "eyJhbGciOiJub25lIn0.e30."] {
        let mut forged = hello.clone();
        forged.token = FallbackToken::new(nonsense);
        refused(target, &forged, 4500, "").await?;
    }
    let mut long = hello.clone();
    long.token = FallbackToken::new("A".repeat(6_000));
    refused(target, &long, 4500, "malformed_token").await
}

async fn another_session_is_refused(target: &RelayTarget) -> Result<()> {
    let (session, other) = (Session::register(target).await?, Session::register(target).await?);
    let mut hello = session.hello(&session.member(Role::Host)?).await?;
    hello.session_id = other.id;
    refused(target, &hello, 4500, "session_mismatch").await
}

async fn another_peer_is_refused(target: &RelayTarget) -> Result<()> {
    let session = Session::register(target).await?;
    let mut hello = session.hello(&session.member(Role::Host)?).await?;
    hello.peer_id = Uuid::new_v4();
    refused(target, &hello, 4500, "peer_mismatch").await
}

async fn another_role_is_refused(target: &RelayTarget) -> Result<()> {
    let session = Session::register(target).await?;
    let mut hello = session.hello(&session.member(Role::Viewer)?).await?;
    hello.role = Role::Host;
    hello.access = Access::Full;
    refused(target, &hello, 4507, "").await
}

async fn strangers_get_no_token(target: &RelayTarget) -> Result<()> {
    let (session, other) = (Session::register(target).await?, Session::register(target).await?);
    // A member of another session: the signature covers the session.
    let (status, text) = session.ask_for_token(&other.member(Role::Viewer)?).await?;
    reason(status, &text, 401, "signature_invalid")
}

async fn an_unknown_session_gets_no_token(target: &RelayTarget) -> Result<()> {
    let session = Session::unregistered(target)?;
    let (status, text) = session.ask_for_token(&session.member(Role::Viewer)?).await?;
    reason(status, &text, 404, "unknown_session")
}

async fn a_session_belongs_to_its_host(target: &RelayTarget) -> Result<()> {
    let (session, other) = (Session::register(target).await?, Session::unregistered(target)?);
    let (status, text) = post(target, "/v1/sessions", &session.document(2).sign(other.host())).await?;
    reason(status, &text, 401, "signature_invalid")?;
    let (status, text) = post(target, "/v1/sessions", &session.document(0).sign(session.host())).await?;
    reason(status, &text, 409, "revision_stale")
}

async fn a_refused_hello_is_not_seen_by_others(target: &RelayTarget) -> Result<()> {
    let session = Session::register(target).await?;
    let mut host = session.join(Role::Host).await?;
    let mut hello = session.hello(&session.member(Role::Viewer)?).await?;
    hello.peer_id = Uuid::new_v4();
    refused(target, &hello, 4500, "peer_mismatch").await?;
    // Tickets come whoever is there.
    let told = host.control(|control| matches!(control, Control::PeerJoined(_) | Control::PeerLeft { .. }));
    let seen = tokio::time::timeout(std::time::Duration::from_millis(250), told).await;
    ensure!(seen.is_err(), "the others were told of a peer that was refused: {seen:?}");
    Ok(())
}

fn reason(status: u16, text: &str, due: u16, reason: &str) -> Result<()> {
    let body: serde_json::Value = serde_json::from_str(text)?;
    ensure!(
        status == due && body["reason"] == reason,
        "answered with {status} {text} where {due} {reason} is due"
    );
    ensure!(body["success"] == false, "a refusal says success: {text}");
    Ok(())
}
