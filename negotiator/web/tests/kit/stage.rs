//! The one Chromium of a run, its one page, and the socket to it, on a thread of their own: they outlive the runtime of any
//! one case.

use std::{
    sync::{Arc, Mutex, OnceLock, mpsc::sync_channel},
    thread::{self, JoinHandle},
    time::Duration,
};

use futures::{SinkExt, StreamExt};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{mpsc, oneshot},
    time::timeout,
};
use tokio_tungstenite::{WebSocketStream, accept_async, tungstenite::Message};

use crate::{browser::Browser, page, remote::Remote};

/// A page that runs.
pub(crate) struct Stage {
    /// The page's origin, for services that ask who comes.
    pub(crate) origin: String,
    pub(crate) remote: Arc<Remote>,
    /// Ends the thread when it is taken.
    running: Mutex<Option<(oneshot::Sender<()>, JoinHandle<()>)>>,
}

static STAGE: OnceLock<Stage> = OnceLock::new();

impl Stage {
    /// Returns the stage, which the first caller has to wait for: a run that only lists its cases needs none.
    pub(crate) fn get() -> &'static Self {
        STAGE.get_or_init(Self::open)
    }

    /// Closes the browser, if one was opened.
    pub(crate) fn close() {
        let running = STAGE.get().and_then(|stage| stage.running.lock().unwrap().take());
        if let Some((end, thread)) = running {
            drop(end);
            thread.join().expect("the page's thread ends");
        }
    }

    fn open() -> Self {
        let (opened, opening) = sync_channel(1);
        let (end, ended) = oneshot::channel();
        let thread = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let site = page::serve().await;
                let (browser, socket) = enter(&site.origin()).await;
                let (remote, outgoing) = Remote::new();
                opened.send((site.origin(), remote.clone())).expect("the first case waits");
                tokio::select! {
                    () = carry(&remote, socket, outgoing) => {}
                    _ = ended => {}
                }
                browser.close().await;
            });
        });
        let (origin, remote) = opening.recv().expect("a page in Chromium");
        Self { origin, remote, running: Mutex::new(Some((end, thread))) }
    }
}

/// Starts a browser, and has its page call back.
async fn enter(origin: &str) -> (Browser, WebSocketStream<TcpStream>) {
    let module = page::kit().join("beach_web_kit.js");
    assert!(module.exists(), "{} is not there: run scripts/web dev first", module.display());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let browser = Browser::start_with(&OPTIONS).await;
    let tab = browser.tab().await;
    // Each message of the socket would be told to the tools as well.
    tab.call("Network.disable", serde_json::json!({})).await.unwrap();
    tab.visit(&format!("{origin}/kit.html?test=ws://{address}/")).await;
    let (stream, _) = timeout(PATIENCE, listener.accept()).await.expect("the page starts").unwrap();
    stream.set_nodelay(true).unwrap();
    (browser, accept_async(stream).await.unwrap())
}

/// Carries what is asked and told, until the page is gone.
async fn carry(
    remote: &Remote,
    mut socket: WebSocketStream<TcpStream>,
    mut outgoing: mpsc::Receiver<bytes::Bytes>,
) {
    let why = loop {
        tokio::select! {
            asked = outgoing.recv() => {
                let Some(asked) = asked else { return };
                if let Err(error) = socket.send(Message::binary(asked)).await {
                    break error.to_string();
                }
            }
            told = socket.next() => match told {
                Some(Ok(Message::Binary(told))) => remote.take(told),
                Some(Ok(Message::Close(close))) => {
                    break close.map_or_else(|| "it closed".to_owned(), |close| close.reason.to_string());
                }
                Some(Ok(_)) => {}
                Some(Err(error)) => break error.to_string(),
                None => break "it hung up".to_owned(),
            },
        }
    };
    eprintln!("the page is gone: {why}");
    remote.end(why);
}

/// The other end is on this machine. Nobody looks at the page, and its timers are to run as if somebody did.
const OPTIONS: [&str; 3] = [
    "--allow-loopback-in-peer-connection",
    "--disable-background-timer-throttling",
    "--disable-renderer-backgrounding",
];

/// A shared machine may be slow.
const PATIENCE: Duration = Duration::from_secs(120);
