//! Three namespaces: a host, a viewer, and a router between them on which the relay runs.
//!
//! ```text
//! host 10.77.1.2 ── 10.77.1.1 router 10.77.2.1 ── 10.77.2.2 viewer
//! ```

pub(crate) mod program;
pub(crate) mod role;

use std::process::{Command, Output};

use program::Program;

/// The namespaces; dropping it removes them.
pub(crate) struct Lab {
    /// Tells labs of test runs at one time apart.
    tag: String,
}

impl Lab {
    /// Builds it, or says what this machine does not allow.
    pub(crate) fn build() -> Result<Self, String> {
        let lab = Self { tag: format!("beach-{}", std::process::id()) };
        for space in SPACES {
            run("ip", &["netns", "add", &lab.space(space)])?;
            lab.inside(space, "ip", &["link", "set", "lo", "up"])?;
        }
        let router = lab.space("router");
        for (space, net) in [("host", 1), ("viewer", 2)] {
            let (near, far, own) = (format!("to-{space}"), lab.space(space), format!("10.77.{net}.2/24"));
            let gateway = format!("10.77.{net}.1");
            let pair = ["type", "veth", "peer", "name", "eth0", "netns", &far];
            run("ip", &[&["link", "add", &near, "netns", &router][..], &pair].concat())?;
            lab.inside("router", "ip", &["addr", "add", &format!("{gateway}/24"), "dev", &near])?;
            lab.inside("router", "ip", &["link", "set", &near, "up"])?;
            lab.inside(space, "ip", &["addr", "add", &own, "dev", "eth0"])?;
            lab.inside(space, "ip", &["link", "set", "eth0", "up"])?;
            lab.inside(space, "ip", &["route", "add", "default", "via", &gateway])?;
        }
        lab.inside("router", "sh", &["-c", "echo 1 > /proc/sys/net/ipv4/ip_forward"])?;
        let table = "add table inet wall; add chain inet wall way { type filter hook forward priority 0; }";
        lab.inside("router", "nft", &[table])?;
        // Tried once before anything depends on it.
        lab.inside("router", "nft", &[DROP])?;
        lab.inside("router", "nft", &["flush chain inet wall way"])?;
        Ok(lab)
    }

    /// Drops every datagram between host and viewer.
    pub(crate) fn drop_udp(&self) {
        self.inside("router", "nft", &[DROP]).unwrap();
        // A rule that says something else would leave UDP open and the test green.
        let rules = self.inside("router", "nft", &["list chain inet wall way"]).unwrap();
        let rules = String::from_utf8_lossy(&rules.stdout).into_owned();
        assert!(rules.contains("meta l4proto udp") && rules.contains("drop"), "{rules}");
    }

    /// Says that datagrams were dropped, and lets them pass again.
    pub(crate) fn pass_udp(&self) {
        let rules = self.inside("router", "nft", &["list chain inet wall way"]).unwrap();
        let rules = String::from_utf8_lossy(&rules.stdout).into_owned();
        assert!(!rules.contains("packets 0 "), "nothing met the rule: {rules}");
        self.inside("router", "nft", &["flush chain inet wall way"]).unwrap();
    }

    /// Gives the viewer another address in place of its own, as on another network.
    pub(crate) fn move_viewer(&self) {
        let ip = |arguments: &[&str]| self.inside("viewer", "ip", arguments).unwrap();
        ip(&["addr", "del", "10.77.2.2/24", "dev", "eth0"]);
        ip(&["addr", "add", "10.77.2.3/24", "dev", "eth0"]);
        ip(&["route", "replace", "default", "via", "10.77.2.1"]);
    }

    /// Starts this program inside `space` in another role.
    pub(crate) fn start(&self, space: &str, role: &str, argument: &str) -> Program {
        Program::start(&self.space(space), role, argument)
    }

    fn space(&self, name: &str) -> String {
        format!("{}-{name}", self.tag)
    }

    fn inside(&self, space: &str, program: &str, arguments: &[&str]) -> Result<Output, String> {
        run("ip", &[&["netns", "exec", &self.space(space), program][..], arguments].concat())
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        for space in SPACES {
            // One that was never made cannot be removed.
            let _ = run("ip", &["netns", "del", &self.space(space)]);
        }
    }
}

fn run(program: &str, arguments: &[&str]) -> Result<Output, String> {
    let said = |why: String| format!("{program} {}: {why}", arguments.join(" "));
    let output = Command::new(program).args(arguments).output().map_err(|error| said(error.to_string()))?;
    if output.status.success() {
        Ok(output)
    } else {
        Err(said(String::from_utf8_lossy(&output.stderr).trim().to_owned()))
    }
}

const SPACES: [&str; 3] = ["router", "host", "viewer"];
const DROP: &str = "add rule inet wall way meta l4proto udp counter drop";
