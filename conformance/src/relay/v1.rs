//! The wire of clients already deployed (wire §5).

use beach_lifeguard_client::{Role, v1};
use futures::SinkExt;
use tokio_tungstenite::tungstenite::{Error, Message};
use uuid::Uuid;

use super::{
    RelayTarget, Session,
    client::{LIMIT, Socket, closed, connect, is, next, open, post},
    relay_cases,
};
use crate::{
    case::{Failure, Result, within},
    ensure,
};

relay_cases! { "v1":
    the_hello_is_answered [ "5" ] needs V1;
    messages_are_broadcast_unchanged [ "5" ] needs V1;
    a_bad_token_is_401_before_the_upgrade [ "5" ] needs V1;
    the_token_tells_time_as_nine_numbers [ "5" ] needs V1;
    versions_do_not_mix [ "5" ] needs V1;
}

async fn token(target: &RelayTarget, session: Uuid) -> Result<serde_json::Value> {
    let request = serde_json::json!({ "session_id": session, "telemetry_opt_in": false });
    let (status, text) = post(target, v1::TOKEN_PATH, &request).await?;
    ensure!(status == 200, "asking for a v1 token was answered with {status}: {text}");
    Ok(serde_json::from_str(&text)?)
}

async fn dial(target: &RelayTarget, token: &str) -> Result<Socket, Error> {
    let url = format!("{}{}?token={token}", target.relay, v1::RELAY_PATH);
    Ok(connect(target, url).await?.0)
}

async fn join(target: &RelayTarget, session: Uuid, binary: bool) -> Result<Socket> {
    let token = token(target, session).await?;
    let token = token["token"].as_str().ok_or_else(|| Failure("no token in the answer".to_owned()))?;
    let mut socket = within(LIMIT, "opening a v1 socket", dial(target, token)).await??;
    let hello = format!(
        "{{\"session_id\":\"{session}\",\"protocol_version\":1,\"compression\":\"Brotli\",\"telemetry\":\"Disabled\"}}"
    );
    socket.send(if binary { Message::binary(hello.into_bytes()) } else { Message::text(hello) }).await?;
    Ok(socket)
}

async fn admitted(target: &RelayTarget, session: Uuid, binary: bool) -> Result<Socket> {
    let mut socket = join(target, session, binary).await?;
    let Message::Text(answer) = next(&mut socket).await? else {
        return Err(Failure("the v1 hello was not answered with text".to_owned()));
    };
    let answer: serde_json::Value = serde_json::from_str(&answer)?;
    ensure!(answer["feature_bits"]["fallback_authorized"] == true, "the v1 hello was answered with {answer}");
    let compression = answer["accepted_compression"].as_str();
    ensure!(matches!(compression, Some("None" | "Brotli")), "the v1 hello was answered with {answer}");
    Ok(socket)
}

/// Connects to a session that is registered as a deployed client would, and says hello. What one writes then, all
/// others read.
///
/// # Errors
///
/// Any step that failed.
pub async fn enter_v1(target: &RelayTarget, session: Uuid) -> Result<Socket> {
    admitted(target, session, false).await
}

async fn the_hello_is_answered(target: &RelayTarget) -> Result<()> {
    let session = Session::register(target).await?.id;
    admitted(target, session, false).await?;
    admitted(target, session, true).await?;
    Ok(())
}

async fn messages_are_broadcast_unchanged(target: &RelayTarget) -> Result<()> {
    let session = Session::register(target).await?.id;
    let mut one = admitted(target, session, false).await?;
    let mut two = admitted(target, session, true).await?;
    let mut three = admitted(target, session, false).await?;
    let binary = [&[1][..], &7u64.to_be_bytes(), &3u32.to_be_bytes(), b"abc"].concat();
    for message in
        [Message::binary(binary), Message::text("zwölf"), Message::binary(vec![]), Message::text("")]
    {
        one.send(message.clone()).await?;
        for other in [&mut two, &mut three] {
            let got = next(other).await?;
            ensure!(got == message, "{message:?} was sent and {got:?} came");
        }
    }
    three.send(Message::text("back")).await?;
    ensure!(next(&mut one).await? == Message::text("back"), "a sender heard itself or something else");
    Ok(())
}

async fn a_bad_token_is_401_before_the_upgrade(target: &RelayTarget) -> Result<()> {
    for bad in ["", "nonsense", "a.b.c"] {
        match within(LIMIT, "opening a v1 socket", dial(target, bad)).await? {
            Err(Error::Http(answer)) => {
                ensure!(answer.status() == 401, "a bad token is answered with {}", answer.status())
            }
            other => return Err(Failure(format!("a bad token is answered with {other:?}"))),
        }
    }
    Ok(())
}

async fn the_token_tells_time_as_nine_numbers(target: &RelayTarget) -> Result<()> {
    let session = Session::register(target).await?.id;
    let answer = token(target, session).await?;
    let time = answer["expires_at"].as_array().map(Vec::len);
    ensure!(time == Some(9), "expires_at is {}", answer["expires_at"]);
    for field in ["guardrail_ratio", "guardrail_soft_breach", "telemetry_enabled", "fallback_authorized"] {
        ensure!(!answer[field].is_null(), "the v1 token answer has no {field}");
    }
    Ok(())
}

async fn versions_do_not_mix(target: &RelayTarget) -> Result<()> {
    let session = Session::register(target).await?;
    let _host = session.join(Role::Host).await?;
    let mut deployed = join(target, session.id, false).await?;
    is(&closed(&mut deployed).await?, 1003, "")?;
    let other = Session::register(target).await?;
    let _deployed = admitted(target, other.id, false).await?;
    let mut socket = open(target).await?;
    let hello = other.hello(&other.member(Role::Host)?).await?;
    socket.send(Message::text(hello.encode())).await?;
    is(&closed(&mut socket).await?, 1003, "")
}
