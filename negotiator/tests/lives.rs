//! A viewer that lost everything but its key, and comes back: over a network in memory, in virtual time.
#![allow(clippy::disallowed_methods, reason = "a test is an owner, which brings the runtime")]
#![allow(missing_docs, unreachable_pub, dead_code, clippy::unwrap_used)]

mod support;

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use async_trait::async_trait;
use negotiator::{
    Access, Applicant, Approval, CloseCode, Decision, Host, JoinError, NetworkConfig, Received, Session,
    SessionEnd, ViewerKey,
};
use support::{Net, Scenes as _, host_config};
use tokio::time::{Instant, sleep, timeout};

/// Lets everybody look, and counts.
#[derive(Debug, Default)]
struct Person(AtomicUsize);

#[async_trait]
impl Approval for Person {
    async fn decide(&self, _: Applicant) -> Decision {
        self.0.fetch_add(1, Relaxed);
        Decision::Admit(Access::ReadOnly)
    }
}

async fn shared(net: &Net, seats: usize) -> (Host, Arc<Person>) {
    let (mut config, person) = (host_config(), Arc::<Person>::default());
    config.max_viewers = seats;
    config.approval = Some(person.clone());
    (net.host(config, Access::Full).await, person)
}

async fn tried(net: &Net, host: &Host, key: &ViewerKey) -> Result<Session, JoinError> {
    net.viewer(host, NetworkConfig::default()).named("Ada").with_key(key.clone()).connect().await
}

async fn join(net: &Net, host: &Host, key: &ViewerKey) -> (Session, Session) {
    let (viewer, hosted) = tokio::join!(tried(net, host, key), timeout(LONG, host.accept()));
    (viewer.unwrap(), hosted.unwrap().unwrap())
}

async fn says(from: &Session, to: &Session, word: &'static str) {
    from.send(word.into()).await.unwrap();
    assert_eq!(timeout(LONG, to.recv()).await.unwrap().unwrap(), Received::Message(word.into()));
}

async fn end(session: &Session) -> SessionEnd {
    timeout(LONG, session.ended()).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_later_life_takes_its_place_at_once_and_nobody_is_asked_again() {
    let net = Net::new();
    let (host, person) = shared(&net, 1).await;
    let key = ViewerKey::draw(host.link()).unwrap();
    let (before, hosted_before) = join(&net, &host, &key).await;
    says(&hosted_before, &before, "a screen").await;
    let was = host.members();
    // What the host said and nobody acknowledges any more is not carried over.
    net.primary.block();
    hosted_before.send("lost with that life".into()).await.unwrap();
    net.primary.heal();
    sleep(Duration::from_secs(1)).await;

    let begun = Instant::now();
    let (viewer, hosted) = join(&net, &host, &key.clone().next_life()).await;
    assert!(begun.elapsed() < Duration::from_secs(5), "without waiting for a silence: {:?}", begun.elapsed());
    let SessionEnd::Closed(closed) = end(&hosted_before).await else { panic!("ended otherwise") };
    assert_eq!(closed.code, CloseCode::SUPERSEDED);
    says(&hosted, &viewer, "the screen as it is").await;
    says(&hosted, &viewer, "and what comes").await;

    let is = host.members();
    assert_eq!(
        (is.len(), is[0].peer, &is[0].name, is[0].access),
        (1, was[0].peer, &was[0].name, Access::ReadOnly)
    );
    assert_eq!((hosted.peer(), person.0.load(Relaxed)), (hosted_before.peer(), 1));
    // There is one seat: it never had two.
    let other = ViewerKey::draw(host.link()).unwrap();
    assert!(matches!(tried(&net, &host, &other).await, Err(JoinError::Full)));
    // The session that was replaced takes nothing away when its last handle goes.
    drop((before, hosted_before));
    sleep(Duration::from_secs(30)).await;
    says(&hosted, &viewer, "still here").await;
    assert_eq!(host.members().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_life_that_said_goodbye_is_followed_within_a_minute_without_a_question() {
    let net = Net::new();
    let (host, person) = shared(&net, 2).await;
    let mut key = ViewerKey::draw(host.link()).unwrap();
    for (away, asked) in [(0, 1), (50, 1), (70, 2)] {
        if away > 0 {
            sleep(Duration::from_secs(away)).await;
            key = key.next_life();
        }
        let (viewer, hosted) = join(&net, &host, &key).await;
        assert_eq!((person.0.load(Relaxed), host.members().len()), (asked, 1), "after {away} s");
        assert_eq!(host.members()[0].access, Access::ReadOnly);
        viewer.close().await;
        end(&hosted).await;
        while !host.members().is_empty() {
            sleep(Duration::from_millis(10)).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_earlier_life_and_another_key_take_nobody_s_place() {
    let net = Net::new();
    let (host, _) = shared(&net, 4).await;
    let first = ViewerKey::draw(host.link()).unwrap();
    let second = first.clone().next_life();
    let (viewer, hosted) = join(&net, &host, &second).await;
    // Nothing answers somebody who is gone.
    assert!(matches!(tried(&net, &host, &first).await, Err(JoinError::HostAbsent)));
    let (other, hosted_other) = join(&net, &host, &ViewerKey::draw(host.link()).unwrap()).await;
    assert_eq!(host.members().len(), 2);
    says(&hosted_other, &other, "one").await;
    says(&hosted, &viewer, "two").await;
}

#[tokio::test(start_paused = true)]
async fn lives_that_follow_each_other_too_fast_wait_for_their_turn() {
    let net = Net::new();
    let (host, _) = shared(&net, 1).await;
    let mut key = ViewerKey::draw(host.link()).unwrap();
    let begun = Instant::now();
    let mut lives = Vec::new();
    for _ in 0..5 {
        lives.push(join(&net, &host, &key).await);
        key = key.next_life();
    }
    assert!(begun.elapsed() >= Duration::from_secs(2), "{:?}", begun.elapsed());
    assert_eq!(host.members().len(), 1);
    let (viewer, hosted) = &lives[4];
    says(hosted, viewer, "the last one").await;
}

#[tokio::test(start_paused = true)]
async fn whom_the_host_removed_stays_out_in_every_life() {
    let net = Net::new();
    let (host, _) = shared(&net, 4).await;
    let key = ViewerKey::draw(host.link()).unwrap();
    let (viewer, hosted) = join(&net, &host, &key).await;
    viewer.close().await;
    end(&hosted).await;
    host.remove(hosted.peer());
    assert!(matches!(tried(&net, &host, &key.next_life()).await, Err(JoinError::Removed)));
}

#[tokio::test(start_paused = true)]
async fn a_key_is_for_its_link() {
    let net = Net::new();
    let ((host, _), (other, _)) = (shared(&net, 1).await, shared(&net, 1).await);
    let key = ViewerKey::draw(other.link()).unwrap();
    assert!(matches!(tried(&net, &host, &key).await, Err(JoinError::Misconfigured(_))));
}

/// For anything that happens at all.
const LONG: Duration = Duration::from_secs(60);
