//! What a member with a valid link does against everybody else, by a full link and by a read-only one. None of it has an
//! effect on anybody but itself: two honest members talk through the relay meanwhile, and lose nothing.

#[path = "../subjects/conversation.rs"]
mod conversation;
#[path = "../subjects/dev.rs"]
#[allow(dead_code, reason = "shared with the kit's own suites")]
mod dev;
mod stage;

use std::time::{Duration, Instant};

use beach_lifeguard_client::{
    Access, Lane, LinkNumber, PeerAddr, Role,
    control::Control,
    frame::Window,
    membership::{MembershipProof, PublicKey, Purpose},
};
use bytes::Bytes;
use conformance::{Result, attacker::Refused, ensure, relay::Endpoint};
use stage::Stage;
use transport_core::{
    Generation, TransportId,
    signaling::{ByeReason, Message},
};
use uuid::Uuid;

/// Runs each attack by both kinds of link.
macro_rules! attacks {
    ($($attack:ident)+) => {
        mod by_a_full_link {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $attack() {
                super::Stage::set(super::Access::Full).await.survives(super::$attack).await;
            })+
        }

        mod by_a_read_only_link {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $attack() {
                super::Stage::set(super::Access::ReadOnly).await.survives(super::$attack).await;
            })+
        }
    };
}

attacks! {
    nobody_enters_as_host_or_as_somebody_else
    nobody_gets_a_token_of_the_host_or_of_somebody_else
    nobody_gets_more_access_than_the_link_has
    a_proof_is_good_once_for_its_purpose_and_as_it_was_made
    nobody_takes_another_place_at_the_relay
    only_the_host_evicts
    a_room_filled_by_one_link_has_room_for_another
    knocks_that_lead_nowhere_keep_nobody_out
    mailboxes_do_not_grow
    goodbyes_and_losses_concern_their_sender_alone
    a_handshake_of_a_stranger_ends_nothing_but_its_link
    a_token_opens_its_own_wire_only
    a_revoked_link_is_out_within_two_seconds
}

fn refused(code: u16, label: &str) -> Refused {
    Refused { code, label: label.to_owned() }
}

/// Makes a proof in which another's key stands.
fn in_the_name_of(key: PublicKey, proof: MembershipProof) -> MembershipProof {
    MembershipProof { key, ..proof }
}

async fn nobody_enters_as_host_or_as_somebody_else(stage: &Stage) -> Result<()> {
    let attacker = stage.attacker();
    let as_host = attacker.prove_as_host(Purpose::Signaling);
    let entered = attacker.enter(as_host.clone()).await?.map(drop);
    ensure!(entered == Err(refused(4500, "not_host")), "{entered:?}");
    let host = attacker.fragment().host;
    for forged in [in_the_name_of(host, as_host), in_the_name_of(host, attacker.prove(Purpose::Signaling))] {
        let entered = attacker.enter(forged).await?.map(drop);
        ensure!(entered == Err(refused(4500, "signature_invalid")), "{entered:?}");
    }
    stage.somebody_else_joins().await
}

async fn nobody_gets_a_token_of_the_host_or_of_somebody_else(stage: &Stage) -> Result<()> {
    let attacker = stage.attacker();
    let as_host = attacker.prove_as_host(Purpose::Token);
    let host = attacker.fragment().host;
    let another = attacker.somebody_else()?.prove(Purpose::Token).key;
    for (proof, reason) in [
        (as_host.clone(), "not_host"),
        (in_the_name_of(host, as_host), "signature_invalid"),
        (in_the_name_of(host, attacker.prove(Purpose::Token)), "signature_invalid"),
        (in_the_name_of(another, attacker.prove(Purpose::Token)), "signature_invalid"),
    ] {
        let (status, text) = attacker.ask_for_token(proof).await?;
        ensure!(status >= 400 && text.contains(reason), "{status} {text} where {reason} is due");
    }
    Ok(())
}

async fn nobody_gets_more_access_than_the_link_has(stage: &Stage) -> Result<()> {
    let attacker = stage.attacker();
    let full = |purpose| {
        let credentials = attacker.credentials(Access::Full);
        credentials.prove(purpose, std::time::SystemTime::now(), *Uuid::new_v4().as_bytes())
    };
    let allowed = attacker.fragment().access == Access::Full;
    let (status, text) = attacker.ask_for_token(full(Purpose::Token)).await?;
    ensure!((status == 200) == allowed && (allowed || text.contains("access_denied")), "{status} {text}");
    let entered = attacker.enter(full(Purpose::Signaling)).await?.map(drop);
    let due = if allowed { Ok(()) } else { Err(refused(4500, "access_denied")) };
    ensure!(entered == due, "{entered:?}");
    // Not even by saying so in the hello.
    let mut hello = attacker.hello().await?;
    hello.access = Access::Full;
    ensure!(Endpoint::enter(attacker.target(), &hello).await.is_ok() == allowed, "the relay");
    Ok(())
}

async fn a_proof_is_good_once_for_its_purpose_and_as_it_was_made(stage: &Stage) -> Result<()> {
    let attacker = stage.attacker();
    let proof = attacker.prove(Purpose::Token);
    let altered = MembershipProof { access: Access::Full, role: Role::Host, ..proof.clone() };
    let (status, text) = attacker.ask_for_token(altered).await?;
    ensure!(status == 401 && text.contains("signature_invalid"), "{status} {text}");
    let (status, text) = attacker.ask_for_token(attacker.prove(Purpose::Signaling)).await?;
    ensure!(status == 401 && text.contains("signature_invalid"), "{status} {text}");
    let (first, _) = attacker.ask_for_token(proof.clone()).await?;
    let (second, text) = attacker.ask_for_token(proof).await?;
    ensure!(first == 200 && second == 401 && text.contains("membership_invalid"), "{first} {second} {text}");
    Ok(())
}

async fn nobody_takes_another_place_at_the_relay(stage: &Stage) -> Result<()> {
    let attacker = stage.attacker();
    for victim in [attacker.host(), stage.honest_peer()] {
        let mut hello = attacker.hello().await?;
        hello.peer_id = victim;
        ensure!(Endpoint::enter(attacker.target(), &hello).await.is_err(), "{victim} was superseded");
    }
    let mut hello = attacker.hello().await?;
    hello.role = Role::Host;
    ensure!(Endpoint::enter(attacker.target(), &hello).await.is_err(), "a viewer's token made a host");
    Ok(())
}

async fn only_the_host_evicts(stage: &Stage) -> Result<()> {
    let attacker = stage.attacker();
    let mut socket = Endpoint::enter(attacker.target(), &attacker.hello().await?).await?;
    let victim = stage.honest_peer();
    socket.send_raw(Control::Evict { peer_id: victim }.frame()).await?;
    let (code, _) = socket.closed().await?;
    ensure!(code == 4507, "closed with {code}");
    Ok(())
}

async fn a_room_filled_by_one_link_has_room_for_another(stage: &Stage) -> Result<()> {
    let attacker = stage.attacker();
    let mut inside = Vec::new();
    let full = loop {
        match attacker.somebody_else()?.enter(attacker.somebody_else()?.prove(Purpose::Signaling)).await? {
            Ok(room) => inside.push(room),
            Err(refused) => break refused,
        }
        ensure!(inside.len() < 256, "one link holds the whole room");
    };
    println!("{} members by one link, then {full:?}", inside.len());
    stage.somebody_else_joins().await
}

async fn knocks_that_lead_nowhere_keep_nobody_out(stage: &Stage) -> Result<()> {
    let attacker = stage.attacker();
    let mut inside = Vec::new();
    for _ in 0..40 {
        let member = attacker.somebody_else()?;
        let mut room = member.enter_honestly().await?;
        room.send(member.host(), member.seal(&knock())?).await?;
        inside.push(room);
    }
    stage.somebody_else_joins().await
}

async fn mailboxes_do_not_grow(stage: &Stage) -> Result<()> {
    // The first time shows what sockets and allocator keep; the second, what the host keeps of each member.
    flood_mailboxes(stage).await?;
    let before = resident_kib();
    flood_mailboxes(stage).await?;
    let grown = resident_kib().saturating_sub(before);
    println!("{grown} KiB more after 24 MB more of envelopes");
    ensure!(grown < 12 * 1024, "{grown} KiB more");
    stage.somebody_else_joins().await
}

/// Eight members say 3 MB each about dials that never come, and leave.
async fn flood_mailboxes(stage: &Stage) -> Result<()> {
    let attacker = stage.attacker();
    for _ in 0..8 {
        let member = attacker.somebody_else()?;
        let mut room = member.enter_honestly().await?;
        room.send(member.host(), member.seal(&knock())?).await?;
        for n in 0..100 {
            let (transport, generation) = (TransportId::from_static("webrtc"), Generation(1 + n % 8));
            let words = Message::Link { transport, generation, body: "x".repeat(30_000) };
            room.send(member.host(), member.seal(&words)?).await?;
        }
    }
    Ok(())
}

async fn goodbyes_and_losses_concern_their_sender_alone(stage: &Stage) -> Result<()> {
    let member = stage.attacker();
    let mut room = member.enter_honestly().await?;
    let words = [
        Message::Bye { reason: ByeReason::Closed },
        Message::Lost { generation: Generation(1), reason: transport_core::policy::Reason::LinkClosed },
        Message::Dial {
            transport: TransportId::from_static("webrtc"),
            generation: Generation(u32::MAX),
            reason: transport_core::policy::Reason::Retry,
        },
        knock(),
    ];
    for message in words {
        let sealed = member.seal(&message)?;
        // To the host as itself, and to another viewer, who believes nobody but the host.
        room.send(member.host(), sealed.clone()).await?;
        room.send(stage.honest_peer(), sealed).await?;
    }
    for noise in [Bytes::new(), Bytes::from_static(&[2; 64]), Bytes::from(vec![2; 32_000])] {
        room.send(member.host(), noise).await?;
    }
    stage.somebody_else_joins().await
}

async fn a_handshake_of_a_stranger_ends_nothing_but_its_link(stage: &Stage) -> Result<()> {
    let attacker = stage.attacker();
    let mut socket = Endpoint::enter(attacker.target(), &attacker.hello().await?).await?;
    let host = socket.hello.peers.first().map_or(PeerAddr::new(1, 0), |peer| peer.peer);
    for link in 1..=50 {
        socket.send_raw(Window(u64::MAX).frame(host, LinkNumber(link))).await?;
        socket.send(Lane::Reliable, host, LinkNumber(link), &[link as u8; 200]).await?;
        socket.send(Lane::Datagram, host, LinkNumber(link), &[link as u8; 200]).await?;
    }
    Ok(())
}

async fn a_token_opens_its_own_wire_only(stage: &Stage) -> Result<()> {
    let attacker = stage.attacker();
    let token = attacker.token().await?;
    let url = format!("{}/ws?token={}", attacker.target().relay, token.expose());
    let answered = tokio_tungstenite::connect_async(url).await;
    let Err(tokio_tungstenite::tungstenite::Error::Http(answer)) = answered else {
        return Err(conformance::Failure("a token of version 2 opened a socket of version 1".to_owned()));
    };
    ensure!(answer.status() == 401, "{}", answer.status());
    Ok(())
}

async fn a_revoked_link_is_out_within_two_seconds(stage: &Stage) -> Result<()> {
    let attacker = stage.attacker();
    let mut room = attacker.enter_honestly().await?;
    let start = Instant::now();
    stage.revoke();
    let gone = room.let_go().await?;
    println!("out of the room after {:?}: {gone:?}", start.elapsed());
    ensure!(gone == refused(4500, "link_revoked") && start.elapsed() < Duration::from_secs(2), "{gone:?}");
    let (status, text) = attacker.ask_for_token(attacker.prove(Purpose::Token)).await?;
    ensure!(status >= 400 && text.contains("link_unknown"), "{status} {text}");
    let entered = attacker.enter(attacker.prove(Purpose::Signaling)).await?.map(drop);
    ensure!(entered == Err(refused(4500, "link_unknown")), "{entered:?}");
    Ok(())
}

fn knock() -> Message {
    let transports = vec![TransportId::from_static("webrtc"), TransportId::from_static("ws-fallback")];
    Message::Knock { version: Message::VERSION, transports, name: None, life: None }
}

fn resident_kib() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").expect("a Linux");
    let line = status.lines().find(|line| line.starts_with("VmRSS")).expect("VmRSS");
    line.split_whitespace().nth(1).and_then(|kib| kib.parse().ok()).expect("a number")
}
