//! A tab that is lost comes back as who it was.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::Relaxed},
};

use negotiator::{Access, Applicant, Approval, CloseCode, Decision, Host, HostConfig, Session, SessionEnd};
use serde_json::json;
use tokio::time::{Instant, timeout};

use crate::{
    LONG, Service,
    browser::{Browser, Tab},
    end, hear, heard, page, say,
    terminal::{LINE, SCREEN, SHELL, Share, opened, service},
};

/// Lets everybody in, and counts.
#[derive(Debug, Default)]
struct Person(AtomicUsize);

#[async_trait::async_trait]
impl Approval for Person {
    async fn decide(&self, _: Applicant) -> Decision {
        self.0.fetch_add(1, Relaxed);
        Decision::Admit(Access::Full)
    }
}

/// Has a page join as the viewer that its tab is.
async fn join(tab: &Tab, host: &Host) -> Session {
    let link = json!(host.link().reveal());
    let joining = format!(
        "import(location.origin + '/viewer.js').then(({{ tabViewer }}) => tabViewer({link}, viewerKey)).then(key => join({link}, key))"
    );
    let (_, hosted) = tokio::join!(tab.evaluate(&joining), timeout(LONG, host.accept()));
    hosted.unwrap().unwrap()
}

/// Says a key and hears it back with a screen.
async fn goes_on(tab: &Tab, hosted: &Session) {
    tab.evaluate("say('a key')").await;
    assert_eq!(hear(hosted).await, "a key");
    say(hosted, 0..20).await;
    heard(tab, 20).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reloaded_tab_is_the_same_viewer_at_once_and_a_copy_of_it_is_another() {
    let site = page::serve().await;
    let service = Service::start(site.origin()).await;
    let person = Arc::<Person>::default();
    let mut config = HostConfig::new(service.dev.public_url());
    config.max_viewers = 2;
    config.approval = Some(person.clone());
    let (browser, host) = tokio::join!(Browser::start(), Host::share(config));
    let host = host.unwrap();
    let tab = browser.open(&site.origin()).await;
    let mut hosted = join(&tab, &host).await;
    goes_on(&tab, &hosted).await;

    for _ in 0..2 {
        tab.reload("globalThis.ready").await;
        let begun = Instant::now();
        let anew = join(&tab, &host).await;
        println!("back after {:?}", begun.elapsed());
        let SessionEnd::Closed(closed) = timeout(LONG, hosted.ended()).await.unwrap() else {
            panic!("it ended otherwise")
        };
        assert_eq!(closed.code, CloseCode::SUPERSEDED);
        assert_eq!((anew.peer(), host.members().len(), person.0.load(Relaxed)), (hosted.peer(), 1, 1));
        goes_on(&tab, &anew).await;
        hosted = anew;
    }

    // What a browser copies with a tab names the viewer too; that one is taken.
    let copied = tab.evaluate("sessionStorage.getItem('beach:viewer')").await;
    let script = format!("sessionStorage.setItem('beach:viewer', {copied})");
    let copy = browser.open_after(&site.origin(), &script).await;
    let other = join(&copy, &host).await;
    assert!(other.peer() != hosted.peer());
    assert_eq!((host.members().len(), person.0.load(Relaxed)), (2, 2));
    goes_on(&copy, &other).await;
    tab.evaluate("say('still here')").await;
    assert_eq!(hear(&hosted).await, "still here");
    end(host, browser, service).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_tabs_of_one_link_are_two_viewers_and_one_that_is_reloaded_makes_no_third() {
    let service = service().await;
    let (browser, share) = tokio::join!(Browser::start(), Share::start(&service, &[], &SHELL));
    let one = opened(&browser, &share.link).await;
    one.until(SCREEN, "ready> ").await;
    let two = opened(&browser, &share.link).await;
    two.until(SCREEN, "ready> ").await;
    // A tab behind another one does not draw its line.
    one.call("Page.bringToFront", json!({})).await.unwrap();
    one.until(LINE, "2 viewers").await;
    one.reload("document.querySelector('#announce')").await;
    one.until("document.querySelector('#announce').textContent", "back").await;
    one.until(SCREEN, "ready> ").await;
    one.until(LINE, "2 viewers").await;
    one.type_text("echo $((6 * 7))nd").await;
    one.press_return().await;
    two.call("Page.bringToFront", json!({})).await.unwrap();
    two.until(LINE, "2 viewers").await;
    two.until(SCREEN, "\n42nd").await;
    share.stop().await;
    browser.close().await;
    service.shutdown().await;
}
