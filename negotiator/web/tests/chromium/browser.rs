//! A headless Chromium, driven over its DevTools protocol.

use std::{
    collections::HashMap,
    process::Stdio,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use futures::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
    sync::{mpsc, oneshot},
    time::timeout,
};
use tokio_tungstenite::{connect_async, tungstenite::Message};

/// A browser of its own, with nothing stored. Killed when it is dropped.
pub(crate) struct Browser {
    tools: Tools,
    child: Child,
    _profile: TempDir,
}

/// A page in it.
pub(crate) struct Tab {
    tools: Tools,
    session: String,
}

/// The one socket to the browser.
#[derive(Clone)]
struct Tools {
    requests: mpsc::Sender<String>,
    waiting: Arc<Mutex<HashMap<u64, oneshot::Sender<Value>>>>,
    number: Arc<AtomicU64>,
}

impl Browser {
    pub(crate) async fn start() -> Self {
        let profile = tempfile::tempdir().unwrap();
        let mut child = Command::new("chromium")
            .args([
                "--headless=new",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-dev-shm-usage",
                "--no-first-run",
            ])
            .args(["--disable-background-networking", "--disable-extensions", "--remote-debugging-port=0"])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .arg("about:blank")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("Debian's package chromium");
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let url = timeout(PATIENCE, async {
            loop {
                let line = lines.next_line().await.unwrap().expect("chromium ended");
                if let Some(url) = line.strip_prefix("DevTools listening on ") {
                    return url.to_owned();
                }
            }
        });
        let url = url.await.expect("chromium starts");
        // Nobody must block on what it goes on to say.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Self { tools: Tools::connect(&url).await, child, _profile: profile }
    }

    /// Opens the test page of `origin`, and waits until its module is there.
    pub(crate) async fn open(&self, origin: &str) -> Tab {
        let opened = self.tools.call(None, "Target.createTarget", json!({ "url": "about:blank" })).await;
        let target = opened.unwrap()["targetId"].clone();
        let attach = json!({ "targetId": target, "flatten": true });
        let attached = self.tools.call(None, "Target.attachToTarget", attach).await.unwrap();
        let session = attached["sessionId"].as_str().unwrap().to_owned();
        let tab = Tab { tools: self.tools.clone(), session };
        // Answered once the page's own document is there.
        tab.call("Page.navigate", json!({ "url": format!("{origin}/") })).await.unwrap();
        let ready = "new Promise(resolve => { const look = () => globalThis.ready ? resolve(true) : setTimeout(look, 20); look() })";
        assert_eq!(tab.evaluate(ready).await, true);
        tab
    }

    pub(crate) async fn close(mut self) {
        let _ = self.tools.call(None, "Browser.close", json!({})).await;
        if timeout(PATIENCE, self.child.wait()).await.is_err() {
            let _ = self.child.kill().await;
        }
    }
}

impl Tab {
    /// What `expression` comes to, once it is no promise any more.
    pub(crate) async fn evaluate(&self, expression: &str) -> Value {
        let asked = json!({ "expression": expression, "awaitPromise": true, "returnByValue": true });
        let answer = self.call("Runtime.evaluate", asked).await.unwrap();
        assert!(answer.get("exceptionDetails").is_none(), "{expression}: {answer}");
        answer["result"]["value"].clone()
    }

    pub(crate) async fn call(&self, method: &str, params: Value) -> Result<Value, Value> {
        self.tools.call(Some(&self.session), method, params).await
    }
}

impl Tools {
    async fn connect(url: &str) -> Self {
        let (mut to, mut from) = connect_async(url).await.unwrap().0.split();
        let (requests, mut asked) = mpsc::channel::<String>(16);
        let waiting = Arc::new(Mutex::new(HashMap::<u64, oneshot::Sender<Value>>::new()));
        let answers = waiting.clone();
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    request = asked.recv() => match request {
                        Some(request) => to.send(Message::text(request)).await.unwrap(),
                        None => return,
                    },
                    said = from.next() => {
                        let Some(Ok(said)) = said else { return };
                        let Ok(said) = serde_json::from_slice::<Value>(&said.into_data()) else { continue };
                        let asker = said["id"].as_u64().and_then(|id| answers.lock().unwrap().remove(&id));
                        if let Some(asker) = asker {
                            let _ = asker.send(said);
                        }
                    }
                }
            }
        });
        Self { requests, waiting, number: Arc::default() }
    }

    async fn call(&self, session: Option<&str>, method: &str, params: Value) -> Result<Value, Value> {
        let id = self.number.fetch_add(1, Ordering::Relaxed);
        let (answer, answered) = oneshot::channel();
        self.waiting.lock().unwrap().insert(id, answer);
        let mut request = json!({ "id": id, "method": method, "params": params });
        if let Some(session) = session {
            request["sessionId"] = json!(session);
        }
        self.requests.send(request.to_string()).await.unwrap();
        let mut answer =
            timeout(PATIENCE, answered).await.unwrap_or_else(|_| panic!("no answer to {method}")).unwrap();
        match answer.get_mut("error") {
            Some(error) => Err(error.take()),
            None => Ok(answer["result"].take()),
        }
    }
}

/// A shared machine may be slow.
const PATIENCE: Duration = Duration::from_secs(120);
