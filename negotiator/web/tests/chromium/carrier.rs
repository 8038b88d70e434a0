//! The relay over HTTP, where something on the way lets no WebSocket through.

use std::time::Duration;

use lifeguard_relay::{Dev, DevConfig};
use negotiator::{FallbackMode, Host, HostConfig, NetworkConfig};
use serde_json::json;
use tokio::time::Instant;

use crate::{
    Service,
    browser::{Browser, Tab},
    end, hear, heard, joined, leave,
    middlebox::{Middlebox, Upgrade},
    page, say,
    terminal::{SCREEN, SHELL, Share, opened},
};

/// What carries the session, for a person.
const CARRIED: &str = "session.explanation().carried";

const OVER_HTTP: &str = "HTTP streaming";

/// A service whose relay the page reaches through a middlebox alone. Its host goes around that.
async fn behind(upgrade: Upgrade, origin: String) -> (Middlebox, Service, Host) {
    let (middlebox, mut config) = (Middlebox::start(upgrade).await, DevConfig::default());
    config.control.relay_url = Some(middlebox.relay_url());
    let service = Service::start_with(origin, config).await;
    middlebox.lead_to(service.dev.listen_addr());
    let mut config = HostConfig::new(service.dev.public_url());
    config.network = NetworkConfig::default();
    config.network.mode = FallbackMode::RelayOnly;
    config.network.relay_url = Some(service.dev.relay_ws_url().parse().unwrap());
    let host = Host::share(config).await.unwrap();
    (middlebox, service, host)
}

async fn is_over_http(tab: &Tab) {
    tab.until(CARRIED, OVER_HTTP).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_the_upgrade_is_refused_a_page_goes_over_http_and_loses_nothing_when_that_is_cut() {
    let site = page::serve().await;
    let (middlebox, service, host) = behind(Upgrade::Refuse, site.origin()).await;
    let browser = Browser::start().await;
    let begun = Instant::now();
    let (tab, hosted) = joined(&browser, &site.origin(), &host).await;
    println!("over HTTP after {:?}", begun.elapsed());
    is_over_http(&tab).await;
    assert_eq!(middlebox.upgrades(), 1);
    assert!(tab.asked().iter().any(|url| url.ends_with("/v2/stream")), "{:?}", tab.asked());

    say(&hosted, 0..100).await;
    heard(&tab, 100).await;
    // More than an upload holds, and more than the browser hands over at once.
    tab.evaluate("say('y'.repeat(300000))").await;
    assert_eq!(hear(&hosted).await, "y".repeat(300_000));
    tab.evaluate("(async () => { for (let n = 0; n < 50; n += 1) await say(`key ${n}`); })()").await;
    for number in 0..50 {
        assert_eq!(hear(&hosted).await, format!("key {number}"));
    }

    middlebox.cut();
    tab.evaluate("say('into the gap')").await;
    say(&hosted, 100..150).await;
    assert_eq!(hear(&hosted).await, "into the gap");
    heard(&tab, 150).await;
    is_over_http(&tab).await;
    assert_eq!(middlebox.upgrades(), 1, "it is remembered what works");
    leave(&tab, &hosted).await;
    end(host, browser, service).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_the_upgrade_is_swallowed_or_cut_thrice_a_page_goes_over_http() {
    let site = page::serve().await;
    for upgrade in [Upgrade::Swallow, Upgrade::Cut(Duration::from_millis(300))] {
        let (middlebox, service, host) = behind(upgrade, site.origin()).await;
        let browser = Browser::start().await;
        let begun = Instant::now();
        let (tab, hosted) = joined(&browser, &site.origin(), &host).await;
        // Something to carry, each time.
        tab.evaluate("void chat()").await;
        is_over_http(&tab).await;
        println!("{upgrade:?}: over HTTP after {:?}, {} upgrades", begun.elapsed(), middlebox.upgrades());
        let said = tab.evaluate("hush('that is all')").await.as_u64().unwrap();
        for number in 0..said {
            assert_eq!(hear(&hosted).await, format!("key {number}"));
        }
        assert_eq!(hear(&hosted).await, "that is all");
        say(&hosted, 0..50).await;
        heard(&tab, 50).await;
        leave(&tab, &hosted).await;
        end(host, browser, service).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_a_foreign_origin_reaches_the_relay_by_neither_carrier() {
    let site = page::serve().await;
    let mut config = DevConfig::default();
    config.control.allowed_origins = vec![site.origin()];
    config.relay.allowed_origins = vec!["https://beach.example".to_owned()];
    let service = Service { dev: Dev::start(config.clone()).await.unwrap(), config };
    let (browser, host) = tokio::join!(Browser::start(), service.share_over_relay());
    let tab = browser.open(&site.origin()).await;
    let joining = format!(
        "connect({}, {{ connectTimeout: 8000 }}).then(() => 'joined', error => error.message)",
        json!(host.link().reveal())
    );
    let said = tab.evaluate(&joining).await;
    assert!(said.as_str().is_some_and(|said| said.contains("relay")), "{said}");
    let asked = tab.asked();
    for path in ["/v2/ws", "/v2/stream"] {
        assert!(asked.iter().any(|url| url.ends_with(path)), "{path}: {asked:?}");
    }
    let refusals = service.dev.relay().snapshot().recent_refusals;
    assert!(refusals.len() >= 2 && refusals.iter().all(|refusal| refusal.label == "origin"), "{refusals:?}");
    assert!(host.members().is_empty());
    end(host, browser, service).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_behind_a_link_may_go_over_http_to_a_relay_of_another_name() {
    let middlebox = Middlebox::start(Upgrade::Refuse).await;
    let mut config = DevConfig::default();
    config.page.folder = Some(page::built("web-page", "web-page-dev"));
    config.page.relays = lifeguard_relay::page::Relays::One(middlebox.relay_url());
    config.control.relay_url = Some(middlebox.relay_url());
    // The relay must know the page's origin, and that has no port before it was started.
    let first = Dev::start(config.clone()).await.unwrap();
    (config.public, config.relay.allowed_origins) = (first.listen_addr(), vec![first.public_url()]);
    first.shutdown().await;
    let service = Dev::start(config).await.expect("run scripts/web dev first");
    middlebox.lead_to(service.listen_addr());
    let (browser, share) = tokio::join!(Browser::start(), Share::start(&service, &["--relay-only"], &SHELL));
    let tab = opened(&browser, &share.link).await;
    tab.until(SCREEN, "ready> ").await;
    tab.type_text("echo $((6 * 7))nd").await;
    tab.press_return().await;
    tab.until(SCREEN, "\n42nd").await;
    assert!(tab.asked().iter().any(|url| url.ends_with("/v2/stream")), "{:?}", tab.asked());
    assert_eq!(tab.evaluate("refused").await, json!([]), "the page keeps to its policy");
    share.stop().await;
    browser.close().await;
    service.shutdown().await;
}
