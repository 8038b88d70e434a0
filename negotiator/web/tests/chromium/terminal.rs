//! The page behind a join link: `beach-link share` on one side, the page that the service serves on the other.

use std::{
    io,
    sync::{Arc, Mutex},
    time::Duration,
};

use beach_link::args::Cli;
use clap::Parser;
use lifeguard_relay::{Dev, DevConfig};
use serde_json::json;
use tempfile::TempDir;
use tokio::{runtime::Runtime, sync::oneshot, task::JoinHandle, time::timeout};
use tracing_subscriber::fmt::MakeWriter;

use crate::{
    browser::{Browser, Tab},
    figures::{figure, relay_sockets},
    page::built,
};

/// A service that serves the page that `scripts/web dev` built.
pub(crate) async fn service() -> Dev {
    service_with(DevConfig::default()).await
}

/// One whose relay asks for an account.
pub(crate) async fn asking_service() -> Dev {
    let mut config = DevConfig::default();
    config.control.entitlement.required = true;
    config.control.entitlement.jwks_url = Some("http://127.0.0.1:9/keys".parse().unwrap());
    service_with(config).await
}

async fn service_with(mut config: DevConfig) -> Dev {
    config.page.folder = Some(built("web-page", "web-page-dev"));
    config.page.sign_in_url = Some("https://account.example/sign-in".parse().unwrap());
    Dev::start(config).await.expect("run scripts/web dev first")
}

/// A command that `beach-link share` shares.
pub(crate) struct Share {
    pub(crate) link: String,
    ended: JoinHandle<Option<u8>>,
    stop: oneshot::Sender<()>,
    _folder: TempDir,
}

impl Share {
    pub(crate) async fn start(service: &Dev, options: &[&str], command: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("link");
        let (url, path) = (service.public_url(), file.display().to_string());
        let fixed = ["beach-link", "share", "--control-plane", &url, "--link-file", &path];
        let cli = Cli::try_parse_from(fixed.iter().chain(options).chain(&["--"]).chain(command)).unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        // A runtime of its own, as it has as a program.
        let ended = tokio::task::spawn_blocking(move || {
            let own = Runtime::new().unwrap();
            let status = own.block_on(async {
                tokio::select! {
                    status = beach_link::run(cli) => Some(status.unwrap()),
                    _ = stopped => None,
                }
            });
            own.shutdown_background();
            status
        });
        let link = async {
            loop {
                match tokio::fs::read_to_string(&file).await {
                    Ok(link) => return link.trim().to_owned(),
                    Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
                }
            }
        };
        let link = timeout(LONG, link).await.expect("the link is written");
        Self { link, ended, stop, _folder: folder }
    }

    /// Ends it, whatever runs in it.
    pub(crate) async fn stop(self) {
        let _ = self.stop.send(());
        self.ended.await.unwrap();
    }
}

/// Opens a link, and waits for the shell's prompt on the screen.
pub(crate) async fn opened(browser: &Browser, link: &str) -> Tab {
    let tab = browser.tab().await;
    let watch = "globalThis.refused = []; addEventListener('securitypolicyviolation', \
                 event => refused.push(event.violatedDirective + ' ' + event.blockedURI))";
    tab.call("Page.addScriptToEvaluateOnNewDocument", json!({ "source": watch })).await.unwrap();
    let window = json!({ "width": 1200, "height": 900, "deviceScaleFactor": 1, "mobile": false });
    tab.call("Emulation.setDeviceMetricsOverride", window).await.unwrap();
    tab.visit(link).await;
    tab
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_is_opened_and_what_is_typed_comes_back() {
    let log = Log::default();
    // Another test of this process may have been first; it is the same log to look into then.
    let subscriber = tracing_subscriber::fmt().with_env_filter("debug").with_writer(log.clone()).finish();
    let quiet = tracing_subscriber::util::SubscriberInitExt::try_init(subscriber);
    let service = service().await;
    let (browser, share) = tokio::join!(Browser::start(), Share::start(&service, &[], &SHELL));
    let tab = opened(&browser, &share.link).await;

    tab.until(SCREEN, "ready> ").await;
    // By the page's own clock, which begins with its navigation.
    figure("a link opened until the shell's prompt is there", "ms", tab.evaluate(SINCE).await);
    tab.type_text("#").await;
    tab.until(SCREEN, "ready> #").await;
    figure("a link opened until a typed key's echo is there", "ms", tab.evaluate(SINCE).await);
    tab.press_return().await;
    // What is typed before the shell asks for it stands in another place.
    tab.until(SCREEN, "#\nready> ").await;
    let line = tab.until(LINE, "direct").await;
    assert!(line.contains("for "), "{line}");
    tab.type_text("echo $((6 * 7))nd").await;
    tab.press_return().await;
    tab.until(SCREEN, "\n42nd\nready> ").await;

    // The size was agreed: the host's terminal is as large as the page shows it.
    let rows = tab.evaluate("document.querySelectorAll('.xterm-rows > div').length").await;
    tab.type_text("stty size").await;
    tab.press_return().await;
    tab.until(SCREEN, &format!("\n{rows} ")).await;
    assert!(rows.as_u64().unwrap() > 24, "{rows} rows fill the window");

    tab.evaluate("document.querySelector('#explain').click()").await;
    tab.until("document.querySelector('#path').textContent", "A direct path").await;
    tab.until("document.querySelector('#facts').textContent", "Round trip").await;
    tab.evaluate("document.querySelector('#close').click()").await;

    // A lost tab is back at the same screen.
    tab.reload(SCREEN).await;
    tab.until(SCREEN, "42nd").await;
    tab.until(LINE, "direct").await;

    assert_eq!(tab.evaluate("refused").await, json!([]), "the page keeps to its policy");
    let (origin, secret) = (service.public_url(), share.link.split_once('#').unwrap().1.to_owned());
    let sockets = origin.replacen("http", "ws", 1);
    let asked = tab.asked();
    assert!(asked.iter().any(|url| url.contains("/signaling")), "{asked:?}");
    assert_eq!(relay_sockets(&tab), 0, "{asked:?}");
    assert_eq!(service.total_relay_connections(), 0);
    for url in &asked {
        assert!(url.starts_with(&origin) || url.starts_with(&sockets) || url.starts_with("data:"), "{url}");
        assert!(!url.contains(&secret), "the fragment stays in the page");
    }
    assert!(quiet.is_err() || log.text().contains("/s"), "the log is looked into");
    assert!(!log.text().contains(&secret), "the fragment is in no log");

    tab.type_text("exit 3").await;
    tab.press_return().await;
    tab.until(CARD, "The command ended with status 3").await;
    assert_eq!(timeout(LONG, share.ended).await.unwrap().unwrap(), Some(3));
    browser.close().await;
    service.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_only_watches_is_told_and_types_nothing() {
    let service = service().await;
    let (browser, share) = tokio::join!(Browser::start(), Share::start(&service, &["--read-only"], &SHELL));
    let tab = opened(&browser, &share.link).await;
    tab.until(SCREEN, "ready> ").await;
    tab.until("document.querySelector('#badge').hidden", "false").await;
    tab.type_text("echo nobody reads this").await;
    tab.press_return().await;
    tab.until(LINE, "read-only: what you type goes nowhere").await;
    assert!(!tab.evaluate(SCREEN).await.as_str().unwrap().contains("nobody reads this"));
    share.stop().await;
    browser.close().await;
    service.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_that_leads_nowhere_says_why_and_what_to_do() {
    let service = service().await;
    let (browser, share) = tokio::join!(Browser::start(), Share::start(&service, &[], &SHELL));
    let damaged = &share.link[..share.link.len() - 4];
    let tab = opened(&browser, damaged).await;
    tab.until(CARD, "This link is not whole").await;
    tab.until(CARD, "Try again").await;
    let tab = opened(&browser, &format!("{}/s", service.public_url())).await;
    tab.until(CARD, "This link is not whole").await;
    share.stop().await;
    browser.close().await;
    service.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_the_relay_asks_for_an_account_the_page_leads_there() {
    let service = asking_service().await;
    let (browser, share) = tokio::join!(Browser::start(), Share::start(&service, &["--relay-only"], &SHELL));
    let tab = opened(&browser, &share.link).await;
    tab.until(CARD, "The relay asks who you are").await;
    let sign_in = "document.querySelector('#card a').href + ' ' + document.querySelector('#card a').rel";
    tab.until(sign_in, "https://account.example/sign-in noopener noreferrer").await;
    tab.evaluate("[...document.querySelectorAll('#card button')].at(-1).click()").await;
    tab.until("document.querySelector('#panel').hidden", "false").await;

    // What is saved there is kept under the keys of Beach's own client.
    tab.evaluate("document.querySelector('[name=cohort]').value = 'dogfood'").await;
    tab.evaluate("document.querySelector('#settings button').click()").await;
    tab.until("localStorage.getItem('beach:fallback:cohort')", "dogfood").await;
    share.stop().await;
    browser.close().await;
    service.shutdown().await;
}

/// What was logged in this process.
#[derive(Debug, Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap()).into_owned()
    }
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

/// A shell whose prompt is known.
pub(crate) const SHELL: [&str; 4] = ["env", "PS1=ready> ", "ENV=", "sh"];

/// The rows of the terminal.
pub(crate) const SCREEN: &str = "[...document.querySelectorAll('.xterm-rows > div')].map(row => '\\n' + row.textContent).join('').replaceAll('\\u00a0', ' ')";

/// The status line.
pub(crate) const LINE: &str = "document.querySelector('#line').textContent";

/// Milliseconds of the page's life.
const SINCE: &str = "Math.round(performance.now())";

/// What lies over the terminal.
pub(crate) const CARD: &str =
    "document.querySelector('#card').hidden ? '' : document.querySelector('#card').textContent";

/// For anything that happens at all.
const LONG: Duration = Duration::from_secs(60);
