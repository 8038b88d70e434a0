//! The binary as an operator meets it: keys, tokens, configuration, signals, exit codes.
#![allow(clippy::unwrap_used, reason = "a test ends where something is not as it should be")]

mod relay_support;

use std::{
    io::{BufRead, BufReader, Write},
    net::SocketAddr,
    path::Path,
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

use beach_lifeguard_client::{FallbackToken, Role, SUBPROTOCOL, control::Control};
use relay_support::{Client, hello};
use tokio_tungstenite::tungstenite::Message;
use uuid::Uuid;

fn lifeguard() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_beach-lifeguard"));
    command.env_clear();
    command
}

fn run(arguments: &[&str]) -> Output {
    lifeguard().args(arguments).output().unwrap()
}

fn stdout(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).unwrap().trim_end().to_owned()
}

fn fails(arguments: &[&str], code: i32, says: &str) {
    let output = run(arguments);
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {words}");
    assert!(words.contains(says) && words.lines().count() <= 3, "{arguments:?}: {words}");
}

/// Makes a key; returns its file and its public entry.
fn key(folder: &Path, id: &str) -> (String, String) {
    let file = folder.join(format!("{id}.pem")).to_str().unwrap().to_owned();
    let public = stdout(&run(&["keys", "generate", "--out", &file, "--id", id]));
    (file, public)
}

fn mint(file: &str, id: &str, session: Uuid, peer: Uuid, role: &str) -> FallbackToken {
    let (session, peer) = (session.to_string(), peer.to_string());
    FallbackToken::new(stdout(&run(&[
        "token",
        "mint",
        "--key",
        file,
        "--key-id",
        id,
        "--session",
        &session,
        "--peer",
        &peer,
        "--role",
        role,
    ])))
}

struct Relay {
    process: Child,
    address: SocketAddr,
}

impl Relay {
    fn serve(public_keys: &str, extra: &[&str]) -> Self {
        let mut process = lifeguard()
            .args(["serve", "--listen-addr", "127.0.0.1:0", "--admin-addr", "127.0.0.1:0"])
            .args(["--tokens-public-keys", public_keys])
            .args(extra)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("listening on ").unwrap().parse().unwrap();
        Self { process, address }
    }

    fn signal(&self, name: &str) {
        assert!(
            Command::new("kill").args([name, &self.process.id().to_string()]).status().unwrap().success()
        );
    }

    async fn join(&self, token: FallbackToken, session: Uuid, peer: Uuid) -> Result<Client, (u16, String)> {
        let mut client = Client::connect(self.address, "/v2/ws", &[("sec-websocket-protocol", SUBPROTOCOL)])
            .await
            .unwrap();
        client.say(Message::text(hello(session, peer, Role::Host, token).encode())).await;
        match client.hear().await {
            relay_support::Heard::Text(_) => Ok(client),
            relay_support::Heard::Closed(code, reason) => Err((code, reason)),
            other => panic!("{other:?}"),
        }
    }

    fn exit_code(&mut self) -> Option<i32> {
        let deadline = Instant::now() + Duration::from_secs(20);
        while Instant::now() < deadline {
            if let Some(status) = self.process.try_wait().unwrap() {
                return status.code();
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        panic!("still running");
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Streams that take nothing: a full disk, and a pipe that nobody reads.
fn deaf() -> [Stdio; 2] {
    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    let (_, closed) = std::io::pipe().unwrap();
    [full.into(), closed.into()]
}

#[test]
fn nobody_reads_standard_error_and_all_is_done_as_ever() {
    let folder = tempfile::tempdir().unwrap();
    for (number, stderr) in deaf().into_iter().enumerate() {
        let file = folder.path().join(format!("{number}.pem"));
        let generated =
            lifeguard().args(["keys", "generate", "--out"]).arg(&file).stderr(stderr).output().unwrap();
        assert!(stdout(&generated).contains(':') && file.exists());
    }
    for stderr in deaf() {
        let refused = lifeguard().arg("control-plane").stderr(stderr).status().unwrap();
        assert_eq!(refused.code(), Some(3));
    }
}

#[test]
fn the_second_step_of_a_rotation_starts_a_control_plane() {
    let folder = tempfile::tempdir().unwrap();
    let (_, trusted) = key(folder.path(), "old");
    let file = folder.path().join("new.pem").to_str().unwrap().to_owned();
    let output = run(&["keys", "rotate", "--out", &file, "--id", "new", "--trusted", &trusted]);
    let steps = String::from_utf8(output.stderr).unwrap();
    let second = steps.lines().find(|line| line.starts_with("2. ")).unwrap();
    let variables = second.split_whitespace().filter_map(|word| word.split_once('='));
    let mut process = lifeguard()
        .args(["control-plane", "--listen-addr", "127.0.0.1:0", "--admin-addr", "127.0.0.1:0"])
        .envs(variables)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let _ = process.kill();
    let words = process.wait_with_output().unwrap().stderr;
    assert!(line.starts_with("listening on "), "{line}{}", String::from_utf8_lossy(&words));
}

#[test]
fn a_full_or_closed_standard_output_is_a_sentence_and_never_a_panic() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("key.pem").to_str().unwrap().to_owned();
    for arguments in
        [&["config", "print-default"][..], &["config", "check"], &["keys", "generate", "--out", &file]]
    {
        for stdout in deaf() {
            let output = lifeguard().args(arguments).stdout(stdout).stderr(Stdio::piped()).output().unwrap();
            let words = String::from_utf8_lossy(&output.stderr).into_owned();
            assert_eq!(output.status.code(), Some(1), "{arguments:?}: {words}");
            assert!(words.contains("standard output takes nothing"), "{arguments:?}: {words}");
            assert!(!words.contains("panicked"), "{arguments:?}: {words}");
        }
    }
    // The public half was not seen, so the private one may not stand in the way of a second try.
    assert!(!Path::new(&file).exists());
}

#[test]
fn a_token_is_minted_and_verified_and_a_foreign_one_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let (file, public) = key(folder.path(), "k1");
    let token = mint(&file, "k1", Uuid::new_v4(), Uuid::new_v4(), "host");
    let verify = |keys: &str| {
        let mut child = lifeguard()
            .args(["token", "verify", "--public-keys", keys])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(token.expose().as_bytes()).unwrap();
        child.wait_with_output().unwrap()
    };
    assert!(stdout(&verify(&public)).contains(r#""role": "host""#));
    let (_, other) = key(folder.path(), "k2");
    assert_eq!(verify(&other).status.code(), Some(7));
    // The private key is its owner's alone, and never overwritten.
    use std::os::unix::fs::PermissionsExt;
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    fails(&["keys", "generate", "--out", &file], 7, "--out");
}

#[test]
fn the_printed_configuration_is_accepted_and_mistakes_say_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("relay.toml");
    let file = path.to_str().unwrap();
    std::fs::write(&path, stdout(&run(&["config", "print-default"]))).unwrap();
    assert!(stdout(&run(&["config", "check", "--config", file])).ends_with("ok"));

    std::fs::write(&path, "[relay]\nidle_timeout = \"soon\"\n").unwrap();
    fails(&["config", "check", "--config", file], 3, "`relay.idle_timeout`");
    std::fs::write(&path, "[relay]\nidle = \"5s\"\n").unwrap();
    fails(&["config", "check", "--config", file], 3, "unknown key `relay.idle`");
    fails(&["config", "check", "--config", "/nowhere.toml"], 3, "/nowhere.toml");
    fails(&["config", "check", "--config", file], 3, "relay.toml:2: ");
    // What a start would refuse, this refuses too.
    fails(&["config", "check", "--for", "serve"], 3, "tokens.public_keys");
    fails(&["config", "check", "--for", "control-plane"], 3, "tokens.signing_key");
    fails(&["config", "check", "--tokens-public-keys", "nonsense"], 7, "id:key");
    fails(&["config", "check", "--page-folder", "/nowhere"], 3, "/nowhere");
    fails(&["config", "check", "--store-redis-url", "http://x"], 3, "store.redis_url");
    let pair = ["--listen-tls-certificate", "/nowhere/cert", "--listen-tls-key", "/nowhere/key"];
    fails(&[&["config", "check"], &pair[..]].concat(), 3, "/nowhere/cert");
    fails(&["config", "check", "--control-token-ttl", "1h"], 3, "token_ttl");
    let (key, _) = key(folder.path(), "k");
    std::fs::write(&path, format!("[tokens]\nkey_id = \"k\"\nsigning_key_file = {key:?}\n")).unwrap();
    assert!(stdout(&run(&["config", "check", "--for", "control-plane", "--config", file])).ends_with("ok"));
    std::fs::write(&path, "[admin]\naddr = \"0.0.0.0:9444\"\n").unwrap();
    fails(&["config", "check", "--config", file], 3, "relay.toml:2");
    fails(&["config", "check", "--admin-addr", "0.0.0.0:9444"], 3, "admin.token");
    fails(&["serve"], 3, "tokens.public_keys");
    fails(&["control-plane"], 3, "tokens.signing_key");
    fails(&["serve", "--tokens-public-keys", "nonsense"], 7, "id:key");
    fails(&["dev", "--listen-addr", "0.0.0.0:0"], 3, "loopback");
    fails(&["status", "--admin", "http://127.0.0.1:1"], 5, "--admin");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    let _listener = std::net::TcpListener::bind(&taken);
    fails(&["dev", "--listen-addr", &taken, "--admin-addr", "127.0.0.1:0"], 4, "--listen-addr");
    assert_eq!(run(&["dance"]).status.code(), Some(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_tells_the_peers_waits_and_exits_with_what_happened() {
    let folder = tempfile::tempdir().unwrap();
    let (file, public) = key(folder.path(), "k1");
    for leaves in [true, false] {
        let times = ["--relay-shutdown-grace", "2s", "--relay-drain-spread", "100ms"];
        let mut relay = Relay::serve(&public, &times);
        let (session, peer) = (Uuid::new_v4(), Uuid::new_v4());
        let mut client = relay.join(mint(&file, "k1", session, peer, "host"), session, peer).await.unwrap();
        relay.signal("-TERM");
        assert!(
            matches!(client.notice().await, Control::Drain { after, .. } if after == Duration::from_secs(2))
        );
        if leaves {
            drop(client);
            assert_eq!(relay.exit_code(), Some(0));
        } else {
            assert_eq!(client.closed().await, (4012, "draining".to_owned()));
            drop(client);
            assert_eq!(relay.exit_code(), Some(9));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_ends_a_drain() {
    let folder = tempfile::tempdir().unwrap();
    let (file, public) = key(folder.path(), "k1");
    let mut relay = Relay::serve(&public, &["--relay-shutdown-grace", "60s"]);
    let (session, peer) = (Uuid::new_v4(), Uuid::new_v4());
    let mut client = relay.join(mint(&file, "k1", session, peer, "host"), session, peer).await.unwrap();
    relay.signal("-TERM");
    assert!(matches!(client.notice().await, Control::Drain { .. }));
    relay.signal("-TERM");
    assert_eq!(client.closed().await.0, 4012);
    drop(client);
    assert_eq!(relay.exit_code(), Some(9));
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_rotate_at_sighup_and_nobody_who_is_inside_notices() {
    let folder = tempfile::tempdir().unwrap();
    let ((old_file, old), (new_file, new)) = (key(folder.path(), "old"), key(folder.path(), "new"));
    let config = folder.path().join("relay.toml");
    let trust =
        |keys: &str| std::fs::write(&config, format!("[tokens]\npublic_keys = \"{keys}\"\n")).unwrap();
    trust(&old);
    let mut process = lifeguard()
        .args(["serve", "--listen-addr", "127.0.0.1:0", "--admin-addr", "127.0.0.1:0", "--config"])
        .arg(&config)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let address = line.trim().strip_prefix("listening on ").unwrap().parse().unwrap();
    let relay = Relay { process, address };

    let (session, peer) = (Uuid::new_v4(), Uuid::new_v4());
    let mut inside = relay.join(mint(&old_file, "old", session, peer, "host"), session, peer).await.unwrap();
    let newcomer = async |file: &str, id: &str| {
        let peer = Uuid::new_v4();
        relay.join(mint(file, id, session, peer, "host"), session, peer).await.map(|_| ())
    };
    assert_eq!(newcomer(&new_file, "new").await, Err((4500, "unknown_key".to_owned())));
    trust(&new);
    relay.signal("-HUP");
    // The signal is handled when it is; from then on for good.
    let deadline = Instant::now() + Duration::from_secs(5);
    while newcomer(&new_file, "new").await.is_err() {
        assert!(Instant::now() < deadline, "the new key is not trusted");
    }
    assert_eq!(newcomer(&old_file, "old").await, Err((4500, "unknown_key".to_owned())));
    // A file that cannot be read changes nothing.
    std::fs::write(&config, "[tokens").unwrap();
    relay.signal("-HUP");
    assert!(newcomer(&new_file, "new").await.is_ok());
    loop {
        if let Control::PeerJoined(_) = inside.notice().await {
            break;
        }
    }
}
