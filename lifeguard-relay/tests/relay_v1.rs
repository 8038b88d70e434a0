//! The deployed wire, exchanged byte for byte.
#![allow(clippy::unwrap_used, reason = "a test ends where something is not as it should be")]

mod relay_support;

use beach_lifeguard_client::{Access, Claims, CloseCode, FallbackToken, Role, token::Capability};
use relay_support::{Client, Heard, Rig};
use tokio_tungstenite::tungstenite::Message;
use uuid::Uuid;

fn hello(session: Uuid) -> String {
    format!(
        r#"{{"session_id":"{session}","protocol_version":1,"compression":"Brotli","telemetry":"Disabled"}}"#
    )
}

/// A deployed client's token opens sockets of its own wire.
fn of_v1(claims: &mut Claims) {
    claims.capabilities = vec![Capability::V1.label().to_owned()];
}

async fn join(rig: &Rig, session: Uuid, access: Access) -> Client {
    let token = rig.token(session, Uuid::new_v4(), Role::Viewer, |c| {
        of_v1(c);
        c.access = access;
    });
    let mut client = connect(rig, &token).await.unwrap();
    // The deployed clients send it as binary.
    client.say(Message::binary(hello(session).into_bytes())).await;
    assert_eq!(
        client.hear().await,
        Heard::Text(
            r#"{"accepted_compression":"None","feature_bits":{"telemetry_enabled":false,"fallback_authorized":true}}"#
                .to_owned()
        )
    );
    client
}

async fn connect(rig: &Rig, token: &FallbackToken) -> Result<Client, u16> {
    let path = format!("/ws?token={}", token.expose());
    Client::connect(rig.address, &path, &[]).await.map_err(|status| status.as_u16())
}

/// The next message, as the library sees it: v1 frames are not ours to read.
async fn raw(client: &mut Client) -> Message {
    use futures::StreamExt;
    client.ws.next().await.unwrap().unwrap()
}

#[tokio::test]
async fn text_and_binary_reach_the_others_unchanged_with_their_type() {
    let rig = Rig::start().await;
    let session = Uuid::new_v4();
    let mut a = join(&rig, session, Access::Full).await;
    let mut b = join(&rig, session, Access::Full).await;
    let mut c = join(&rig, session, Access::Full).await;
    // type 1, sequence 7, length 5, payload
    let binary = [&[1u8][..], &7u64.to_be_bytes(), &5u32.to_be_bytes(), b"hello"].concat();
    a.say(Message::binary(binary.clone())).await;
    a.say(Message::text("a line ✓")).await;
    a.say(Message::binary(vec![9; 300_000])).await;
    for other in [&mut b, &mut c] {
        assert_eq!(raw(other).await, Message::binary(binary.clone()));
        assert_eq!(raw(other).await, Message::text("a line ✓"));
        assert_eq!(raw(other).await, Message::binary(vec![9; 300_000]));
    }
    b.say(Message::text("back")).await;
    // Its own words do not come back to it: the next thing `a` hears is `b`.
    assert_eq!(raw(&mut a).await, Message::text("back"));
    rig.stop().await;
}

#[tokio::test]
async fn what_a_read_only_viewer_says_goes_nowhere() {
    let rig = Rig::start().await;
    let session = Uuid::new_v4();
    let mut reader = join(&rig, session, Access::ReadOnly).await;
    let mut writer = join(&rig, session, Access::Full).await;
    let mut other = join(&rig, session, Access::Full).await;
    reader.say(Message::text("rm -rf /")).await;
    writer.say(Message::text("first")).await;
    assert_eq!(raw(&mut reader).await, Message::text("first"));
    // The reader has been served by now, so its message would have come before this one.
    reader.say(Message::text("again")).await;
    writer.say(Message::text("second")).await;
    assert_eq!(raw(&mut other).await, Message::text("first"));
    assert_eq!(raw(&mut other).await, Message::text("second"));
    rig.stop().await;
}

#[tokio::test]
async fn a_bad_token_is_401_before_the_upgrade() {
    let rig = Rig::start().await;
    let session = Uuid::new_v4();
    assert_eq!(connect(&rig, &FallbackToken::new("nonsense")).await.err(), Some(401));
    assert_eq!(Client::connect(rig.address, "/ws", &[]).await.err().map(|s| s.as_u16()), Some(401));
    let expired = rig.token(session, Uuid::new_v4(), Role::Viewer, |c| {
        of_v1(c);
        c.exp = c.iat - 60;
    });
    assert_eq!(connect(&rig, &expired).await.err(), Some(401));
    let spent = rig.token(session, Uuid::new_v4(), Role::Viewer, of_v1);
    assert!(connect(&rig, &spent).await.is_ok());
    assert_eq!(connect(&rig, &spent).await.err(), Some(401));
    rig.stop().await;
}

#[tokio::test]
async fn the_two_wires_never_mix_in_one_session() {
    let rig = Rig::start().await;
    let session = Uuid::new_v4();
    let _v1 = join(&rig, session, Access::Full).await;
    let v2 = rig.hello(session, Role::Host);
    assert_eq!(
        rig.turned_away(Message::text(v2.encode())).await,
        (CloseCode::UNSUPPORTED.get(), "wire_mismatch".to_owned())
    );
    let session = Uuid::new_v4();
    let _v2 = rig.join(session, Role::Host).await;
    let token = rig.token(session, Uuid::new_v4(), Role::Viewer, of_v1);
    let mut v1 = connect(&rig, &token).await.unwrap();
    v1.say(Message::text(hello(session))).await;
    assert_eq!(v1.closed().await, (CloseCode::UNSUPPORTED.get(), "wire_mismatch".to_owned()));
    rig.stop().await;
}

#[tokio::test]
async fn v1_can_be_switched_off() {
    let mut config = relay_support::config();
    config.v1 = false;
    let rig = Rig::with(config, relay_support::roomy()).await;
    let token = rig.token(Uuid::new_v4(), Uuid::new_v4(), Role::Viewer, of_v1);
    assert_eq!(connect(&rig, &token).await.err(), Some(410));
    rig.stop().await;
}

#[tokio::test]
async fn an_idle_v1_client_hears_the_words_it_knows() {
    let mut config = relay_support::config();
    config.patience.heartbeat = std::time::Duration::ZERO;
    config.patience.idle = std::time::Duration::from_secs(1);
    let rig = Rig::with(config, relay_support::roomy()).await;
    let mut client = join(&rig, Uuid::new_v4(), Access::Full).await;
    assert_eq!(client.closed().await, (1008, "idle timeout".to_owned()));
    rig.stop().await;
}
