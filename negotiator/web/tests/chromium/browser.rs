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
    time::{sleep, timeout},
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

/// Something that happened in a tab.
#[derive(Clone)]
struct Happened {
    session: String,
    event: Value,
}

/// The one socket to the browser.
#[derive(Clone)]
struct Tools {
    requests: mpsc::Sender<String>,
    waiting: Arc<Mutex<HashMap<u64, oneshot::Sender<Value>>>>,
    happened: Arc<Mutex<Vec<Happened>>>,
    number: Arc<AtomicU64>,
}

impl Browser {
    pub(crate) async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// Starts it with further options.
    pub(crate) async fn start_with(options: &[&str]) -> Self {
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
            .args(options)
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
        self.open_after(origin, "").await
    }

    /// The same, with a script that runs before the page's own.
    pub(crate) async fn open_after(&self, origin: &str, script: &str) -> Tab {
        let tab = self.tab().await;
        tab.call("Page.addScriptToEvaluateOnNewDocument", json!({ "source": script })).await.unwrap();
        tab.visit(&format!("{origin}/")).await;
        tab.until("globalThis.ready", "true").await;
        tab
    }

    /// Opens an empty tab. What it asks the network for is noted.
    pub(crate) async fn tab(&self) -> Tab {
        let opened = self.tools.call(None, "Target.createTarget", json!({ "url": "about:blank" })).await;
        let target = opened.unwrap()["targetId"].clone();
        let attach = json!({ "targetId": target, "flatten": true });
        let attached = self.tools.call(None, "Target.attachToTarget", attach).await.unwrap();
        let session = attached["sessionId"].as_str().unwrap().to_owned();
        let tab = Tab { tools: self.tools.clone(), session };
        for domain in ["Network.enable", "Page.enable"] {
            tab.call(domain, json!({})).await.unwrap();
        }
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

    /// Goes to an address. Answered once the page's own document is there.
    pub(crate) async fn visit(&self, url: &str) {
        self.call("Page.navigate", json!({ "url": url })).await.unwrap();
    }

    /// Loads the page anew, and waits until `there` holds in the new one.
    pub(crate) async fn reload(&self, there: &str) {
        self.evaluate("globalThis.isBefore = true").await;
        self.call("Page.reload", json!({})).await.unwrap();
        let asked = json!({ "expression": format!("!globalThis.isBefore && !!({there})") });
        let anew = async {
            // While one page goes and the other comes there is nobody to ask.
            let is_there =
                |said: Result<Value, Value>| said.is_ok_and(|said| said["result"]["value"] == true);
            while !is_there(self.call("Runtime.evaluate", asked.clone()).await) {
                sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(PATIENCE, anew).await.unwrap_or_else(|_| panic!("no {there}"));
    }

    /// Waits until `expression` comes to something in which `wanted` is; returns that.
    pub(crate) async fn until(&self, expression: &str, wanted: &str) -> String {
        // Before the document is whole there may be nothing to ask.
        let text = format!("(() => {{ try {{ return String({expression}) }} catch {{ return '' }} }})()");
        let look = format!(
            "new Promise(resolve => {{ const end = performance.now() + 60000; const look = () => {{ const text = {text}; \
             text.includes({}) || performance.now() > end ? resolve(text) : setTimeout(look, 20) }}; look() }})",
            json!(wanted)
        );
        let text = self.evaluate(&look).await.as_str().unwrap().to_owned();
        assert!(text.contains(wanted), "{expression} is {text:?}, without {wanted:?}");
        text
    }

    /// Types a text, as a keyboard does.
    pub(crate) async fn type_text(&self, text: &str) {
        self.call("Input.insertText", json!({ "text": text })).await.unwrap();
    }

    /// Presses return.
    pub(crate) async fn press_return(&self) {
        for kind in ["keyDown", "keyUp"] {
            let key = json!({
                "type": kind, "key": "Enter", "code": "Enter", "text": "\r", "windowsVirtualKeyCode": 13,
            });
            self.call("Input.dispatchKeyEvent", key).await.unwrap();
        }
    }

    /// Every address that this tab asked for so far, by HTTP or WebSocket.
    pub(crate) fn asked(&self) -> Vec<String> {
        let happened = self.tools.happened.lock().unwrap();
        let own = happened.iter().filter(|happened| happened.session == self.session);
        let url = |event: &Value| match event["method"].as_str()? {
            "Network.requestWillBeSent" => event["params"]["request"]["url"].as_str().map(str::to_owned),
            "Network.webSocketCreated" => event["params"]["url"].as_str().map(str::to_owned),
            _ => None,
        };
        own.filter_map(|happened| url(&happened.event)).collect()
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
        let happened = Arc::new(Mutex::new(Vec::new()));
        let (answers, events) = (waiting.clone(), happened.clone());
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
                        if let (None, Some(session)) = (said["id"].as_u64(), said["sessionId"].as_str()) {
                            let session = session.to_owned();
                            events.lock().unwrap().push(Happened { session, event: said });
                            continue;
                        }
                        let asker = said["id"].as_u64().and_then(|id| answers.lock().unwrap().remove(&id));
                        if let Some(asker) = asker {
                            let _ = asker.send(said);
                        }
                    }
                }
            }
        });
        Self { requests, waiting, happened, number: Arc::default() }
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
