//! The module in a real Chromium, against a real control plane, relay and host. `scripts/web test` builds it and runs this.
#![allow(clippy::disallowed_methods, reason = "a test is an owner, which brings the runtime")]
#![allow(missing_docs, clippy::unwrap_used, reason = "a test")]

mod browser;
mod carrier;
#[path = "../../../tests/real/coturn.rs"]
#[allow(dead_code, unreachable_pub, reason = "of other tests too")]
mod coturn;
mod direct;
mod figures;
mod lives;
mod middlebox;
mod page;
mod pictures;
mod shared;
mod talk;
mod terminal;

use std::{net::SocketAddr, time::Duration};

use browser::{Browser, Tab};
use figures::figure;
use lifeguard_relay::{Dev, DevConfig};
use negotiator::{FallbackMode, Host, HostConfig, NetworkConfig, Received, Session};
use serde_json::json;
use talk::Talk;
use tokio::time::{Instant, sleep, timeout};

/// A development service that lets the page's origin in.
struct Service {
    dev: Dev,
    config: DevConfig,
}

impl Service {
    async fn start(origin: String) -> Self {
        Self::start_with(origin, DevConfig::default()).await
    }

    async fn start_with(origin: String, mut config: DevConfig) -> Self {
        config.relay.allowed_origins = vec![origin.clone()];
        config.control.allowed_origins = vec![origin];
        let dev = Dev::start(config.clone()).await.unwrap();
        config.public = dev.public_url().strip_prefix("http://").unwrap().parse::<SocketAddr>().unwrap();
        Self { dev, config }
    }

    /// Ends it with everything it knows, and starts it again in the same place.
    async fn restart(self, meanwhile: impl Future<Output = ()>) -> Self {
        let Self { dev, config } = self;
        dev.shutdown().await;
        meanwhile.await;
        Self { dev: Dev::start(config.clone()).await.unwrap(), config }
    }

    async fn share(&self, network: NetworkConfig) -> Host {
        let mut config = HostConfig::new(self.dev.public_url());
        config.network = network;
        Host::share(config).await.unwrap()
    }

    /// Shares so that nothing but the relay leads there.
    async fn share_over_relay(&self) -> Host {
        let mut network = NetworkConfig::default();
        network.mode = FallbackMode::RelayOnly;
        self.share(network).await
    }
}

/// Opens a page that joined by the host's link, and the host's end of it.
async fn joined(browser: &Browser, origin: &str, host: &Host) -> (Tab, Session) {
    let tab = browser.open(origin).await;
    let hosted = join(&tab, host, "ws-fallback").await;
    (tab, hosted)
}

/// Has the page join by the host's link, over `path`, and returns the host's end.
async fn join(tab: &Tab, host: &Host, path: &str) -> Session {
    let join = format!("join({})", json!(host.link().reveal()));
    let (joined, hosted) = tokio::join!(tab.evaluate(&join), timeout(LONG, host.accept()));
    assert_eq!(joined, path, "{}", tab.evaluate("session.explain()").await);
    hosted.unwrap().unwrap()
}

async fn say(session: &Session, numbers: std::ops::Range<u32>) {
    for number in numbers {
        session.send(format!("record {number}").into()).await.unwrap();
    }
}

/// Waits until the page heard as many messages, and compares all of them.
async fn heard(tab: &Tab, records: u32) {
    let all = tab.evaluate(&format!("heard({records})")).await;
    let expected: Vec<_> = (0..records).map(|number| format!("record {number}")).collect();
    assert_eq!(all, json!(expected), "each once and in order");
}

async fn hear(session: &Session) -> String {
    match timeout(LONG, session.recv()).await.unwrap().unwrap() {
        Received::Message(bytes) => String::from_utf8(bytes.to_vec()).unwrap(),
        other => panic!("{other:?}"),
    }
}

/// Has the page end its session, and waits until the host knows.
async fn leave(tab: &Tab, hosted: &Session) {
    tab.evaluate("session.close()").await;
    timeout(LONG, hosted.ended()).await.unwrap();
}

/// Ends everything, whoever needs the others first.
async fn end(host: Host, browser: Browser, service: Service) {
    host.close().await;
    browser.close().await;
    service.dev.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_joins_by_its_link_and_loses_nothing_when_the_service_restarts() {
    let site = page::serve().await;
    let service = Service::start(site.origin()).await;
    let (browser, host) = tokio::join!(Browser::start(), service.share_over_relay());
    let (tab, hosted) = joined(&browser, &site.origin(), &host).await;

    say(&hosted, 0..100).await;
    heard(&tab, 100).await;

    // A key, and its echo.
    let echo = async {
        let key = hear(&hosted).await;
        hosted.send(format!("record {}", if key == "k" { 100 } else { 0 }).into()).await.unwrap();
    };
    let (took, ()) = tokio::join!(tab.evaluate("press('k', 101)"), echo);
    figure("a key's echo over the relay, without a terminal", "ms", took);

    // What is said into the gap, from both sides, arrives when the service is back.
    let talk = Talk::start(&tab, &hosted).await;
    let gap = async { tokio::join!(talk.host_said_more(), talk.page_said_more(&tab)) };
    let service = service.restart(async { _ = gap.await }).await;
    let begun = Instant::now();
    talk.heard_again(&tab).await;
    let again = begun.elapsed();
    let tally = talk.end(&tab, &hosted).await;
    tally.row("the service restarts", &tab, &[("on its way again", again)]).await;
    let explained = tab.evaluate("session.explain()").await;
    assert!(explained.as_str().is_some_and(|text| text.contains("ws-fallback")), "{explained}");

    leave(&tab, &hosted).await;
    end(host, browser, service).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_page_wakes_and_goes_on() {
    let site = page::serve().await;
    let service = Service::start(site.origin()).await;
    let (browser, host) = tokio::join!(Browser::start(), service.share_over_relay());
    let (tab, hosted) = joined(&browser, &site.origin(), &host).await;
    let talk = Talk::start(&tab, &hosted).await;
    tab.call("Page.setWebLifecycleState", json!({ "state": "frozen" })).await.unwrap();
    sleep(AWAY).await;
    talk.host_said_more().await;
    tab.call("Page.setWebLifecycleState", json!({ "state": "active" })).await.unwrap();
    let begun = Instant::now();
    talk.heard_again(&tab).await;
    let again = begun.elapsed();
    let tally = talk.end(&tab, &hosted).await;
    tally.row("the tab is frozen for 3 s", &tab, &[("on its way again", again)]).await;
    end(host, browser, service).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_was_offline_goes_on() {
    let site = page::serve().await;
    let service = Service::start(site.origin()).await;
    let (browser, host) = tokio::join!(Browser::start(), service.share_over_relay());
    let (tab, hosted) = joined(&browser, &site.origin(), &host).await;
    let network = |offline: bool| {
        let conditions =
            json!({ "offline": offline, "latency": 0, "downloadThroughput": -1, "uploadThroughput": -1 });
        tab.call("Network.emulateNetworkConditions", conditions)
    };
    let talk = Talk::start(&tab, &hosted).await;
    network(true).await.unwrap();
    assert_eq!(tab.evaluate("navigator.onLine").await, false);
    sleep(AWAY).await;
    tokio::join!(talk.host_said_more(), talk.page_said_more(&tab));
    network(false).await.unwrap();
    let begun = Instant::now();
    talk.heard_again(&tab).await;
    let again = begun.elapsed();
    let tally = talk.end(&tab, &hosted).await;
    tally.row("the page is offline for 3 s", &tab, &[("on its way again", again)]).await;
    end(host, browser, service).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_joined_is_said() {
    let site = page::serve().await;
    // Pages of another origin are let in, this one's are not.
    let service = Service::start("https://beach.example".to_owned()).await;
    let (browser, host) = tokio::join!(Browser::start(), service.share_over_relay());
    let tab = browser.open(&site.origin()).await;
    let name = |link: String, options: &str| {
        format!("connect({}, {options}).then(() => 'joined', error => error.name)", json!(link))
    };
    assert_eq!(tab.evaluate(&name("https://beach.example/s".to_owned(), "{}")).await, "BadLink");
    let quick = name(host.link().reveal(), "{ connectTimeout: 3000 }");
    assert_eq!(tab.evaluate(&quick).await, "JoinFailed");
    let stopped = name(host.link().reveal(), "{ signal: AbortSignal.timeout(10) }");
    assert_eq!(tab.evaluate(&stopped).await, "AbortError");
    end(host, browser, service).await;
}

/// How long a page is frozen or offline: longer than it takes to notice, shorter than the host waits for it.
const AWAY: Duration = Duration::from_secs(3);

/// For anything that happens at all.
const LONG: Duration = Duration::from_secs(60);
