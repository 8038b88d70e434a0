//! What a host takes back is gone, on every path, with the real control plane, relay and WebRTC: who is shown out, how
//! soon, and what the others notice of it.
#![allow(clippy::disallowed_methods, reason = "a test is an owner, which brings the runtime")]
#![allow(missing_docs, clippy::unwrap_used, reason = "a test")]

mod real;

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use lifeguard_relay::{Dev, DevConfig};
use negotiator::{
    Access, FallbackMode, Host, HostConfig, JoinError, JoinLink, LinkOptions, Negotiator, NetworkConfig,
    Received, Session, SessionEnd,
};
use real::{PATIENCE, RELAY, network};
use tokio::time::{sleep, timeout};

/// A control plane with its relay, a host, and everybody kept to one path.
struct Service {
    dev: Dev,
    host: Host,
    mode: FallbackMode,
}

impl Service {
    async fn open(mode: FallbackMode, links: Vec<LinkOptions>) -> Self {
        let dev = Dev::start(DevConfig::default()).await.unwrap();
        let mut config = HostConfig::new(dev.public_url());
        config.network = kept_to(mode);
        config.links = links;
        let host = Host::share(config).await.unwrap();
        Self { dev, host, mode }
    }

    async fn join(&self, link: &JoinLink) -> Result<(Session, Session), JoinError> {
        let joining = Negotiator::new(link.clone(), kept_to(self.mode)).connect();
        let (viewer, hosted) = tokio::join!(joining, timeout(PATIENCE, self.host.accept()));
        Ok((viewer?, hosted.expect("it comes").expect("the host shares")))
    }

    async fn refused(&self, link: &JoinLink) -> JoinError {
        Negotiator::new(link.clone(), kept_to(self.mode)).connect().await.unwrap_err()
    }

    async fn close(self) {
        self.host.close().await;
        self.dev.shutdown().await;
    }
}

fn kept_to(mode: FallbackMode) -> NetworkConfig {
    let mut config = network();
    config.mode = mode;
    config.connect_timeout = PATIENCE;
    config
}

/// Numbers one way for as long as it works, and when the last of them arrived.
struct Flow {
    stop: Arc<AtomicBool>,
    last: Arc<Mutex<(u64, Instant)>>,
    sent: tokio::task::JoinHandle<u64>,
    received: tokio::task::JoinHandle<()>,
}

impl Flow {
    fn start(from: &Session, to: &Session) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let last = Arc::new(Mutex::new((0, Instant::now())));
        let sent = tokio::spawn({
            let (from, stop) = (from.clone(), stop.clone());
            async move {
                for number in 1u64.. {
                    let message = [&number.to_be_bytes()[..], &[7; 1000]].concat();
                    if stop.load(Ordering::Relaxed) || from.send(message.into()).await.is_err() {
                        return number - 1;
                    }
                    sleep(Duration::from_millis(5)).await;
                }
                unreachable!()
            }
        });
        let received = tokio::spawn({
            let (to, last) = (to.clone(), last.clone());
            async move {
                while let Ok(Received::Message(message)) = to.recv().await {
                    let number = u64::from_be_bytes(message[..8].try_into().unwrap());
                    let mut last = last.lock().unwrap();
                    assert_eq!(number, last.0 + 1, "nothing lost, doubled or out of order");
                    *last = (number, Instant::now());
                }
            }
        });
        Self { stop, last, sent, received }
    }

    fn last(&self) -> (u64, Instant) {
        *self.last.lock().unwrap()
    }

    /// Stops, and waits until everything sent has arrived.
    async fn finish(self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        let sent = self.sent.await.unwrap();
        let arrived = async {
            while self.last.lock().unwrap().0 < sent {
                sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(PATIENCE, arrived).await.expect("everything arrives");
        self.received.abort();
        sent
    }
}

/// What happened to who was shown out.
#[derive(Debug)]
#[expect(dead_code, reason = "printed")]
struct Out {
    end: SessionEnd,
    /// Until it knew.
    known: Duration,
    /// Until the last message from it reached the host's application, and the other way round.
    last: [Duration; 2],
}

/// Two viewers under load both ways; `show_out` takes the second one's place back.
async fn shown_out(service: &Service, links: [&JoinLink; 2], show_out: impl FnOnce(&Host, &Session)) -> Out {
    let (stays, hosted) = service.join(links[0]).await.unwrap();
    let (goes, going) = service.join(links[1]).await.unwrap();
    let kept = [Flow::start(&stays, &hosted), Flow::start(&hosted, &stays)];
    let ended = [Flow::start(&goes, &going), Flow::start(&going, &goes)];
    sleep(Duration::from_millis(1500)).await;
    assert!(ended.iter().all(|flow| flow.last().0 > 50), "under load");

    let begun = Instant::now();
    show_out(&service.host, &going);
    let end = timeout(Duration::from_secs(2), goes.ended()).await.expect("it knows within two seconds");
    let known = begun.elapsed();
    let members: Vec<_> = service.host.members().iter().map(|member| member.peer).collect();
    assert_eq!(members, [hosted.peer()], "nobody else is listed");
    sleep(Duration::from_secs(2)).await;
    let last = [0, 1].map(|way| ended[way].last().1.saturating_duration_since(begun));

    let before = kept.iter().map(|flow| flow.last().0).collect::<Vec<_>>();
    sleep(Duration::from_millis(500)).await;
    assert!(kept.iter().zip(before).all(|(flow, before)| flow.last().0 > before), "the other goes on");
    for flow in kept {
        flow.finish().await;
    }
    stays.close().await;
    Out { end, known, last }
}

fn is_quick(out: &Out) -> bool {
    out.last.iter().all(|last| *last <= Duration::from_secs(2))
}

const PATHS: [FallbackMode; 2] = [FallbackMode::RelayOnly, FallbackMode::DirectOnly];

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_link_is_out_within_two_seconds_under_load_and_the_other_viewer_loses_nothing() {
    for mode in PATHS {
        let service = Service::open(mode, vec![LinkOptions::full(), LinkOptions::full()]).await;
        let link = service.host.links().list()[1].link.clone();
        let out = shown_out(&service, [service.host.link(), &link], |host, _| {
            assert!(host.links().revoke(link.id()));
        })
        .await;
        println!("{mode:?} revoked: {out:?}");
        assert_eq!(out.end, SessionEnd::LinkRevoked);
        assert!(is_quick(&out), "{out:?}");
        let error = service.refused(&link).await;
        assert!(matches!(error, JoinError::LinkRevoked), "{error}");
        service.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_removed_is_out_within_two_seconds_under_load_and_its_link_lives_on() {
    for mode in PATHS {
        let service = Service::open(mode, vec![LinkOptions::full()]).await;
        let link = service.host.link().clone();
        let out = shown_out(&service, [&link, &link], |host, going| {
            assert!(host.remove(going.peer()));
        })
        .await;
        println!("{mode:?} removed: {out:?}");
        assert_eq!(out.end, SessionEnd::Removed);
        assert!(is_quick(&out), "{out:?}");
        service.join(&link).await.unwrap();
        service.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_only_viewer_s_bytes_reach_no_application_on_either_path() {
    for mode in PATHS {
        let service = Service::open(mode, vec![LinkOptions::full(), LinkOptions::read_only()]).await;
        let watch = service.host.links().list()[1].link.clone();
        assert_eq!(watch.access(), Access::ReadOnly);
        let (viewer, hosted) = service.join(&watch).await.unwrap();
        // Less than the relay lets a read-only viewer send at once: beyond that it is held for seconds.
        for _ in 0..50 {
            viewer.send(vec![7; 100].into()).await.unwrap();
        }
        viewer.flushed().await.unwrap();
        let datagrams = async {
            while hosted.refused_input().datagrams < 5 {
                viewer.send_datagram("typed".into()).unwrap();
                sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(Duration::from_secs(5), datagrams).await.expect("datagrams arrive, and are refused");
        hosted.send("output".into()).await.unwrap();
        assert_eq!(viewer.recv().await, Ok(Received::Message("output".into())));
        assert!(timeout(Duration::from_millis(300), hosted.recv()).await.is_err(), "nothing passes");
        assert_eq!(hosted.refused_input().messages, 50);
        service.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_made_while_sharing_lets_in_and_one_that_expired_or_is_used_up_does_not() {
    let service = Service::open(FallbackMode::RelayOnly, vec![LinkOptions::full()]).await;
    let links = service.host.links();
    let for_one = links.add(LinkOptions::full().for_uses(1)).await.unwrap();
    let (viewer, hosted) = service.join(&for_one).await.unwrap();
    assert_eq!(viewer.status().path, Some(RELAY));
    // The host says that it is used up; whoever admits knows a while later, and calls it expired.
    for _ in 0..2 {
        let error = service.refused(&for_one).await;
        assert!(matches!(error, JoinError::LinkUsedUp | JoinError::LinkExpired), "{error}");
        sleep(Duration::from_millis(500)).await;
    }
    let short = links.add(LinkOptions::full().expiring_in(Duration::from_secs(3))).await.unwrap();
    let (early, _hosted) = service.join(&short).await.unwrap();
    sleep(Duration::from_secs(4)).await;
    // A viewer whose clock is behind.
    let error = service.refused(&short.clone().expiring_at(u64::from(u32::MAX))).await;
    assert!(matches!(error, JoinError::LinkExpired), "{error}");
    // Who came before stays.
    for session in [&viewer, &hosted, &early] {
        assert_eq!(session.end(), None);
    }
    service.close().await;
}
