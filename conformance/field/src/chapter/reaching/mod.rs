//! *Reaching the service*: what stands between a person and the control plane or the relay.

mod carrier;
mod clock;
mod friends;
mod in_the_way;
mod names;
mod proxy;
mod trust;

use super::path;
use crate::row::{Row, Run, State};

/// All rows of the chapter.
pub(super) const ROWS: &[Row] = &[
    due(
        "https_proxy",
        "the only way out is a CONNECT proxy (`HTTPS_PROXY`); names resolve only there",
        "fails after 5 s, \"cannot be reached\"",
        "a session within 5 s, over the relay",
        proxy::https_proxy,
    ),
    due("all_proxy", "the same, named by `ALL_PROXY`", "fails", "a session within 5 s", proxy::all_proxy),
    due(
        "proxy_with_password",
        "the same, and the proxy asks for a password",
        "fails",
        "a session within 5 s",
        proxy::with_password,
    ),
    due(
        "proxy_wants_password",
        "the same, and no password is set",
        "\"cannot be reached\"",
        "the error names the proxy and says that it asks for a password",
        proxy::wants_password,
    ),
    due("host_behind_proxy", "the host is behind such a proxy", "fails", "a session within 5 s", proxy::host),
    due(
        "proxy_refuses",
        "`HTTPS_PROXY` names a machine where nobody listens; the network is fine",
        "only registration obeys it",
        "one rule for everything: \"the proxy 10.0.0.1:3128 (from HTTPS_PROXY) does not answer\"",
        proxy::refuses,
    ),
    due(
        "proxy_black_hole",
        "the same, and packets to it vanish",
        "only registration obeys it",
        "the same error within 15 s",
        proxy::black_hole,
    ),
    due("no_proxy", "the same, with `--no-proxy`", "no such flag", "a session within 5 s", proxy::none),
    due(
        "ca_in_system_store",
        "a company's own authority signed the certificate; it is in the system's store",
        "\"the control plane is unreachable\"",
        "works within 5 s, for host and viewer",
        trust::system_store,
    ),
    due("ca_in_ssl_cert_file", "the same, in `SSL_CERT_FILE`", "unreachable", "works", trust::ssl_cert_file),
    due("ca_flag", "the same, given with `--ca FILE`", "no such flag", "works", trust::flag),
    due(
        "ca_untrusted",
        "the same, trusted nowhere",
        "viewers cannot parse why",
        "the error names the issuer and says `--ca`",
        trust::untrusted,
    ),
    due(
        "ipv6_black_hole",
        "the name has AAAA and A, IPv6 is black-holed",
        "never",
        "within 1 s of the time without the fault (RFC 8305)",
        names::ipv6_black_hole,
    ),
    due("name_server_4s", "the name server takes 4 s", "4.2 s", "a session within 6 s", names::four_seconds),
    due(
        "name_server_6s",
        "the name server takes 6 s",
        "fails at 5 s",
        "a session within 9 s",
        names::six_seconds,
    ),
    due(
        "first_name_server_dead",
        "the first of two name servers is dead, `timeout:3`",
        "3.4 s",
        "a session within 5 s",
        names::first_dead,
    ),
    due(
        "portal_redirects",
        "a captive portal answers 302 for the control plane; the person logs in after 6 s",
        "\"refused: 302\"",
        "says that a login page answers at login.portal.test; connects within 2 s of the login",
        in_the_way::portal_redirects,
    ),
    due(
        "portal_shows_page",
        "the same with 200 and HTML",
        "\"HTTP error: 200 OK\"",
        "says that a login page answers at control.beach.test; connects within 2 s of the login",
        in_the_way::portal_shows_page,
    ),
    due(
        "upgrade_removed",
        "nginx without upgrade headers before the control plane",
        "\"refused (invalid_session_id)\"",
        "says that a proxy removed the upgrade, within 15 s",
        in_the_way::upgrade_removed,
    ),
    due(
        "viewer_clock_off",
        "the viewer's clock is 10 minutes fast",
        "\"the link's secret does not fit this session\"",
        "a session within 5 s",
        clock::viewer,
    ),
    due(
        "host_clock_off",
        "the host's clock is 10 minutes slow",
        "\"the link's secret does not fit this session\", to the host himself",
        "the same",
        clock::host,
    ),
    later(
        "turn_through_proxy",
        "TURN over TCP and TLS through the proxy",
        "no",
        "a direct path through TURN",
        "needs coturn in the laboratory",
    ),
    due(
        "fingerprint_in_link",
        "a relay for friends with a self-made certificate",
        "cannot be trusted at all",
        "its fingerprint is in the link; works without any setting",
        friends::beside,
    ),
    due(
        "fingerprint_of_a_third_machine",
        "the same on a third machine: the host copies the line it printed",
        "cannot be trusted at all",
        "the same for the viewer",
        friends::elsewhere,
    ),
    due(
        "relay_answers_html",
        "the relay alone answers 302 or HTML, or its upgrade is stripped or swallowed",
        "no path for ever",
        "the HTTP carrier takes over within 10 s",
        carrier::no_websocket,
    ),
    due(
        "upgrade_closed_after_1s",
        "the relay's upgrade is accepted and closed after 1 s, for ever",
        "ten reconnects a second",
        "the HTTP carrier after the third, and then each key's echo within 1 s; no storm",
        carrier::closed_soon,
    ),
    Row::new(
        "idle_timeouts",
        "a proxy cuts connections that were idle for 10 s; a minute without a key",
        "works, silence ≤ 0.3 s",
        "the key's echo within 1 s; after the first cut none",
        State::Nightly(proxy::idle_timeout),
    ),
    Row::new(
        "name_server_dies",
        "the name server dies mid-session, then UDP",
        "not back in 90 s",
        "usable with the last good address within 8 s",
        State::Nightly(path::name_server_dies),
    ),
    Row::new(
        "name_server_dies_on_relay",
        "the name server dies on the relay, then a NAT forgets the viewer's connection",
        "not back in 90 s",
        "usable with the last good address within 8 s",
        State::Nightly(path::name_server_dies_on_relay),
    ),
];

const fn due(name: &'static str, what: &'static str, seen: &'static str, due: &'static str, run: Run) -> Row {
    Row::new(name, what, seen, due, State::Due(run))
}

const fn later(
    name: &'static str,
    what: &'static str,
    seen: &'static str,
    due: &'static str,
    why: &'static str,
) -> Row {
    Row::new(name, what, seen, due, State::Later(why))
}
