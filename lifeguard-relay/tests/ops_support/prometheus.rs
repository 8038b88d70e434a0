//! A real Prometheus over a folder of its own.

use std::{
    net::TcpListener,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::Value;
use tempfile::TempDir;

pub struct Prometheus {
    child: Child,
    /// `http://127.0.0.1:PORT`.
    pub url: String,
    _folder: TempDir,
}

impl Prometheus {
    /// Scrapes each job's address once a second and evaluates `rules` as often.
    pub async fn start(jobs: &[(&str, &str)], rules: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut config = String::from(
            "global: {scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}\nrule_files: [rules.yml]\nscrape_configs:\n",
        );
        for (job, url) in jobs {
            let target = url.trim_start_matches("http://");
            config += &format!("  - job_name: {job}\n    static_configs: [{{targets: [\"{target}\"]}}]\n");
        }
        std::fs::write(folder.path().join("prometheus.yml"), config).unwrap();
        std::fs::write(folder.path().join("rules.yml"), rules).unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let log = std::fs::File::create(folder.path().join("log")).unwrap();
        let child = Command::new("prometheus")
            .arg(format!("--config.file={}", folder.path().join("prometheus.yml").display()))
            .arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap_or_else(|error| {
                panic!("cannot run prometheus ({error}); please install it: apt-get install prometheus")
            });
        let mut this = Self { child, url: format!("http://127.0.0.1:{port}"), _folder: folder };
        let start = Instant::now();
        let ready = format!("{}/-/ready", this.url);
        while !reqwest::get(&ready).await.is_ok_and(|answer| answer.status().is_success()) {
            let dead = this.child.try_wait().unwrap();
            let log = || super::read(this._folder.path().join("log"));
            assert!(dead.is_none() && start.elapsed() < READY, "prometheus is not ready:\n{}", log());
            tokio::time::sleep(LOOK).await;
        }
        this
    }

    /// Values of each series over the last `seconds`, one a second.
    pub async fn over(&self, query: &str, seconds: u64) -> Result<Vec<Vec<f64>>, String> {
        let end = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs_f64();
        let range = [
            ("query", query),
            ("start", &(end - seconds as f64).to_string()),
            ("end", &end.to_string()),
            ("step", "1"),
        ];
        let answer = self.ask("query_range", &range).await?;
        let series = answer["result"].as_array().cloned().unwrap_or_default();
        let number = |pair: &Value| pair[1].as_str().and_then(|text| text.parse().ok()).unwrap_or(f64::NAN);
        Ok(series
            .iter()
            .map(|series| series["values"].as_array().into_iter().flatten().map(number).collect())
            .collect())
    }

    /// The value of the first series now.
    pub async fn now(&self, query: &str) -> Option<f64> {
        let answer =
            self.ask("query", &[("query", query)]).await.unwrap_or_else(|error| panic!("{query}: {error}"));
        answer["result"][0]["value"][1].as_str()?.parse().ok()
    }

    /// Waits until a query has a value that `wanted` accepts.
    pub async fn until(&self, query: &str, deadline: Duration, wanted: impl Fn(f64) -> bool) -> Option<f64> {
        let start = Instant::now();
        loop {
            if let Some(value) = self.now(query).await.filter(|value| wanted(*value)) {
                return Some(value);
            }
            if start.elapsed() > deadline {
                return None;
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    async fn ask(&self, what: &str, query: &[(&str, &str)]) -> Result<Value, String> {
        let url = url::Url::parse_with_params(&format!("{}/api/v1/{what}", self.url), query).unwrap();
        let text = reqwest::get(url).await.unwrap().text().await.unwrap();
        let answer: Value = serde_json::from_str(&text).map_err(|error| format!("{error}: {text}"))?;
        if answer["status"] == "success" {
            Ok(answer["data"].clone())
        } else {
            Err(answer["error"].to_string())
        }
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        super::end(&mut self.child);
    }
}

const READY: Duration = Duration::from_secs(30);
const LOOK: Duration = Duration::from_millis(100);
