//! The pictures of the documentation: `cargo test -p beach-web --features chromium -- --ignored pictures` takes them anew.

use std::path::PathBuf;

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use crate::{
    browser::{Browser, Tab},
    terminal::{CARD, LINE, SCREEN, SHELL, Share, asking_service, opened, service},
};

#[tokio::test(flavor = "multi_thread")]
#[ignore = "writes docs/images"]
async fn pictures() {
    let service = service().await;
    let browser = Browser::start().await;
    let hello = "printf '\\033[1;36mbeach\\033[0m ~/src \\033[33mmain\\033[0m\\r\\n'; ls --color=always -x ../../docs; exec env PS1='$ ' ENV= sh";
    let share = Share::start(&service, &[], &["sh", "-c", hello]).await;
    let tab = opened(&browser, "about:blank").await;
    window(&tab, 1080, 640, "dark", false).await;
    tab.visit(&share.link).await;
    tab.until(SCREEN, "$ ").await;
    tab.until(LINE, "ms").await;
    picture(&tab, "page-first").await;

    tab.type_text("vim -Nu NONE -c 'syntax on' -c 'set number ruler laststatus=2' src/session.rs").await;
    tab.press_return().await;
    tab.until(SCREEN, "src/session.rs").await;
    picture(&tab, "page-vim").await;

    window(&tab, 980, 620, "light", false).await;
    tab.evaluate("document.querySelector('#explain').click()").await;
    tab.until("document.querySelector('#facts').textContent", "Round trip").await;
    picture(&tab, "page-explain").await;

    let phone = opened(&browser, "about:blank").await;
    window(&phone, 390, 760, "dark", true).await;
    let other = Share::start(&service, &[], &SHELL).await;
    phone.visit(&other.link).await;
    phone.until(SCREEN, "ready> ").await;
    phone.until(LINE, "ms").await;
    phone.type_text("ls --color=always -C ../..").await;
    phone.press_return().await;
    phone.until(SCREEN, "transport-core").await;
    picture(&phone, "page-phone").await;
    share.stop().await;
    other.stop().await;

    let relayed = Share::start(&service, &["--relay-only"], &["sh", "-c", hello]).await;
    let tab = opened(&browser, "about:blank").await;
    window(&tab, 1080, 560, "dark", false).await;
    tab.visit(&relayed.link).await;
    tab.until(SCREEN, "$ ").await;
    tab.until(LINE, "relay").await;
    tab.until(LINE, "ms").await;
    picture(&tab, "page-relay").await;
    relayed.stop().await;

    let asking = asking_service().await;
    let locked = Share::start(&asking, &["--relay-only"], &SHELL).await;
    let tab = opened(&browser, "about:blank").await;
    window(&tab, 1080, 560, "dark", false).await;
    tab.visit(&locked.link).await;
    tab.until(CARD, "The relay asks who you are").await;
    picture(&tab, "page-locked").await;
    locked.stop().await;
    asking.shutdown().await;
    browser.close().await;
    service.shutdown().await;
}

async fn window(tab: &Tab, width: u32, height: u32, scheme: &str, phone: bool) {
    let metrics = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": phone });
    tab.call("Emulation.setDeviceMetricsOverride", metrics).await.unwrap();
    tab.call("Emulation.setTouchEmulationEnabled", json!({ "enabled": phone })).await.unwrap();
    let features = json!([
        { "name": "prefers-color-scheme", "value": scheme },
        { "name": "prefers-reduced-motion", "value": "reduce" },
    ]);
    tab.call("Emulation.setEmulatedMedia", json!({ "features": features })).await.unwrap();
}

async fn picture(tab: &Tab, name: &str) {
    // The next two frames show what was drawn last.
    tab.evaluate("new Promise(drawn => requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(drawn, 700))))").await;
    let Value::String(data) =
        tab.call("Page.captureScreenshot", json!({ "format": "png" })).await.unwrap()["data"].take()
    else {
        panic!("no picture")
    };
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("../../docs/images/{name}.png"));
    std::fs::write(path, STANDARD.decode(data).unwrap()).unwrap();
}
