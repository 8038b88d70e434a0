//! The manifests against the code: no variable nobody reads, no command nobody has, no probe of a path that is
//! not there, no container killed before its drain is over, and every environment accepted by `config check`.
#![allow(clippy::unwrap_used, reason = "a test ends where something is not as it should be")]

mod ops_support;
mod relay_support;

use std::{
    collections::BTreeMap,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use lifeguard_relay::config::default_toml;
use ops_support::{BINARY, Service, deploy, read, repository, said};
use serde::Deserialize;
use serde_yaml_ng::Value;

/// One container of our image, whatever orchestrates it.
#[derive(Debug)]
struct Container {
    named: String,
    command: Vec<String>,
    /// Values that the file says. What comes from a secret has a stand-in.
    environment: BTreeMap<String, String>,
    /// Seconds between SIGTERM and SIGKILL.
    stop_after: u64,
    /// Ports the file promises.
    ports: Vec<u64>,
}

fn containers() -> Vec<Container> {
    let mut found = compose();
    found.extend(kubernetes());
    found.push(ecs());
    found
}

fn yaml(path: &str) -> Vec<Value> {
    let text = read(deploy(path));
    let documents = serde_yaml_ng::Deserializer::from_str(&text).map(|document| {
        let mut value = Value::deserialize(document).unwrap_or_else(|error| panic!("{path}: {error}"));
        value.apply_merge().unwrap();
        value
    });
    documents.collect()
}

fn compose() -> Vec<Container> {
    let file = yaml("compose/compose.yaml").remove(0);
    let services = file["services"].as_mapping().unwrap();
    let ours = services.iter().filter(|(_, service)| text(&service["image"]).starts_with("beach-lifeguard"));
    ours.map(|(name, service)| Container {
        named: format!("compose, {}", text(name)),
        command: texts(&service["command"]),
        environment: service["environment"]
            .as_mapping()
            .unwrap()
            .iter()
            .map(|(name, value)| (text(name), interpolated(&text(value))))
            .collect(),
        stop_after: text(&service["stop_grace_period"]).trim_end_matches('s').parse().unwrap(),
        ports: texts(&service["ports"])
            .iter()
            .map(|port| port.rsplit(':').next().unwrap().parse().unwrap())
            .collect(),
    })
    .collect()
}

fn kubernetes() -> Vec<Container> {
    let documents = yaml("kubernetes/beach-lifeguard.yaml");
    let deployments = documents.iter().filter(|document| document["kind"] == "Deployment");
    deployments
        .map(|deployment| {
            let pod = &deployment["spec"]["template"]["spec"];
            let container = &pod["containers"][0];
            let variables = container["env"].as_sequence().unwrap();
            Container {
                named: format!("kubernetes, {}", text(&container["name"])),
                command: texts(&container["args"]),
                environment: variables
                    .iter()
                    .map(|variable| (text(&variable["name"]), text(&variable["value"])))
                    .collect(),
                stop_after: pod["terminationGracePeriodSeconds"].as_u64().unwrap(),
                ports: container["ports"]
                    .as_sequence()
                    .unwrap()
                    .iter()
                    .filter_map(|p| p["containerPort"].as_u64())
                    .collect(),
            }
        })
        .collect()
}

fn ecs() -> Container {
    let file: serde_json::Value = serde_json::from_str(&read(deploy("ecs/task-definition.json"))).unwrap();
    let container = &file["containerDefinitions"][0];
    let word = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    let listed = |key: &str| container[key].as_array().cloned().unwrap_or_default();
    let variables = listed("environment").into_iter().chain(listed("secrets"));
    Container {
        named: "ecs, relay".to_owned(),
        command: listed("command").iter().map(word).collect(),
        environment: variables.map(|variable| (word(&variable["name"]), word(&variable["value"]))).collect(),
        stop_after: container["stopTimeout"].as_u64().unwrap(),
        ports: listed("portMappings").iter().filter_map(|port| port["containerPort"].as_u64()).collect(),
    }
}

#[test]
fn variables_exist_and_make_a_configuration() {
    let read = variables();
    let is_read = |name: &str| read.iter().any(|known| known == name);
    let known = |name: &str| {
        is_read(name) || name.strip_suffix("_FILE").is_some_and(is_read) || ELSEWHERE.contains(&name)
    };
    let mut checked = 0;
    for container in containers() {
        let folder = tempfile::tempdir().unwrap();
        let secret = folder.path().join("secret");
        std::fs::write(&secret, SECRET).unwrap();
        let key = folder.path().join("key.pem");
        let made = Command::new(BINARY).args(["keys", "generate", "--out"]).arg(&key).output().unwrap();
        assert!(made.status.success(), "{}", said(&made));
        let [certificate, certificate_key] = ["tls.crt", "tls.key"].map(|name| folder.path().join(name));
        let own = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        std::fs::write(&certificate, own.cert.pem()).unwrap();
        std::fs::write(&certificate_key, own.signing_key.serialize_pem()).unwrap();
        let mut check = Command::new(BINARY);
        check.args(["config", "check"]).env_clear();
        for (name, value) in &container.environment {
            assert!(known(name), "{}: nobody reads {name}", container.named);
            let value = match name.ends_with("_FILE") {
                true if name.ends_with("SIGNING_KEY_FILE") => key.display().to_string(),
                true => secret.display().to_string(),
                // What an operator mounts there.
                false if value.ends_with("tls.crt") => certificate.display().to_string(),
                false if value.ends_with("tls.key") => certificate_key.display().to_string(),
                false if value.is_empty() => stand_in(name),
                false => value.clone(),
            };
            check.env(name, value);
            checked += 1;
        }
        let output = check.output().unwrap();
        assert!(output.status.success(), "{}: {}", container.named, said(&output));
    }
    println!("{checked} variables checked");
    assert!(checked >= 30, "{checked}");
}

#[test]
fn commands_ports_and_timings_fit_the_code() {
    for container in containers() {
        let Container { named, command, environment, stop_after, ports } = &container;
        let output = Command::new(BINARY).args(command).arg("--help").output().unwrap();
        assert!(output.status.success(), "{named}: {command:?}: {}", said(&output));
        let port = |name: &str| environment[name].rsplit(':').next().unwrap().parse::<u64>().unwrap();
        assert!(ports.contains(&port("BEACH_LIFEGUARD_LISTEN_ADDR")), "{named}: {ports:?}");
        let seconds = |text: &str| text.trim_end_matches('s').parse::<u64>().unwrap();
        let grace = environment.get("BEACH_LIFEGUARD_SHUTDOWN_GRACE").map_or(5, |grace| seconds(grace));
        assert!(
            *stop_after >= grace + SPREAD,
            "{named}: killed after {stop_after} s, drains for {grace} + {SPREAD} s"
        );
        assert!(*stop_after <= 120, "{named}: Fargate allows 120 s");
    }
    assert!(
        default_toml().contains(&format!("drain_spread = \"{SPREAD}s\"")),
        "the default spread has changed"
    );
}

#[tokio::test]
async fn probes_ask_what_is_answered() {
    let service = Service::dev();
    let mut paths = Vec::new();
    for document in
        yaml("kubernetes/beach-lifeguard.yaml").iter().filter(|document| document["kind"] == "Deployment")
    {
        let container = &document["spec"]["template"]["spec"]["containers"][0];
        let names: Vec<String> =
            container["ports"].as_sequence().unwrap().iter().map(|port| text(&port["name"])).collect();
        for probe in ["readinessProbe", "livenessProbe"] {
            let get = &container[probe]["httpGet"];
            assert!(names.contains(&text(&get["port"])), "{probe}: no port {:?}", get["port"]);
            paths.push(text(&get["path"]));
        }
    }
    for path in paths {
        let answer = reqwest::get(format!("{}{path}", service.admin)).await.unwrap();
        assert_eq!(answer.status(), 200, "{path}");
    }
    // The containers' own check, as Compose, ECS and the image give it.
    let compose = yaml("compose/compose.yaml").remove(0);
    let task: serde_json::Value = serde_json::from_str(&read(deploy("ecs/task-definition.json"))).unwrap();
    let words = task["containerDefinitions"][0]["healthCheck"]["command"].as_array().unwrap().clone();
    let ecs: Vec<String> = words.iter().map(|word| word.as_str().unwrap().to_owned()).collect();
    for words in [texts(&compose["services"]["relay"]["healthcheck"]["test"]), ecs] {
        assert_eq!(words[..2], ["CMD", "/usr/local/bin/beach-lifeguard"]);
        let words: Vec<String> =
            words[2..].iter().map(|word| word.replace("http://127.0.0.1:9444", &service.admin)).collect();
        let output = service.operate(&words.iter().map(String::as_str).collect::<Vec<_>>());
        assert!(output.status.success(), "{words:?}: {}", said(&output));
    }
}

#[tokio::test]
async fn a_container_with_an_admin_token_finds_itself_healthy() {
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("token");
    std::fs::write(&token, format!("{SECRET}\n")).unwrap();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let admin = format!("127.0.0.1:{port}");
    let mut relay = Command::new(BINARY)
        .args(["serve", "--listen-addr", "127.0.0.1:0", "--admin-addr", &admin])
        .args(["--admin-token-file", token.to_str().unwrap()])
        .args(["--tokens-public-keys", &stand_in("BEACH_LIFEGUARD_PUBLIC_KEYS")])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let status = || Command::new(BINARY).args(["status", "--admin", &format!("http://{admin}")]).output();
    let healthy = || {
        let mut status = Command::new(BINARY);
        status.args(["status", "--admin", &format!("http://{admin}")]);
        status.env("BEACH_LIFEGUARD_ADMIN_TOKEN_FILE", &token).output().unwrap()
    };
    let start = Instant::now();
    let mut found = healthy();
    while !found.status.success() && start.elapsed() < Duration::from_secs(10) {
        tokio::time::sleep(Duration::from_millis(100)).await;
        found = healthy();
    }
    let stranger = status().unwrap();
    relay.kill().unwrap();
    relay.wait().unwrap();
    assert!(found.status.success(), "{}", said(&found));
    assert_eq!(stranger.status.code(), Some(6), "{}", said(&stranger));
}

#[test]
fn images_are_pinned_and_what_they_mount_is_there() {
    let compose = yaml("compose/compose.yaml").remove(0);
    let mut images: Vec<String> =
        compose["services"].as_mapping().unwrap().values().map(|service| text(&service["image"])).collect();
    images.extend(read(deploy("Dockerfile")).lines().filter_map(|line| {
        line.strip_prefix("FROM ").map(|image| image.split(' ').next().unwrap().to_owned())
    }));
    for document in
        yaml("kubernetes/beach-lifeguard.yaml").iter().filter(|document| document["kind"] == "Deployment")
    {
        images.push(text(&document["spec"]["template"]["spec"]["containers"][0]["image"]));
    }
    for image in images {
        let tag = image.rsplit_once(':').map(|(_, tag)| tag);
        assert!(tag.is_some_and(|tag| tag != "latest"), "{image} is not pinned");
    }
    for service in compose["services"].as_mapping().unwrap().values() {
        for volume in texts(&service["volumes"]) {
            let from = volume.split(':').next().unwrap();
            let made = from == "./probe";
            assert!(made || deploy("compose").join(from).exists(), "{from} does not exist");
        }
    }
    let secrets = compose["secrets"].as_mapping().unwrap();
    let prepare = read(deploy("compose/prepare"));
    for file in secrets.values().map(|secret| text(&secret["file"])) {
        assert!(prepare.contains(file.trim_start_matches("./")), "prepare does not make {file}");
    }
}

#[test]
fn prepare_makes_keys_that_the_service_takes() {
    let folder = tempfile::tempdir().unwrap();
    let run = || {
        let mut prepare = Command::new(deploy("compose/prepare"));
        prepare.arg(folder.path()).env("BEACH_LIFEGUARD_BIN", BINARY).output().unwrap()
    };
    let output = run();
    assert!(output.status.success(), "{}", said(&output));
    let environment = read(folder.path().join(".env"));
    let value = |name: &str| {
        let line = environment.lines().find_map(|line| line.strip_prefix(&format!("{name}=")));
        line.unwrap_or_else(|| panic!("no {name} in {environment}")).to_owned()
    };
    assert!(value("PUBLIC_KEYS").starts_with(&format!("{}:", value("KEY_ID"))));
    let compose = read(deploy("compose/compose.yaml"));
    for wanted in compose.split("${").skip(1).map(|rest| rest.split([':', '}']).next().unwrap()) {
        assert!(wanted == "PUBLIC_HOST" || !value(wanted).is_empty());
    }
    let key = read(folder.path().join("secrets/signing_key.pem"));
    assert!(run().status.success());
    assert_eq!(read(folder.path().join("secrets/signing_key.pem")), key, "a second run keeps the key");
}

#[test]
fn workflows_are_yaml_and_run_scripts_that_exist() {
    let mut steps = 0;
    for entry in std::fs::read_dir(repository(".github/workflows")).unwrap() {
        let path = entry.unwrap().path();
        let workflow: Value = serde_yaml_ng::from_str(&read(&path)).unwrap();
        for (name, job) in workflow["jobs"].as_mapping().unwrap() {
            assert!(job["timeout-minutes"].is_u64(), "{}: {} has no deadline", path.display(), text(name));
            for step in job["steps"].as_sequence().unwrap() {
                steps += 1;
                for word in text(&step["run"]).split_whitespace().filter(|word| word.starts_with("scripts/"))
                {
                    assert!(repository(word).exists(), "{}: {word} does not exist", path.display());
                }
                let action = text(&step["uses"]);
                assert!(action.is_empty() || action.contains('@'), "{action} is not pinned");
            }
        }
    }
    assert!(steps > 5);
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn texts(value: &Value) -> Vec<String> {
    value.as_sequence().into_iter().flatten().map(text).collect()
}

/// Compose's `${NAME:-default}` is its default, `${NAME:?…}` comes from outside.
fn interpolated(text: &str) -> String {
    let Some((before, rest)) = text.split_once("${") else { return text.to_owned() };
    let (inside, after) = rest.split_once('}').unwrap();
    inside.split_once(":-").map_or(String::new(), |(_, default)| format!("{before}{default}{after}"))
}

/// A value for what a secret store would fill in.
fn stand_in(name: &str) -> String {
    match name {
        "BEACH_LIFEGUARD_PUBLIC_KEYS" => "k1:7JRULtYsZHW16eWPlLjoY8xlxls68t9gFooqOX_G8vE".to_owned(),
        "BEACH_LIFEGUARD_REDIS_URL" => "redis://redis:6379".to_owned(),
        _ => "stand-in".to_owned(),
    }
}

/// Every variable the service reads, from what it prints about itself.
fn variables() -> Vec<String> {
    let printed = default_toml();
    let lines = printed.lines().filter_map(|line| line.split_once(", environment ").map(|(_, names)| names));
    lines.flat_map(|names| names.split(" or ").map(str::to_owned).collect::<Vec<_>>()).collect()
}

/// Read by the commands for operators instead of by the service.
const ELSEWHERE: [&str; 1] = ["BEACH_LIFEGUARD_ADMIN"];
/// Seconds over which clients spread their return, and so the least a drain needs beside the grace time.
const SPREAD: u64 = 10;
/// Long enough for whatever is secret.
const SECRET: &str = "c3RhbmQtaW4gZm9yIGEgc2VjcmV0";
