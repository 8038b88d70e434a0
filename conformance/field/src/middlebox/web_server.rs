//! Web servers in the way: Debian's nginx as a login page, and as a proxy that removes the WebSocket upgrade.

use std::fs;

use crate::{
    program::{Identity, Process},
    topology::{Lab, Space},
    trouble::Trouble,
};

/// A running nginx; dropping it ends it.
#[derive(Debug)]
pub struct WebServer {
    _process: Process,
}

impl WebServer {
    /// Answers every HTTPS request at `address` with `answer`, an nginx directive such as `return 302 URL`.
    ///
    /// # Errors
    ///
    /// [`Trouble`] when it does not become ready.
    pub fn portal(
        lab: &Lab,
        space: &Space,
        identity: &Identity,
        address: &str,
        answer: &str,
    ) -> Result<Self, Trouble> {
        let site = format!("location / {{ default_type text/html; {answer}; }}");
        Self::start(lab, space, identity, address, &site)
    }

    /// Passes requests on to `upstream`, over HTTP/1.0 and without the upgrade: what nginx does unless told.
    ///
    /// # Errors
    ///
    /// [`Trouble`] when it does not become ready.
    pub fn stripping(
        lab: &Lab,
        space: &Space,
        identity: &Identity,
        address: &str,
        upstream: &str,
    ) -> Result<Self, Trouble> {
        Self::selective(lab, space, identity, address, upstream, "")
    }

    /// As [`stripping`](Self::stripping), but for what `site`, of nginx's directives, does with some of the requests.
    ///
    /// # Errors
    ///
    /// [`Trouble`] when it does not become ready.
    pub fn selective(
        lab: &Lab,
        space: &Space,
        identity: &Identity,
        address: &str,
        upstream: &str,
        site: &str,
    ) -> Result<Self, Trouble> {
        let rest = format!("location / {{ proxy_pass https://{upstream}; proxy_set_header Host $host; }}");
        Self::start(lab, space, identity, address, &format!("{site} {rest}"))
    }

    fn start(
        lab: &Lab,
        space: &Space,
        identity: &Identity,
        address: &str,
        site: &str,
    ) -> Result<Self, Trouble> {
        let folder = lab.folder().join("nginx");
        fs::create_dir_all(&folder).map_err(Trouble::io("nginx's folder"))?;
        let config = folder.join("nginx.conf");
        let text = configuration(identity, &folder.display().to_string(), address, site);
        fs::write(&config, text).map_err(Trouble::io("nginx's configuration"))?;
        let mut command = space.command("nginx");
        command.arg("-p").arg(&folder).arg("-e").arg(folder.join("error.log")).arg("-c").arg(&config);
        let mut process = Process::start("nginx", &mut command)?;
        process.listens(space, PORT)?;
        Ok(Self { _process: process })
    }
}

fn configuration(identity: &Identity, folder: &str, address: &str, site: &str) -> String {
    let (certificate, key) = (identity.certificate.display(), identity.key.display());
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|kind| format!("    {kind}_temp_path {folder}/{kind};\n"))
        .concat();
    format!(
        "daemon off;\nmaster_process off;\npid {folder}/pid;\nerror_log {folder}/error.log;\n\
         events {{}}\nhttp {{\n{temporary}    access_log {folder}/access.log;\n    server {{\n        \
         listen {address}:{PORT} ssl;\n        ssl_certificate {certificate};\n        \
         ssl_certificate_key {key};\n        {site}\n    }}\n}}\n"
    )
}

const PORT: u16 = 443;
