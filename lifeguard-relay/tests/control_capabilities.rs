//! Who may do what: every link, role, access and purpose against the real router, and every way in which a proof can be
//! wrong, each with its own reason, counter and sentence.
#![allow(clippy::unwrap_used, reason = "a test ends where something is not as it should be")]

mod control_support;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use beach_lifeguard_client::{
    Access, Claims, FallbackToken, Reason, Role,
    membership::{Credentials, Identity, LinkSecret, MembershipProof, PublicKey, Purpose},
    session::{DocumentLink, SessionDocument},
    signaling::{FromRoom, ToRoom},
    token::Capability,
};
use control_support::{plane::Plane, redis::Redis};
use futures::{SinkExt, StreamExt};
use lifeguard_relay::{
    control::{ControlConfig, Secret},
    store::RedisStore,
};
use serde_json::{Value, json};
use tokio::{net::TcpStream, time::timeout};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async, tungstenite::Message};
use uuid::Uuid;

/// The links of a session, and one it does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Link {
    Full,
    ReadOnly,
    /// Past its time, for everybody.
    Expired,
    /// Past its time, for everybody but this peer.
    Kept,
    /// Was listed once.
    Revoked,
    /// None at all, as a host.
    None,
}

const LINKS: [Link; 6] = [Link::Full, Link::ReadOnly, Link::Expired, Link::Kept, Link::Revoked, Link::None];

impl Link {
    fn secret(self) -> LinkSecret {
        LinkSecret::from_bytes([self as u8 + 1; 16])
    }
}

/// A session with all of them, and one viewer whom the host removed.
struct Session {
    plane: Plane,
    host: Identity,
    viewer: Identity,
    removed: Identity,
    _redis: Option<Redis>,
}

impl Session {
    async fn start(redis: bool) -> Self {
        let mut config = ControlConfig::development();
        config.turn.urls = vec!["turn:turn.test:3478".to_owned()];
        config.turn.secrets = vec![Secret::new("a secret of the TURN servers")];
        config.turn.external_ip = Some("192.0.2.1".to_owned());
        config.requests_per_second = 0;
        let redis = redis.then(Redis::start);
        let plane = match &redis {
            Some(redis) => {
                Plane::with(config, std::sync::Arc::new(RedisStore::open(&redis.url()).unwrap())).await
            }
            None => Plane::start(config).await,
        };
        let [host, viewer, removed] = [1, 2, 3].map(|_| Identity::random().unwrap());
        let this = Self { plane, host, viewer, removed, _redis: redis };
        let mut first = this.document(1);
        first.links.push(DocumentLink::new(&Link::Revoked.secret(), Access::Full));
        assert_eq!(this.publish(&first).await, (201, Value::Null));
        assert_eq!(this.publish(&this.document(2)).await, (200, Value::Null));
        this
    }

    fn document(&self, revision: u64) -> SessionDocument {
        let mut document = SessionDocument::new(self.host.public(), revision);
        for link in [Link::Full, Link::ReadOnly, Link::Expired, Link::Kept] {
            let access = if link == Link::ReadOnly { Access::ReadOnly } else { Access::Full };
            let mut listed = DocumentLink::new(&link.secret(), access);
            listed.expires_at = matches!(link, Link::Expired | Link::Kept).then(|| unix_now() - 1);
            if link == Link::Kept {
                listed.kept = vec![peer_id(&self.viewer.public())];
            }
            document.links.push(listed);
        }
        document.removed = vec![peer_id(&self.removed.public())];
        document
    }

    async fn publish(&self, document: &SessionDocument) -> (u16, Value) {
        let (status, answer) = self.plane.publish(&document.sign(&self.host)).await;
        (status, answer["reason"].clone())
    }

    fn id(&self) -> Uuid {
        Uuid::from_bytes(self.host.public().session_id())
    }

    fn viewer_by(&self, link: Link, access: Access) -> Credentials {
        Credentials::viewer(self.host.public(), self.viewer.clone(), link.secret(), access)
    }

    /// What comes of a proof; the token, where it was one.
    async fn ask(&self, purpose: Purpose, proof: &MembershipProof) -> (Result<(), String>, Option<Claims>) {
        let body = json!({ "session_id": self.id(), "proof": proof });
        let path = match purpose {
            Purpose::Signaling => return (self.enter(proof).await.map(drop), None),
            Purpose::Token => "/v1/fallback/token",
            Purpose::Turn => "/turn/credentials",
        };
        let (status, answer) = self.plane.post(path, &body).await;
        if status == 200 {
            let token = answer["token"].as_str().map(FallbackToken::new);
            let verify = |token| self.plane.verifier.verify(&token, Capability::V2, SystemTime::now());
            return (Ok(()), token.map(|token| verify(token).unwrap()));
        }
        let reason = Reason::of_label(answer["reason"].as_str().unwrap()).unwrap();
        assert_eq!((status, answer["message"].as_str()), (reason.status(), Some(reason.message())));
        (Err(reason.label().to_owned()), None)
    }

    async fn enter(
        &self,
        proof: &MembershipProof,
    ) -> Result<WebSocketStream<MaybeTlsStream<TcpStream>>, String> {
        let url = format!("ws://{}/v1/signaling/{}", self.plane.address, self.id());
        let mut socket = connect_async(url).await.unwrap().0;
        let hello = ToRoom::Hello { proof: proof.clone() };
        socket.send(Message::text(serde_json::to_string(&hello).unwrap())).await.unwrap();
        match timeout(Duration::from_secs(5), socket.next()).await.unwrap() {
            Some(Ok(Message::Text(text))) => {
                let said: FromRoom = serde_json::from_str(&text).unwrap();
                assert!(matches!(said, FromRoom::Welcome { .. }), "{said:?}");
                Ok(socket)
            }
            Some(Ok(Message::Close(Some(close)))) => {
                assert_eq!(u16::from(close.code), 4500);
                Err(close.reason.to_string())
            }
            other => panic!("{other:?}"),
        }
    }
}

fn peer_id(key: &PublicKey) -> Uuid {
    Uuid::from_bytes(key.peer_id())
}

fn unix_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

fn now(credentials: &Credentials, purpose: Purpose) -> MembershipProof {
    credentials.prove(purpose, SystemTime::now(), *Uuid::new_v4().as_bytes())
}

/// What the design says, written once more and in other words than the code.
fn expected(link: Link, role: Role, access: Access) -> Result<(), &'static str> {
    match (role, link) {
        // The host's key needs no link; nobody else's is the host's.
        (Role::Host, Link::None) => Ok(()),
        (Role::Host, _) => Err("not_host"),
        (Role::Viewer, Link::None | Link::Revoked) => Err("link_unknown"),
        (Role::Viewer, Link::Expired) => Err("link_expired"),
        (Role::Viewer, Link::ReadOnly) if access == Access::Full => Err("access_denied"),
        (Role::Viewer, Link::Full | Link::Kept | Link::ReadOnly) => Ok(()),
    }
}

async fn all_combinations(redis: bool) {
    let session = Session::start(redis).await;
    let mut table = String::from("| link | role | access | purpose | verdict |\n|---|---|---|---|---|\n");
    for link in LINKS {
        for role in [Role::Host, Role::Viewer] {
            for access in [Access::ReadOnly, Access::Full] {
                for purpose in Purpose::ALL {
                    // Whoever holds a link signs with a viewer's key, whatever role it claims.
                    let proof = claim(&session, link, role, access, purpose);
                    let (verdict, claims) = session.ask(purpose, &proof).await;
                    let wanted = expected(link, role, access);
                    assert_eq!(
                        verdict.as_ref().map_err(String::as_str),
                        wanted.as_ref().map_err(|r| *r),
                        "{link:?} {role:?} {access:?} {purpose:?}"
                    );
                    if let Some(claims) = claims {
                        let says = (claims.role, claims.access, claims.sub, claims.session_id);
                        assert_eq!(says, (role, access, proof.peer_id(), session.id()));
                    }
                    let verdict = verdict.map_or_else(|reason| reason, |()| "allowed".to_owned());
                    table.push_str(&format!(
                        "| {link:?} | {role:?} | {access:?} | {} | {verdict} |\n",
                        purpose.label()
                    ));
                }
            }
        }
    }
    println!("{table}");
    assert_eq!(table.lines().count(), 2 + LINKS.len() * 2 * 2 * 3);
}

/// A proof as somebody makes who can write anything into it, and signs and authenticates what they wrote.
fn claim(session: &Session, link: Link, role: Role, access: Access, purpose: Purpose) -> MembershipProof {
    if (link, role) == (Link::None, Role::Host) {
        let honest = now(&Credentials::host(session.host.clone()), purpose);
        return forged(session, &session.host, None, MembershipProof { access, ..honest }, purpose);
    }
    let honest = now(&session.viewer_by(link, access), purpose);
    let named = (link != Link::None).then(|| link.secret());
    let claimed = MembershipProof { role, link: named.as_ref().map(LinkSecret::id), ..honest };
    forged(session, &session.viewer, named.as_ref(), claimed, purpose)
}

/// Signs and authenticates whatever a proof says, with the documented message written out here once more.
fn forged(
    session: &Session,
    by: &Identity,
    link: Option<&LinkSecret>,
    mut proof: MembershipProof,
    purpose: Purpose,
) -> MembershipProof {
    use hmac::{Hmac, Mac};
    proof.key = by.public();
    let message = [
        &b"beach/2/membership\0"[..],
        purpose.label().as_bytes(),
        &[0],
        session.id().as_bytes(),
        proof.key.as_bytes(),
        &[u8::from(proof.role == Role::Host), if proof.access == Access::Full { 2 } else { 1 }],
        &proof.link.map_or([0; 8], |link| link.0),
        &proof.timestamp.to_be_bytes(),
        &proof.nonce,
    ]
    .concat();
    proof.signature = by.sign(&message);
    proof.mac = link.map(|link| {
        let mut mac = Hmac::<sha2::Sha256>::new_from_slice(&*link.verifier()).unwrap();
        mac.update(&message);
        mac.finalize().into_bytes().into()
    });
    proof
}

#[tokio::test]
async fn every_link_role_access_and_purpose_is_allowed_or_refused_as_the_design_says() {
    all_combinations(false).await;
}

#[tokio::test]
async fn and_so_it_is_with_redis() {
    all_combinations(true).await;
}

#[tokio::test]
async fn every_way_in_which_a_proof_is_wrong_has_its_reason_and_its_counter() {
    let session = Session::start(false).await;
    let stranger = Identity::random().unwrap();
    let full = Link::Full.secret();
    for purpose in Purpose::ALL {
        let good = || now(&session.viewer_by(Link::Full, Access::Full), purpose);
        let as_removed =
            Credentials::viewer(session.host.public(), session.removed.clone(), full.clone(), Access::Full);
        let other = Purpose::ALL[(Purpose::ALL.iter().position(|p| *p == purpose).unwrap() + 1) % 3];
        let elsewhere =
            Credentials::viewer(stranger.public(), session.viewer.clone(), full.clone(), Access::Full);
        let used = good();
        assert_eq!(session.ask(purpose, &used).await.0, Ok(()));
        let stale = |seconds: u64| {
            let at = SystemTime::now() - Duration::from_secs(seconds);
            session.viewer_by(Link::Full, Access::Full).prove(purpose, at, *Uuid::new_v4().as_bytes())
        };
        let early = SystemTime::now() + Duration::from_secs(125);
        let host = now(&Credentials::host(session.host.clone()), purpose);
        let cases = [
            ("forged signature", with(good(), |p| p.signature.0[7] ^= 1), "signature_invalid"),
            ("foreign key", with(good(), |p| p.key = stranger.public()), "signature_invalid"),
            ("the host's key", with(good(), |p| p.key = session.host.public()), "signature_invalid"),
            ("altered role", with(good(), |p| p.role = Role::Host), "signature_invalid"),
            ("altered access", with(good(), |p| p.access = Access::ReadOnly), "signature_invalid"),
            ("altered link", with(good(), |p| p.link = Some(Link::Kept.secret().id())), "signature_invalid"),
            ("no link", with(good(), |p| p.link = None), "signature_invalid"),
            ("altered time", with(good(), |p| p.timestamp += 1), "signature_invalid"),
            ("altered nonce", with(good(), |p| p.nonce[0] ^= 1), "signature_invalid"),
            (
                "another purpose",
                now(&session.viewer_by(Link::Full, Access::Full), other),
                "signature_invalid",
            ),
            ("another session", now(&elsewhere, purpose), "signature_invalid"),
            ("altered mac", with(good(), |p| p.mac = p.mac.map(|mac| mac.map(|b| !b))), "membership_invalid"),
            ("no mac", with(good(), |p| p.mac = None), "membership_invalid"),
            (
                "another link's mac",
                forged(&session, &session.viewer, Some(&Link::ReadOnly.secret()), good(), purpose),
                "membership_invalid",
            ),
            ("replayed", used, "membership_invalid"),
            ("too old", stale(125), "membership_invalid"),
            (
                "from the future",
                session.viewer_by(Link::Full, Access::Full).prove(purpose, early, [8; 16]),
                "membership_invalid",
            ),
            ("a host with a mac", with(host.clone(), |p| p.mac = Some([0; 32])), "membership_invalid"),
            ("a host elsewhere", now(&Credentials::host(stranger.clone()), purpose), "signature_invalid"),
            ("removed", now(&as_removed, purpose), "peer_removed"),
            ("revoked", now(&session.viewer_by(Link::Revoked, Access::Full), purpose), "link_unknown"),
            ("expired", now(&session.viewer_by(Link::Expired, Access::Full), purpose), "link_expired"),
            ("raised", now(&session.viewer_by(Link::ReadOnly, Access::Full), purpose), "access_denied"),
            (
                "a viewer as host",
                forged(&session, &session.viewer, None, with(host, |p| p.nonce[0] ^= 1), purpose),
                "not_host",
            ),
        ];
        for (name, proof, reason) in cases {
            let counted = || session.plane.metrics.read("beach_control_proofs_refused", &[reason]);
            let before = counted();
            let verdict = session.ask(purpose, &proof).await.0;
            assert_eq!(verdict, Err(reason.to_owned()), "{name}, {purpose:?}");
            assert_eq!(counted(), before + 1, "{name}, {purpose:?}");
        }
        // Time enough is left to be late.
        assert_eq!(session.ask(purpose, &stale(100)).await.0, Ok(()));
    }
}

/// Passes everything over until the room closes.
async fn closed(socket: &mut WebSocketStream<MaybeTlsStream<TcpStream>>) -> (u16, String) {
    loop {
        let heard = timeout(Duration::from_secs(5), socket.next()).await.unwrap().unwrap().unwrap();
        if let Message::Close(Some(close)) = heard {
            return (close.code.into(), close.reason.to_string());
        }
    }
}

fn with(mut proof: MembershipProof, alter: impl FnOnce(&mut MembershipProof)) -> MembershipProof {
    alter(&mut proof);
    proof
}

#[tokio::test]
async fn documents_are_taken_from_the_host_only_and_never_go_back() {
    for redis in [false, true] {
        let session = Session::start(redis).await;
        let newest = session.document(2);
        let third = session.document(3);
        assert_eq!(session.publish(&newest).await, (200, Value::Null), "again is harmless");
        assert_eq!(session.publish(&session.document(1)).await, (409, json!("revision_stale")));
        let mut other = newest.clone();
        other.removed.clear();
        assert_eq!(session.publish(&other).await, (409, json!("revision_stale")), "another of this revision");
        let reason = async |signed| session.plane.publish(&signed).await.1["reason"].clone();
        let stranger = Identity::random().unwrap();
        assert_eq!(reason(third.sign(&stranger)).await, "signature_invalid");
        let mut taken = third.clone();
        taken.host_key = stranger.public();
        assert_eq!(reason(taken.sign(&stranger)).await, "session_mismatch");
        let mut altered = third.sign(&session.host);
        let bytes = String::from_utf8(altered.document.to_vec()).unwrap();
        altered.document = bytes.replacen("read_only", "full", 1).into();
        assert_eq!(reason(altered).await, "signature_invalid");
        assert_eq!(session.publish(&third).await, (200, Value::Null));
        for (outcome, count) in [
            ("created", 1),
            ("updated", 2),
            ("known", 1),
            ("revision_stale", 2),
            ("signature_invalid", 2),
            ("session_mismatch", 1),
        ] {
            let counted = session.plane.metrics.read("beach_control_sessions_registered", &[outcome]);
            assert_eq!(counted, count, "{outcome}");
        }
    }
}

#[tokio::test]
async fn what_the_host_takes_back_reaches_those_inside_at_once_and_keeps_them_out() {
    let session = Session::start(false).await;
    let enter =
        async |credentials: &Credentials| session.enter(&now(credentials, Purpose::Signaling)).await.unwrap();
    let by = |link, identity: &Identity| {
        Credentials::viewer(session.host.public(), identity.clone(), link, Access::ReadOnly)
    };
    let [a, b, c] = [1, 2, 3].map(|_| Identity::random().unwrap());
    let (revoked, removed, stays) =
        (by(Link::ReadOnly.secret(), &a), by(Link::Full.secret(), &b), by(Link::Full.secret(), &c));
    let mut host = enter(&Credentials::host(session.host.clone())).await;
    let (mut at_revoked, mut at_removed, mut at_stays) =
        (enter(&revoked).await, enter(&removed).await, enter(&stays).await);
    let mut document = session.document(3);
    document.links.retain(|link| link.id != Link::ReadOnly.secret().id());
    document.removed.push(removed.peer_id());
    let start = std::time::Instant::now();
    assert_eq!(session.publish(&document).await.0, 200);
    for (socket, reason) in [(&mut at_revoked, "link_revoked"), (&mut at_removed, "peer_removed")] {
        assert_eq!(closed(socket).await, (4500, reason.to_owned()));
    }
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    for purpose in Purpose::ALL {
        assert_eq!(session.ask(purpose, &now(&revoked, purpose)).await.0, Err("link_unknown".to_owned()));
        assert_eq!(session.ask(purpose, &now(&removed, purpose)).await.0, Err("peer_removed".to_owned()));
        if purpose != Purpose::Signaling {
            assert_eq!(session.ask(purpose, &now(&stays, purpose)).await.0, Ok(()));
        }
    }
    // The others are still there and reach each other.
    let data = bytes::Bytes::from_static(b"here");
    let word = serde_json::to_string(&ToRoom::Send { to: stays.peer_id(), data }).unwrap();
    host.send(Message::text(word)).await.unwrap();
    loop {
        let said = timeout(Duration::from_secs(2), at_stays.next()).await.unwrap().unwrap().unwrap();
        if said.to_text().is_ok_and(|text| text.contains("envelope")) {
            break;
        }
    }
}

#[tokio::test]
async fn a_viewer_can_neither_take_the_hosts_seat_nor_anothers_nor_keep_the_host_out() {
    let session = Session::start(false).await;
    let host = Credentials::host(session.host.clone());
    let mut at_host = session.enter(&now(&host, Purpose::Signaling)).await.unwrap();
    // One link full of viewers, and the host still comes and goes.
    let mut crowd = Vec::new();
    let viewer = || {
        let identity = Identity::random().unwrap();
        Credentials::viewer(session.host.public(), identity, Link::Full.secret(), Access::Full)
    };
    for _ in 0..64 {
        crowd.push(session.enter(&now(&viewer(), Purpose::Signaling)).await.unwrap());
    }
    let url = format!("ws://{}/v1/signaling/{}", session.plane.address, session.id());
    let mut late = connect_async(url).await.unwrap().0;
    let hello = ToRoom::Hello { proof: now(&viewer(), Purpose::Signaling) };
    late.send(Message::text(serde_json::to_string(&hello).unwrap())).await.unwrap();
    let Some(Ok(Message::Close(Some(close)))) = late.next().await else { panic!("no close") };
    assert_eq!((u16::from(close.code), close.reason.as_str()), (4029, "link_full"));
    let other = Credentials::viewer(
        session.host.public(),
        Identity::random().unwrap(),
        Link::ReadOnly.secret(),
        Access::ReadOnly,
    );
    session.enter(&now(&other, Purpose::Signaling)).await.unwrap();
    let again = session.enter(&now(&host, Purpose::Signaling)).await.unwrap();
    assert_eq!(closed(&mut at_host).await, (4003, "superseded".to_owned()));
    drop((crowd, again));
}

#[tokio::test]
async fn a_session_lives_minutes_until_its_host_enters_and_viewers_extend_nothing() {
    let redis = Redis::start();
    let store = std::sync::Arc::new(RedisStore::open(&redis.url()).unwrap());
    let plane = Plane::with(ControlConfig::development(), store).await;
    let person = plane.session().await;
    let left = || -> i64 {
        redis.cli(&["TTL", &format!("lifeguard:session:{}", person.session)])[0].parse().unwrap()
    };
    assert!((590..=600).contains(&left()), "{}", left());
    redis.cli(&["PEXPIRE", &format!("lifeguard:session:{}", person.session), "300000"]);
    let viewer = person.viewer();
    viewer.token(&plane).await;
    let enter = async |credentials: &Credentials| {
        let url = format!("ws://{}/v1/signaling/{}", plane.address, person.session);
        let mut socket = connect_async(url).await.unwrap().0;
        let hello = ToRoom::Hello { proof: now(credentials, Purpose::Signaling) };
        socket.send(Message::text(serde_json::to_string(&hello).unwrap())).await.unwrap();
        assert!(matches!(socket.next().await, Some(Ok(Message::Text(_)))));
        socket
    };
    let _viewer = enter(&viewer.credentials()).await;
    assert!(left() <= 300, "{}", left());
    let _host = enter(&person.credentials()).await;
    assert!(left() > 86_000, "{}", left());
    // What the host changes does not shorten it.
    assert_eq!(plane.publish(&person.document(2).sign(&person.host)).await.0, 200);
    assert!(left() > 86_000, "{}", left());
}
