//! Holders of a valid link who want what is not theirs: somebody else's session, and everybody's place at the door.
#![allow(clippy::disallowed_methods, reason = "a test is an owner, which brings the runtime")]
#![allow(missing_docs, unreachable_pub, dead_code, clippy::unwrap_used)]

mod support;

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, SystemTime},
};

use async_trait::async_trait;
use bytes::Bytes;
use negotiator::{
    Access, Applicant, Approval, ByeReason, Decision, Host, JoinLink, LinkOptions, NetworkConfig, PeerId,
    Received, Role, Session,
};
use support::{FALLBACK, Net, PRIMARY, Scenes as _, host_config};
use tokio::time::{sleep, timeout};
use transport_core::{
    DialRole, Generation, Target, Transport,
    policy::Reason,
    secure::{Binding, Identity, JoinFragment, Joiner, Request, Secure, SecureConfig},
    signaling::{Exchange, ExchangeEvent, Message, Sealer},
    time::Instant,
};

/// Somebody who holds a link and speaks the protocol by hand.
struct Stranger {
    identity: Identity,
    fragment: JoinFragment,
    exchange: Arc<Exchange>,
}

impl Stranger {
    /// Enters the room under `name`, or under its own.
    fn enter(net: &Net, link: &JoinLink, name: Option<PeerId>) -> Self {
        let fragment = JoinFragment::parse(link.reveal().split_once('#').unwrap().1).unwrap();
        let identity = Identity::random().unwrap();
        let sealer = Sealer::joiner(identity.clone(), fragment.host, fragment.secret.clone());
        let room = net.room.join(name.unwrap_or(sealer.local()));
        let exchange = Exchange::new(Arc::new(room), sealer, SystemTime::now);
        Self { identity, fragment, exchange }
    }

    fn knock() -> Message {
        let transports = vec![PRIMARY, FALLBACK];
        Message::Knock { version: Message::VERSION, transports, name: None, life: None }
    }

    /// Announces its first dial, and leaves the host time to take part.
    async fn announce(&self) {
        let (transport, generation) = (PRIMARY, Generation(1));
        self.say(&Message::Dial { transport, generation, reason: Reason::FirstConnect }).await;
        sleep(Duration::from_millis(10)).await;
    }

    async fn say(&self, message: &Message) {
        self.exchange.send(self.fragment.host_peer(), message).await.unwrap();
    }

    /// The next word of the host.
    async fn hear(&self) -> Option<Message> {
        let heard = async {
            loop {
                if let ExchangeEvent::Message { message, .. } = self.exchange.next().await.unwrap() {
                    return message;
                }
            }
        };
        timeout(Duration::from_secs(3), heard).await.ok()
    }

    /// Dials and seals as `local`.
    async fn dial(&self, net: &Net, local: PeerId, generation: u32) -> bool {
        let host = self.fragment.host_peer();
        let (session, generation) = (self.fragment.session(), Generation(generation));
        let target = Target::new(session, local, host, DialRole::Offerer, generation);
        let Ok(Ok(link)) =
            timeout(Duration::from_secs(5), net.primary.connector(Role::Viewer).connect(&target)).await
        else {
            return false;
        };
        let transport = link.profile().transport.clone();
        let config =
            SecureConfig::new(Binding::new(session, local, host, transport, generation), Instant::now);
        let joiner =
            Joiner { identity: &self.identity, link: &self.fragment.secret, host: self.fragment.host };
        let sealed = Secure::initiate(link, config, &joiner, Request::new(Access::Full));
        timeout(Duration::from_secs(5), sealed).await.is_ok_and(|sealed| sealed.is_ok())
    }
}

async fn join(net: &Net, host: &Host, link: &JoinLink) -> (Session, Session) {
    let viewer =
        negotiator::Negotiator::meeting_at(link.clone(), NetworkConfig::default(), Arc::new(net.clone()));
    let (viewer, hosted) = tokio::join!(viewer.connect(), host.accept());
    (viewer.unwrap(), hosted.unwrap())
}

async fn lives(viewer: &Session, hosted: &Session) {
    for (from, to) in [(viewer, hosted), (hosted, viewer)] {
        from.send("mine".into()).await.unwrap();
        let heard = timeout(Duration::from_secs(10), to.recv()).await.expect("it arrives");
        assert_eq!(heard, Ok(Received::Message(Bytes::from("mine"))));
    }
}

#[tokio::test(start_paused = true)]
async fn a_second_program_with_the_same_link_cannot_touch_another_s_session() {
    let net = Net::new();
    let host = net.host(host_config(), Access::Full).await;
    let (viewer, hosted) = join(&net, &host, host.link()).await;
    let victim = hosted.peer();
    let mut events = viewer.events();

    // Under the victim's name in the room: its envelopes are somebody else's.
    let thief = Stranger::enter(&net, host.link(), Some(victim));
    for word in [
        Message::Bye { reason: ByeReason::Closed },
        Stranger::knock(),
        Message::Dial { transport: PRIMARY, generation: Generation(9), reason: Reason::FreshDial },
        Message::Lost { generation: Generation(1), reason: Reason::PathDead },
    ] {
        thief.say(&word).await;
        assert_eq!(thief.hear().await, None, "nobody answers {word:?}");
    }
    drop(thief);
    // Under its own name, about the victim's dials: it has no session, and is told so.
    let stranger = Stranger::enter(&net, host.link(), None);
    stranger
        .say(&Message::Dial { transport: PRIMARY, generation: Generation(9), reason: Reason::FreshDial })
        .await;
    assert_eq!(stranger.hear().await, Some(Message::Bye { reason: ByeReason::Forgotten }));
    stranger.say(&Message::Bye { reason: ByeReason::Closed }).await;
    // In the victim's place on the path: the host dials a link that is not the victim's.
    for generation in [1, 2, 9] {
        assert!(!stranger.dial(&net, victim, generation).await, "generation {generation}");
    }
    // And with a session of its own.
    stranger.say(&Stranger::knock()).await;
    assert!(matches!(stranger.hear().await, Some(Message::Welcome { .. })));
    stranger.announce().await;
    let own = PeerId::of(&stranger.identity.public());
    assert!(stranger.dial(&net, own, 1).await, "its own is its own");

    lives(&viewer, &hosted).await;
    assert_eq!((viewer.end(), hosted.end()), (None, None));
    assert_eq!(events.try_next(), None, "the victim has not even noticed");
}

#[tokio::test(start_paused = true)]
async fn a_stranger_on_a_dial_of_the_victim_is_a_bad_link_and_not_the_end_of_its_session() {
    let net = Net::new();
    let host = net.host(host_config(), Access::Full).await;
    let (viewer, hosted) = join(&net, &host, host.link()).await;
    let stranger = Stranger::enter(&net, host.link(), None);
    // The victim dials anew, and the stranger is there before it.
    net.primary.cut();
    for generation in 2..6 {
        stranger.dial(&net, hosted.peer(), generation).await;
    }
    lives(&viewer, &hosted).await;
}

#[tokio::test(start_paused = true)]
async fn forty_unfinished_knocks_by_one_link_keep_no_holder_of_another_out() {
    let net = Net::new();
    let mut config = host_config();
    config.max_viewers = 2;
    let host = net.host(config, Access::Full).await;
    let spilled = host.links().add(LinkOptions::read_only()).await.unwrap();
    let mut strangers = Vec::new();
    for _ in 0..40 {
        let stranger = Stranger::enter(&net, &spilled, None);
        stranger.say(&Stranger::knock()).await;
        assert!(matches!(stranger.hear().await, Some(Message::Welcome { .. })));
        strangers.push(stranger);
    }
    for _ in 0..2 {
        let (viewer, hosted) = join(&net, &host, host.link()).await;
        lives(&viewer, &hosted).await;
        // It keeps its seat while more knock.
        for stranger in &strangers {
            stranger.say(&Stranger::knock()).await;
        }
        sleep(Duration::from_secs(1)).await;
        lives(&viewer, &hosted).await;
        std::mem::forget((viewer, hosted));
    }
    assert_eq!(host.members().len(), 2);
    let late = Stranger::enter(&net, host.link(), None);
    late.say(&Stranger::knock()).await;
    assert_eq!(
        late.hear().await,
        Some(Message::Bye { reason: ByeReason::Full }),
        "seats are for who is here"
    );
}

#[tokio::test(start_paused = true)]
async fn a_handshake_by_another_link_than_the_knock_s_is_refused() {
    let net = Net::new();
    let host = net.host(host_config(), Access::Full).await;
    let other = host.links().add(LinkOptions::read_only()).await.unwrap();
    let mut stranger = Stranger::enter(&net, &other, None);
    stranger.say(&Stranger::knock()).await;
    assert!(matches!(stranger.hear().await, Some(Message::Welcome { .. })));
    stranger.announce().await;
    stranger.fragment = JoinFragment::parse(host.link().reveal().split_once('#').unwrap().1).unwrap();
    let own = PeerId::of(&stranger.identity.public());
    assert!(!stranger.dial(&net, own, 1).await);
}

/// Says no, and counts how often it was asked.
#[derive(Debug, Default)]
struct Doorman(AtomicUsize);

#[async_trait]
impl Approval for Doorman {
    async fn decide(&self, _: Applicant) -> Decision {
        self.0.fetch_add(1, Ordering::Relaxed);
        Decision::Refuse
    }
}

#[tokio::test(start_paused = true)]
async fn who_was_not_approved_is_not_asked_about_again() {
    let (net, doorman) = (Net::new(), Arc::new(Doorman::default()));
    let mut config = host_config();
    config.approval = Some(doorman.clone());
    let host = net.host(config, Access::Full).await;
    let stranger = Stranger::enter(&net, host.link(), None);
    stranger.say(&Stranger::knock()).await;
    assert_eq!(stranger.hear().await, Some(Message::Pending));
    for _ in 0..5 {
        assert_eq!(stranger.hear().await, Some(Message::Bye { reason: ByeReason::Refused }));
        stranger.say(&Stranger::knock()).await;
    }
    assert_eq!(doorman.0.load(Ordering::Relaxed), 1);
}
