//! `/debug`: one small page for a person in a hurry. No script, no identifier.

use std::{fmt::Write, time::SystemTime};

use super::Admin;
use crate::kill_switch::Pause;

/// Writes the page.
pub(super) fn render(admin: &Admin) -> String {
    let mut out = String::from(HEAD);
    let switch = admin.0.kill_switch.state();
    let ready = (admin.0.ready)();
    // Writing into a string cannot fail.
    let _ = match (&switch.everybody, ready) {
        (Some(pause), _) => write!(out, "<p class=bad>{}</p>", order(pause, "everybody")),
        (None, Err(why)) => write!(out, "<p class=bad>not ready: {why}</p>"),
        (None, Ok(())) => write!(out, "<p class=good>open: tokens are minted, new peers are taken</p>"),
    };
    for (cohort, pause) in &switch.cohorts {
        let _ = write!(out, "<p class=bad>{}</p>", order(pause, &format!("cohort {cohort}")));
    }
    let (messages, bytes) = admin.rates();
    let _ = write!(
        out,
        "<h2>Now</h2><table><tr><th>messages/s</th><td>{messages:.1}</td></tr><tr><th>KiB/s</th><td>{:.1}</td></tr>",
        bytes / 1024.0
    );
    if let Some(relay) = &admin.0.relay {
        let now = relay.snapshot();
        let _ = write!(
            out,
            "<tr><th>sessions</th><td id=sessions>{}</td></tr><tr><th>peers</th><td id=peers>{}</td></tr>\
             <tr><th>passed on to other nodes</th><td>{}</td></tr><tr><th>passed on to this one</th><td>{}</td></tr>\
             <tr><th>waiting</th><td>{:.1} KiB</td></tr><tr><th>sockets since start</th><td>{}</td></tr></table>",
            now.active_sessions,
            now.active_connections,
            now.passed_on,
            now.passed_here,
            now.queued_bytes as f64 / 1024.0,
            now.total_connections
        );
        out.push_str(
            "<h2>Busiest sessions</h2><table><tr><th>pseudonym</th><th>peers</th><th>messages</th></tr>",
        );
        for session in now.sessions.iter().take(20) {
            let _ = write!(
                out,
                "<tr><td><code>{}</code></td><td>{}</td><td>{}</td></tr>",
                session.session_id, session.connections, session.forwarded
            );
        }
        out.push_str("</table><h2>Recent refusals</h2><table id=refusals>");
        if now.recent_refusals.is_empty() {
            out.push_str(NONE);
        }
        for refusal in now.recent_refusals.iter().rev() {
            let ago = SystemTime::now().duration_since(refusal.at).unwrap_or_default().as_secs();
            let _ = write!(out, "<tr><td>{}</td><td>{ago} s ago</td></tr>", refusal.label);
        }
    }
    out.push_str("</table><h2>Kill switch</h2><table>");
    if switch.audit.is_empty() {
        out.push_str(NONE);
    }
    for audit in switch.audit.iter().rev().take(10) {
        let scope = audit.cohort.as_deref().unwrap_or("everybody");
        let verb = audit.verb.map_or("resumed", |verb| verb.label());
        let _ = write!(
            out,
            "<tr><td>{verb}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
            escaped(scope),
            escaped(&audit.by),
            escaped(&audit.reason)
        );
    }
    out.push_str("</table></main></html>\n");
    out
}

fn order(pause: &Pause, scope: &str) -> String {
    format!(
        "{} for {}, by {}: {}",
        pause.verb.label(),
        escaped(scope),
        escaped(&pause.by),
        escaped(&pause.reason)
    )
}

/// Text an operator typed, as HTML.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

const NONE: &str = "<tr><td>none</td></tr>";

const HEAD: &str = "<!doctype html><html lang=en><meta charset=utf-8><meta http-equiv=refresh content=5>\
<meta name=viewport content=\"width=device-width\"><title>beach-lifeguard</title><style>\
:root{color-scheme:light dark}body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:46rem;padding:0 1rem}\
h1{font-size:1.3rem}h2{font-size:1rem;margin:1.6rem 0 .3rem;opacity:.7}table{border-collapse:collapse;width:100%}\
th,td{text-align:left;padding:.25rem .6rem .25rem 0;border-bottom:1px solid #8884;font-variant-numeric:tabular-nums}\
th{font-weight:500}p{padding:.5rem .8rem;border-radius:.4rem;margin:.4rem 0}.good{background:#2a02}.bad{background:#c002;font-weight:600}\
</style><main><h1>beach-lifeguard</h1>";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_operator_typed_is_text_and_not_markup() {
        assert_eq!(escaped(r#"<b a="1">&"#), "&lt;b a=&quot;1&quot;&gt;&amp;");
    }
}
