//! The system's certificate store. It is chosen by a variable of the process, so each case is a process of
//! its own: this program, started again.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod support;

use std::{path::Path, process::Command};

use beach_outbound::{Fingerprint, OutboundConfig};
use support::{Authority, Server, assert_echoes, outbound};

#[tokio::test]
async fn what_the_system_trusts_is_trusted() {
    let ours = Authority::new("Corp CA");
    let server = Server::tls_echo(ours.server("localhost")).await;
    let files = tempfile::tempdir().unwrap();
    let store = files.path().join("system.pem");
    std::fs::write(&store, ours.pem()).unwrap();
    run("dials_with_the_systems_store", &store, &server).await;
}

#[tokio::test]
async fn an_empty_store_stands_only_in_the_way_of_those_who_need_it() {
    let ours = Authority::new("Corp CA");
    let server = Server::tls_echo(ours.server("localhost")).await;
    let files = tempfile::tempdir().unwrap();
    std::fs::write(files.path().join("root.pem"), ours.pem()).unwrap();
    run("dials_without_any_store", &files.path().join("absent.pem"), &server).await;
}

#[tokio::test]
#[ignore = "a process of its own runs it"]
async fn dials_with_the_systems_store() {
    assert_echoes(outbound(|_| {}).tls("localhost", port()).await.unwrap()).await;
}

#[tokio::test]
#[ignore = "a process of its own runs it"]
async fn dials_without_any_store() {
    let error = outbound(|_| {}).tls("localhost", port()).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "localhost: tls: the system's certificate store is empty; trust the server's certificate as a root"
    );
    outbound(|_| {}).tcp("localhost", port()).await.unwrap();
    let store = std::env::var("SSL_CERT_FILE").unwrap();
    let root = std::fs::read(Path::new(&store).with_file_name("root.pem")).unwrap();
    let with_root = |config: &mut OutboundConfig| config.trust.add_roots("root.pem", &root).unwrap();
    assert_echoes(outbound(with_root).tls("localhost", port()).await.unwrap()).await;
    let pinned = outbound(|config| config.trust.pin(Fingerprint::from_bytes([0; 32])));
    let error = pinned.tls("localhost", port()).await.unwrap_err();
    assert!(error.to_string().contains("is not the pinned one"), "{error}");
}

fn port() -> u16 {
    std::env::var("OUTBOUND_TEST_PORT").unwrap().parse().unwrap()
}

async fn run(case: &'static str, store: &Path, server: &Server) {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", case, "--ignored", "--nocapture"])
        .env("SSL_CERT_FILE", store)
        .env_remove("SSL_CERT_DIR")
        .env("OUTBOUND_TEST_PORT", server.address.port().to_string());
    let ended = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let said = String::from_utf8_lossy(&[ended.stdout, ended.stderr].concat()).into_owned();
    assert!(ended.status.success() && said.contains("1 passed"), "{said}");
}
