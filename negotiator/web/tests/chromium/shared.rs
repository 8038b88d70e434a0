//! A page that shares: two browsers, and nothing of ours between them but the service.

use serde_json::json;

use crate::{
    Service,
    browser::{Browser, Tab},
    figures::{Tally, relay_sockets},
    page,
};

async fn joined(tab: &Tab, link: &str) {
    assert_eq!(tab.evaluate(&format!("join({})", json!(link))).await, "webrtc");
}

/// Says records, and hears as many back.
async fn echoed(tab: &Tab, records: u32) -> Tally {
    tab.evaluate(&format!(
        "(async () => {{ for (let n = 0; n < {records}; n += 1) await session.send(`record ${{n}}`); }})()"
    ))
    .await;
    let heard = tab.evaluate(&format!("heard({records})")).await;
    Tally::of("record", records, &serde_json::from_value::<Vec<_>>(heard).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_shares_with_a_page_in_another_browser_and_decides_who_stays() {
    let site = page::serve().await;
    let origin = site.origin();
    let service = Service::start(origin.clone()).await;
    let (one, other) = tokio::join!(Browser::start(), Browser::start());
    let (host, viewer) = tokio::join!(one.open(&origin), other.open(&origin));
    let approve = "{ approve: async ({ name, readOnly }) => name === 'a page' && !readOnly }";
    let share = format!("shareEcho({}, {approve})", json!(service.dev.public_url()));
    let link = host.evaluate(&share).await;
    let link = link.as_str().unwrap();
    joined(&viewer, link).await;
    echoed(&viewer, 200).await.row("a page shares, and echoes another browser's", &viewer, &[]).await;
    assert_eq!(
        (relay_sockets(&host), relay_sockets(&viewer), service.dev.total_relay_connections()),
        (0, 0, 0)
    );

    let unknown = format!("connect({}, {{ name: 'somebody' }}).catch(error => error.code)", json!(link));
    assert_eq!(viewer.evaluate(&unknown).await, "not_approved");

    let here = "host.members().map(({ name, readOnly, path }) => [name, readOnly, path].join()).join(';')";
    assert_eq!(host.evaluate(here).await, "a page,false,webrtc");
    let spare = host.evaluate("host.addLink({ readOnly: true, uses: 1 })").await;
    let states = "host.links().map(({ readOnly, uses, state }) => [readOnly, uses, state].join()).join(';')";
    assert_eq!(host.evaluate(states).await, "false,,open;true,1,open");
    let revoke = format!("host.revokeLink({spare})");
    assert_eq!(host.evaluate(&revoke).await, true);
    assert_eq!(host.evaluate(&revoke).await, false, "once");

    assert_eq!(host.evaluate("host.remove(host.members()[0].peer)").await, true);
    viewer.evaluate("void session.ended().then(why => (globalThis.why = why))").await;
    viewer.until("globalThis.why", "removed you").await;
    host.evaluate("host.close()").await;
    host.until("globalThis.over", "true").await;

    let wrong = "share('ftp://beach.example').catch(error => error.name)";
    assert_eq!(host.evaluate(wrong).await, "ShareFailed");
    tokio::join!(one.close(), other.close());
    service.dev.shutdown().await;
}
