//! A restart as systemd does it: the socket stays, the manager is told, and what is replaced on disk is read again.
#![allow(clippy::unwrap_used, reason = "a test ends where something is not as it should be")]

use std::{
    fs,
    io::{self, BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    os::{
        fd::OwnedFd,
        linux::net::SocketAddrExt,
        unix::net::{SocketAddr as UnixAddr, UnixDatagram},
    },
    path::Path,
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    thread,
    time::{Duration, Instant},
};

const BINARY: &str = env!("CARGO_BIN_EXE_beach-lifeguard");
const PATIENCE: Duration = Duration::from_secs(60);

/// A process that ends with the test, and the address it said it listens on.
struct Process {
    child: Child,
    listens: String,
}

impl Process {
    /// Starts `beach-lifeguard ARGUMENTS`, with `handed` as its descriptors from 3 on.
    fn start(arguments: &[&str], handed: &[&TcpListener], environment: &[(&str, &str)]) -> Self {
        let mut command = Command::new("sh");
        let given = ["", "exec 3<&0", "exec 3<&0 4<&2 2>/dev/null"][handed.len()];
        command.args(["-c", &format!("{given}\nexec \"$@\""), "sh", BINARY]).args(arguments).env_clear();
        command.envs(environment.iter().copied()).env("LISTEN_FDS", handed.len().to_string());
        let give = |listener: &TcpListener| Stdio::from(OwnedFd::from(listener.try_clone().unwrap()));
        if let Some(first) = handed.first() {
            command.stdin(give(first));
        }
        if let Some(second) = handed.get(1) {
            command.stderr(give(second));
        }
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let listens = line.trim().strip_prefix("listening on ").unwrap_or_else(|| panic!("{line}"));
        Self { listens: listens.to_owned(), child }
    }

    fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args([name, &id]).status().unwrap().success());
    }

    fn ended(&mut self) -> Option<i32> {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            thread::sleep(Duration::from_millis(20));
        }
        panic!("still running");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Makes a key; returns its public entry.
fn key(folder: &Path) -> String {
    let mut command = Command::new(BINARY);
    command.args(["keys", "generate", "--id", "k", "--out"]).arg(folder.join("k.pem"));
    String::from_utf8(command.output().unwrap().stdout).unwrap().trim().to_owned()
}

fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    Ok(stream)
}

fn get(mut stream: TcpStream, path: &str) -> io::Result<String> {
    write!(stream, "GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

#[test]
fn a_restart_refuses_nobody_where_the_socket_was_handed_over() {
    let folder = tempfile::tempdir().unwrap();
    let public_keys = key(folder.path());
    let arguments = [
        &["serve", "--listen-addr", "127.0.0.1:0", "--admin-addr", "127.0.0.1:0"][..],
        &["--tokens-public-keys", &public_keys, "--relay-shutdown-grace", "200ms"],
        &["--relay-drain-spread", "100ms"],
    ]
    .concat();
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    let start = || Process::start(&arguments, &[&socket], &[("LISTEN_FDNAMES", "public")]);
    let mut process = start();
    assert_eq!(process.listens, address.to_string());

    let over = Arc::new(AtomicBool::new(false));
    let (answered, refused) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let clients: Vec<_> = (0..3)
        .map(|_| {
            let (over, answered, refused) = (over.clone(), answered.clone(), refused.clone());
            thread::spawn(move || {
                while !over.load(SeqCst) {
                    match connect(address).and_then(|stream| get(stream, "/healthz")) {
                        Ok(answer) if answer.starts_with("HTTP/1.1 200") => &answered,
                        _ => &refused,
                    }
                    .fetch_add(1, SeqCst);
                    thread::sleep(Duration::from_millis(2));
                }
            })
        })
        .collect();
    let until_answered = |count: usize| {
        let (before, deadline) = (answered.load(SeqCst), Instant::now() + PATIENCE);
        while answered.load(SeqCst) < before + count {
            assert!(Instant::now() < deadline, "{} were refused", refused.load(SeqCst));
            thread::sleep(Duration::from_millis(5));
        }
    };
    for _ in 0..2 {
        until_answered(20);
        process.signal("-TERM");
        assert_eq!(process.ended(), Some(0));
        // Nobody is there, and it waits.
        let waiting = connect(address).unwrap();
        process = start();
        assert!(get(waiting, "/healthz").unwrap().starts_with("HTTP/1.1 200"));
    }
    until_answered(20);
    over.store(true, SeqCst);
    for client in clients {
        client.join().unwrap();
    }
    assert_eq!(refused.load(SeqCst), 0, "{} were answered", answered.load(SeqCst));
}

#[test]
fn sockets_are_told_apart_by_their_names() {
    let folder = tempfile::tempdir().unwrap();
    let public_keys = key(folder.path());
    let arguments = ["serve", "--tokens-public-keys", &public_keys];
    let [admin, public] = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    let process = Process::start(&arguments, &[&admin, &public], &[("LISTEN_FDNAMES", "admin:public")]);
    assert_eq!(process.listens, public.local_addr().unwrap().to_string());
    let metrics = get(connect(admin.local_addr().unwrap()).unwrap(), "/metrics").unwrap();
    assert!(metrics.contains("beach_lifeguard_reloads_total"), "{metrics}");
}

/// What the manager is told, one message after the other.
fn hears(manager: &UnixDatagram) -> String {
    let mut buffer = [0; 256];
    let length = manager.recv(&mut buffer).unwrap();
    String::from_utf8_lossy(&buffer[..length]).into_owned()
}

/// The next message that is no sign of life.
fn told(manager: &UnixDatagram) -> String {
    loop {
        let words = hears(manager);
        if words != "WATCHDOG=1" {
            return words;
        }
    }
}

#[test]
fn the_manager_of_services_is_told_what_happens() {
    let folder = tempfile::tempdir().unwrap();
    let public_keys = key(folder.path());
    let arguments = [
        &["serve", "--listen-addr", "127.0.0.1:0", "--admin-addr", "127.0.0.1:0"][..],
        &["--tokens-public-keys", &public_keys],
    ]
    .concat();
    let path = folder.path().join("notify").to_str().unwrap().to_owned();
    let hidden = format!("beach-restart-{}", std::process::id());
    for name in [path.clone(), format!("@{hidden}")] {
        let manager = match name.strip_prefix('@') {
            Some(hidden) => UnixDatagram::bind_addr(&UnixAddr::from_abstract_name(hidden).unwrap()).unwrap(),
            None => UnixDatagram::bind(&name).unwrap(),
        };
        manager.set_read_timeout(Some(PATIENCE)).unwrap();
        let environment = [("NOTIFY_SOCKET", name.as_str()), ("WATCHDOG_USEC", "200000")];
        let mut process = Process::start(&arguments, &[], &environment);
        assert_eq!(told(&manager), "READY=1");
        while hears(&manager) != "WATCHDOG=1" {}
        process.signal("-HUP");
        assert!(told(&manager).starts_with("RELOADING=1\nMONOTONIC_USEC="));
        assert_eq!(told(&manager), "READY=1");
        process.signal("-TERM");
        assert!(told(&manager).starts_with("STOPPING=1\nEXTEND_TIMEOUT_USEC="));
        assert_eq!(process.ended(), Some(0));
    }
}

#[test]
fn a_pair_that_was_replaced_is_taken_by_itself_and_a_bad_one_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let public_keys = key(folder.path());
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let replace = |year: i32| {
        let mut made = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        made.not_after = rcgen::date_time_ymd(year, 1, 1);
        let key = rcgen::KeyPair::generate().unwrap();
        fs::write(path("cert"), made.self_signed(&key).unwrap().pem()).unwrap();
        fs::write(path("key"), key.serialize_pem()).unwrap();
    };
    replace(2_040);
    let (cert, tls_key) = (path("cert"), path("key"));
    let arguments = [
        &["serve", "--listen-addr", "127.0.0.1:0", "--tokens-public-keys", &public_keys][..],
        &["--listen-tls-certificate", &cert, "--listen-tls-key", &tls_key],
    ]
    .concat();
    let [public, admin] = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    let process = Process::start(&arguments, &[&public, &admin], &[("LISTEN_FDNAMES", "public:admin")]);
    let reads = |line: &str| {
        let answer = get(connect(admin.local_addr().unwrap()).unwrap(), "/metrics").unwrap();
        answer.lines().any(|said| said == line)
    };
    let until = |line: &str| {
        let deadline = Instant::now() + PATIENCE;
        while !reads(line) {
            assert!(Instant::now() < deadline, "never: {line}");
            thread::sleep(Duration::from_millis(100));
        }
    };
    let expires = |seconds: u64| format!("beach_lifeguard_certificate_expiry_timestamp_seconds {seconds}");
    let [first, second] = [2_208_988_800, 2_524_608_000].map(expires);
    until(&first);
    replace(2_050);
    until("beach_lifeguard_reloads_total{outcome=\"taken\"} 1");
    assert!(reads(&second), "the new pair");
    fs::write(&cert, "no certificate").unwrap();
    until("beach_lifeguard_reloads_total{outcome=\"refused\"} 1");
    assert!(reads(&second), "the old pair stays");
    drop(process);
}
