//! Who may come, what they may do, and how they go: over a network in memory, in virtual time.
#![allow(clippy::disallowed_methods, reason = "a test is an owner, which brings the runtime")]
#![allow(missing_docs, unreachable_pub, dead_code, clippy::unwrap_used)]

mod support;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use negotiator::{
    Access, Applicant, Approval, ByeReason, Decision, Host, JoinError, JoinLink, LinkOptions, LinkState,
    Negotiator, NetworkConfig, Received, Session, SessionEnd, TransitionKind, ViewerKey,
};
use support::{Net, Scenes as _, host_config};
use tokio::{
    sync::Notify,
    time::{sleep, timeout},
};

/// Joins by `link`, and takes the host's end of it.
async fn join(net: &Net, host: &Host, link: &JoinLink) -> (Session, Session) {
    let (viewer, hosted) = tokio::join!(negotiator(net, link).connect(), host.accept());
    (viewer.unwrap(), hosted.unwrap())
}

fn negotiator(net: &Net, link: &JoinLink) -> Negotiator {
    Negotiator::meeting_at(link.clone(), NetworkConfig::default(), Arc::new(net.clone()))
}

async fn refused(net: &Net, link: &JoinLink) -> JoinError {
    negotiator(net, link).connect().await.unwrap_err()
}

async fn says(from: &Session, to: &Session, word: &'static str) {
    from.send(word.into()).await.unwrap();
    let heard = timeout(Duration::from_secs(5), to.recv()).await;
    assert_eq!(heard.expect("it arrives").unwrap(), Received::Message(word.into()));
}

async fn is_deaf(to: &Session) {
    let heard = timeout(Duration::from_secs(2), to.recv()).await;
    assert!(heard.is_err(), "nothing reaches the application: {heard:?}");
}

async fn end(session: &Session) -> SessionEnd {
    timeout(Duration::from_secs(2), session.ended()).await.expect("it ends within two seconds")
}

#[tokio::test(start_paused = true)]
async fn what_a_read_only_viewer_sends_reaches_the_library_and_not_the_application() {
    let net = Net::new();
    let host = net.host(host_config(), Access::ReadOnly).await;
    let (viewer, hosted) = join(&net, &host, host.link()).await;
    let mut events = hosted.events();
    assert_eq!((viewer.access(), hosted.access()), (Some(Access::ReadOnly), Some(Access::ReadOnly)));
    for path in ["primary", "fallback"] {
        for _ in 0..20 {
            viewer.send(vec![7; 40_000].into()).await.expect("the library takes it");
            viewer.send_datagram("typed".into()).unwrap();
        }
        viewer.flushed().await.expect("and acknowledges it");
        is_deaf(&hosted).await;
        says(&hosted, &viewer, "output").await;
        assert_eq!(viewer.status().path.unwrap().as_str(), path);
        net.primary.block();
        hosted.send("more".into()).await.unwrap();
        sleep(Duration::from_secs(15)).await;
        assert_eq!(viewer.recv().await.unwrap(), Received::Message("more".into()));
    }
    let refused = hosted.refused_input();
    assert_eq!(refused.messages, 40);
    assert!(refused.datagrams > 0 && refused.bytes >= 40 * 40_000, "{refused:?}");
    assert!(hosted.explain().to_string().contains("read-only"), "{}", hosted.explain());
    assert!(viewer.refused_input().is_empty());
    let mut told = 0;
    while let Some(event) = events.try_next() {
        told += usize::from(event.name == TransitionKind::InputRefused);
    }
    assert_eq!(told, 1, "once is enough");
    // A viewer that is done sends nothing: that may be known.
    viewer.finish();
    let heard = timeout(Duration::from_secs(2), hosted.recv()).await.unwrap();
    assert_eq!(heard, Ok(Received::Finished));
}

#[tokio::test(start_paused = true)]
async fn holders_of_one_link_do_not_fill_the_seats_of_another() {
    let net = Net::new();
    let mut config = host_config();
    config.max_viewers = 4;
    let host = net.host(config, Access::Full).await;
    let mut inside = Vec::new();
    for _ in 0..3 {
        inside.push(join(&net, &host, host.link()).await);
    }
    let other = host.links().add(LinkOptions::full()).await.unwrap();
    assert!(matches!(refused(&net, host.link()).await, JoinError::Full));
    inside.push(join(&net, &host, &other).await);
    assert!(matches!(refused(&net, &other).await, JoinError::Full));
}

#[tokio::test(start_paused = true)]
async fn access_changes_from_the_next_message_on_and_never_beyond_what_was_asked_for() {
    let net = Net::new();
    let host = net.host(host_config(), Access::Full).await;
    let (viewer, hosted) = join(&net, &host, host.link()).await;
    says(&viewer, &hosted, "ls").await;
    for access in [Access::ReadOnly, Access::Full] {
        assert!(host.set_access(viewer_id(&hosted), access));
        assert_eq!(hosted.access(), Some(access));
        sleep(Duration::from_millis(100)).await;
        assert_eq!(viewer.access(), Some(access), "the viewer is told");
        viewer.send("rm".into()).await.unwrap();
        if access == Access::ReadOnly {
            is_deaf(&hosted).await;
            // Not by another path either.
            net.primary.cut();
            viewer.send("rm".into()).await.unwrap();
            sleep(Duration::from_secs(5)).await;
            is_deaf(&hosted).await;
        } else {
            assert_eq!(hosted.recv().await, Ok(Received::Message("rm".into())));
        }
    }
    let looks = host.links().add(LinkOptions::read_only()).await.unwrap();
    let (_viewer, raised) = join(&net, &host, &looks).await;
    assert!(host.set_access(viewer_id(&raised), Access::Full));
    assert_eq!(raised.access(), Some(Access::Full), "the host may grant more than the link");
    let (asked, quiet) = tokio::join!(negotiator(&net, host.link()).read_only().connect(), host.accept());
    let (_asked, quiet) = (asked.unwrap(), quiet.unwrap());
    assert!(host.set_access(viewer_id(&quiet), Access::Full));
    assert_eq!(quiet.access(), Some(Access::ReadOnly), "it wants no more");
    assert!(!host.set_access(negotiator::PeerId::random(), Access::Full));
}

fn viewer_id(hosted: &Session) -> negotiator::PeerId {
    hosted.peer()
}

#[tokio::test(start_paused = true)]
async fn a_revoked_link_takes_its_people_along_and_nobody_else() {
    let net = Net::new();
    let host = net.host(host_config(), Access::Full).await;
    let other = host.links().add(LinkOptions::full()).await.unwrap();
    let (stays, hosted) = join(&net, &host, host.link()).await;
    let (goes, shown_out) = join(&net, &host, &other).await;
    // What it said and nobody has read yet is not read any more.
    goes.send("late".into()).await.unwrap();
    goes.flushed().await.unwrap();
    assert!(host.links().revoke(other.id()));
    assert!(matches!(shown_out.try_recv(), Err(SessionEnd::Closed(_))));
    assert_eq!(end(&goes).await, SessionEnd::LinkRevoked);
    says(&stays, &hosted, "still here").await;
    let error = refused(&net, &other).await;
    assert!(matches!(error, JoinError::LinkRevoked), "{error}");
    let states: Vec<_> = host.links().list().iter().map(|info| (info.state, info.used)).collect();
    assert_eq!(states, [(LinkState::Open, 1), (LinkState::Revoked, 1)]);
    assert!(!host.links().revoke(other.id()), "it is revoked already");
    says(&hosted, &stays, "and here").await;
}

#[tokio::test(start_paused = true)]
async fn a_viewer_whose_path_is_down_hears_by_signaling_that_its_link_is_gone() {
    let net = Net::new();
    let host = net.host(host_config(), Access::Full).await;
    let (viewer, _hosted) = join(&net, &host, host.link()).await;
    net.primary.cut();
    net.primary.refuse(true);
    net.fallback.refuse(true);
    sleep(Duration::from_secs(1)).await;
    assert!(host.links().revoke(host.link().id()));
    assert_eq!(end(&viewer).await, SessionEnd::LinkRevoked);
}

#[tokio::test(start_paused = true)]
async fn who_is_removed_ends_at_once_and_is_not_listed() {
    let net = Net::new();
    let host = net.host(host_config(), Access::Full).await;
    let named = negotiator(&net, host.link()).named("Ada\u{1b}[2J");
    let (viewer, hosted) = tokio::join!(named.connect(), host.accept());
    let (viewer, hosted) = (viewer.unwrap(), hosted.unwrap());
    let (stays, other) = join(&net, &host, host.link()).await;
    let members = host.members();
    assert_eq!(members.len(), 2);
    let ada = members.iter().find(|member| member.peer == hosted.peer()).unwrap();
    assert_eq!(ada.name.as_ref().map(|name| name.as_str()), Some("Ada[2J"), "without what steers a terminal");
    assert_eq!((ada.link, ada.access), (host.link().id(), Access::Full));
    assert_eq!(ada.path, Some(support::PRIMARY));
    assert!(ada.last_heard.is_some());

    assert!(host.remove(hosted.peer()));
    assert_eq!(end(&viewer).await, SessionEnd::Removed);
    assert!(hosted.end().is_some());
    assert_eq!(host.members().len(), 1);
    says(&stays, &other, "here").await;
    assert!(!host.remove(hosted.peer()), "it is gone");
    // The link is another matter: by it somebody else comes.
    join(&net, &host, host.link()).await;
}

#[tokio::test(start_paused = true)]
async fn a_link_for_one_is_used_up_by_one_and_an_expired_one_keeps_its_people() {
    let net = Net::new();
    let host = net.host(host_config(), Access::Full).await;
    let for_one = host.links().add(LinkOptions::full().for_uses(1)).await.unwrap();
    let (first, hosted) = join(&net, &host, &for_one).await;
    let error = refused(&net, &for_one).await;
    assert!(matches!(error, JoinError::LinkUsedUp), "{error}");
    // Who came stays, also when its path breaks.
    net.primary.cut();
    says(&first, &hosted, "still the one").await;
    let info = host.links().list().pop().unwrap();
    assert_eq!((info.state, info.used), (LinkState::UsedUp, 1));
    assert!(info.expires_at.is_some());
}

/// Loses a session and enters anew with the same key. Who waits for less lets go first.
async fn enters_anew(viewer_waits: Duration, host_waits: Duration) {
    let net = Net::new();
    let mut config = host_config();
    config.network.resume_window = host_waits;
    let host = net.host(config, Access::Full).await;
    let for_one = LinkOptions::full().for_uses(1).expiring_in(Duration::from_secs(3600));
    let for_one = host.links().add(for_one).await.unwrap();
    let key = ViewerKey::draw(&for_one).unwrap();
    let mut config = NetworkConfig::default();
    config.resume_window = viewer_waits;
    let enter = |key: ViewerKey| {
        Negotiator::meeting_at(for_one.clone(), config.clone(), Arc::new(net.clone())).with_key(key).connect()
    };
    let (viewer, hosted) = tokio::join!(enter(key.clone()), host.accept());
    let (viewer, hosted) = (viewer.unwrap(), hosted.unwrap());
    // Neither hears of the other's end.
    net.room.set_silent(true);
    for path in [&net.primary, &net.fallback] {
        path.block();
        path.cut();
    }
    let first = if viewer_waits < host_waits { &viewer } else { &hosted };
    let lost = timeout(Duration::from_secs(600), first.ended()).await.unwrap();
    assert!(matches!(lost, SessionEnd::Expired { .. }), "{lost:?}");
    net.room.set_silent(false);
    net.primary.heal();
    net.fallback.heal();
    let lost = timeout(Duration::from_secs(600), viewer.ended()).await.unwrap();
    assert!(matches!(lost, SessionEnd::Expired { .. }), "{lost:?}");
    // What the host still keeps of the session before ends with the knock of the next life.
    let again = async {
        loop {
            match enter(key.clone().next_life()).await {
                Ok(viewer) => return viewer,
                Err(error) => assert!(passes(&error), "{error:?}"),
            }
            sleep(Duration::from_secs(1)).await;
        }
    };
    let both = async { tokio::join!(again, host.accept()) };
    let (viewer, hosted) = timeout(Duration::from_secs(60), both).await.unwrap();
    let hosted = hosted.unwrap();
    says(&viewer, &hosted, "it is me").await;
    let info = host.links().list().pop().unwrap();
    assert_eq!((info.state, info.used), (LinkState::UsedUp, 1));
    assert!(matches!(refused(&net, &for_one).await, JoinError::LinkUsedUp));
    assert_eq!(host.members().len(), 1);
}

fn passes(error: &JoinError) -> bool {
    matches!(error, JoinError::HostAbsent | JoinError::NoPath { .. })
}

#[tokio::test(start_paused = true)]
async fn who_enters_anew_with_the_same_key_uses_a_link_once_whoever_let_go_first() {
    let (brief, long) = (Duration::from_secs(60), Duration::from_secs(3600));
    enters_anew(long, brief).await;
    enters_anew(brief, long).await;
}

#[tokio::test(start_paused = true)]
async fn of_two_that_use_a_link_for_one_at_once_one_comes_in() {
    let net = Net::new();
    let host = net.host(host_config(), Access::Full).await;
    let for_one = host.links().add(LinkOptions::full().for_uses(1)).await.unwrap();
    let (a, b) = tokio::join!(negotiator(&net, &for_one).connect(), negotiator(&net, &for_one).connect());
    sleep(Duration::from_secs(2)).await;
    let mut inside = 0;
    for joined in [a, b] {
        match joined {
            Ok(session) => match session.end() {
                None => inside += 1,
                Some(end) => assert_eq!(end, SessionEnd::TurnedAway { why: ByeReason::LinkUsedUp }),
            },
            Err(error) => assert!(matches!(error, JoinError::LinkUsedUp), "{error}"),
        }
    }
    assert_eq!((inside, host.members().len()), (1, 1));
}

/// A person who takes a while.
#[derive(Debug)]
struct Person {
    asked: Notify,
    decided: Notify,
    decision: Decision,
}

#[async_trait]
impl Approval for Person {
    async fn decide(&self, applicant: Applicant) -> Decision {
        assert_eq!(applicant.name.unwrap().as_str(), "Grace");
        self.asked.notify_one();
        self.decided.notified().await;
        self.decision
    }
}

#[tokio::test(start_paused = true)]
async fn a_person_decides_before_a_session_is_handed_out() {
    let admit = [Access::Full, Access::ReadOnly].map(Decision::Admit);
    for decision in admit.into_iter().chain([Decision::Refuse, Decision::Unanswered]) {
        let net = Net::new();
        let person = Arc::new(Person { asked: Notify::new(), decided: Notify::new(), decision });
        let mut config = host_config();
        config.approval = Some(person.clone());
        let host = net.host(config, Access::Full).await;
        let pending = Arc::new(Notify::new());
        let told = pending.clone();
        let joining = negotiator(&net, host.link()).named("Grace").when_pending(move || told.notify_one());
        let joining = tokio::spawn(joining.connect());
        tokio::join!(person.asked.notified(), pending.notified());
        // Longer than anything else would wait.
        sleep(Duration::from_secs(300)).await;
        assert!(!joining.is_finished() && host.members().is_empty());
        person.decided.notify_one();
        match decision {
            Decision::Admit(access) => {
                let (viewer, hosted) = tokio::join!(joining, host.accept());
                let (viewer, hosted) = (viewer.unwrap().unwrap(), hosted.unwrap());
                assert_eq!((viewer.access(), hosted.access()), (Some(access), Some(access)));
                says(&hosted, &viewer, "welcome").await;
            }
            Decision::Refuse => {
                let error = joining.await.unwrap().unwrap_err();
                assert!(matches!(error, JoinError::NotApproved), "{error}");
            }
            Decision::Unanswered => {
                let error = joining.await.unwrap().unwrap_err();
                assert!(matches!(error, JoinError::HostRefused { why: ByeReason::Unanswered }), "{error}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_link_revoked_while_a_person_decides_is_answered_at_once() {
    let net = Net::new();
    let decision = Decision::Admit(Access::Full);
    let person = Arc::new(Person { asked: Notify::new(), decided: Notify::new(), decision });
    let mut config = host_config();
    config.approval = Some(person.clone());
    let host = net.host(config, Access::Full).await;
    let joining = tokio::spawn(negotiator(&net, host.link()).named("Grace").connect());
    person.asked.notified().await;
    host.links().revoke(host.link().id());
    let error = timeout(Duration::from_secs(3), joining).await.unwrap().unwrap().unwrap_err();
    assert!(matches!(error, JoinError::LinkRevoked), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_session_is_shared_by_at_least_one_link_and_at_most_sixty_four() {
    let net = Net::new();
    let mut config = host_config();
    config.links.clear();
    let error = Host::meeting_at(config, Arc::new(net.clone())).await.unwrap_err();
    assert!(error.to_string().contains("one link"), "{error}");
    let host = net.host(host_config(), Access::Full).await;
    for _ in 1..64 {
        host.links().add(LinkOptions::full()).await.unwrap();
    }
    assert!(host.links().add(LinkOptions::full()).await.is_err());
    host.links().revoke(host.link().id());
    let link = host.links().add(LinkOptions::full()).await.unwrap();
    join(&net, &host, &link).await;
}
