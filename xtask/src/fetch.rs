// SPDX-License-Identifier: GPL-2.0-only
//! Downloads that end: bounded in bytes, in time and in redirects, whatever the server does.
//!
//! curl transfers, with the host's own proxies and certificates. Its options and its credentials go through its standard
//! input, so that no secret is an argument; its own `--max-filesize` counts nothing where a server tells no length, so
//! the bytes are counted here.

use crate::credentials::Access;
use crate::error::{AtPath, Error, Result};
use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// Redirects that are followed.
const REDIRECTS: u32 = 5;
/// Bytes a second that a server has to send; one that sends less for [`Patience::stall`] stalls.
const SLOWEST: u32 = 1024;

/// How long a server is waited for.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// Seconds with next to no data after which a server is given up, also before it answers.
    pub stall: u32,
    /// Seconds that a whole transfer may take.
    pub whole: u32,
}

impl Patience {
    /// For indices.
    pub const INDEX: Patience = Patience { stall: 20, whole: 600 };
    /// For packages.
    pub const PACKAGE: Patience = Patience { stall: 30, whole: 3600 };
}

/// Whom a server's bytes are believed for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Channel {
    /// Nobody: who asks for them checks signatures.
    Any,
    /// The server's certificate: no step of the way may be plain http, save to this machine itself.
    Tls,
}

impl Channel {
    fn admit(self, url: &str) -> Result<()> {
        match self == Channel::Any || url.starts_with("https://") || is_local(url) {
            true => Ok(()),
            false => Err(Error::infra(format!(
                "{url}: it is not https, and nobody signs the index there: anybody on the way could have written it"
            ))
            .note("name an https mirror: `mirror:` under `distros:` in kernels.yaml")),
        }
    }

    /// The protocols that a redirect may lead to.
    fn redirects(self) -> &'static str {
        if self == Channel::Any { "=http,https" } else { "=https" }
    }
}

/// Whether a URL is of this machine itself: a file, or the loopback address.
fn is_local(url: &str) -> bool {
    let host = |rest: &str| {
        let authority = rest.split(['/', '?', '#', '\\']).next().unwrap_or_default();
        authority == "127.0.0.1" || authority.strip_prefix("127.0.0.1:").is_some_and(|port| port.parse::<u16>().is_ok())
    };
    url.starts_with("file:/") || url.strip_prefix("http://").is_some_and(host)
}

/// How a file is asked for.
#[derive(Clone, Copy)]
pub struct Way<'a> {
    /// What the server is shown.
    pub access: &'a Access,
    /// How long it is waited for.
    pub patience: Patience,
    /// Whom it is believed for.
    pub channel: Channel,
}

/// How long a file is.
#[derive(Debug, Clone, Copy)]
pub enum Size {
    /// As a signed index says, in bytes.
    Exactly(u64),
    /// Not known; longer than this many bytes it is refused.
    AtMost(u64),
}

/// Downloads `url` into a new file. What is left of it after a failure is the caller's to remove.
///
/// Fails as [`crate::error::Kind::Kernel`] where the server does not have the file, else as infrastructure.
pub fn get(url: &str, to: &Path, size: Size, way: Way<'_>) -> Result<()> {
    way.channel.admit(url)?;
    let mut curl = Command::new("curl");
    curl.args(["--disable", "--config", "-"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = curl.spawn().at_path("curl").map_err(|error| error.note("apt-get install curl"))?;
    let said = child.stdin.take().expect("is piped").write_all(settings(url, way)?.as_bytes());
    let mut file = File::create(to).at_path(to)?;
    let limit = match size {
        Size::Exactly(bytes) | Size::AtMost(bytes) => bytes,
    };
    let mut body = child.stdout.take().expect("is piped").take(limit.saturating_add(1));
    let copied = std::io::copy(&mut body, &mut file);
    let too_long = matches!(copied, Ok(bytes) if bytes > limit);
    if too_long || copied.is_err() {
        // It may have ended by itself.
        let _ = child.kill();
    }
    let output = child.wait_with_output().at_path("curl")?;
    let bytes = copied.at_path(to)?;
    match size {
        _ if too_long => Err(Error::infra(format!("{url}: it is longer than {limit} bytes, {}", why_limit(size)))),
        _ if !output.status.success() => Err(refused(url, bytes, &output, way.patience)),
        Size::Exactly(expected) if bytes < expected => Err(truncated(url, bytes, expected)),
        _ => said.at_path("curl"),
    }
}

fn why_limit(size: Size) -> &'static str {
    match size {
        Size::Exactly(_) => "which its index says that it has",
        Size::AtMost(_) => "which no such file should be",
    }
}

fn truncated(url: &str, bytes: u64, expected: u64) -> Error {
    Error::infra(format!("{url}: it is cut off: {bytes} of {expected} bytes came"))
        .note("a mirror in the middle of an update: try again, or name another one")
}

/// curl's configuration file.
fn settings(url: &str, way: Way<'_>) -> Result<String> {
    let Way { access, patience, channel } = way;
    let mut text = format!(
        "silent\nshow-error\nfail\nlocation\nglobsoff\nmax-redirs = {REDIRECTS}\nproto = \"=http,https,file\"\n\
         proto-redir = \"{}\"\nconnect-timeout = {}\nspeed-limit = {SLOWEST}\nspeed-time = {}\nmax-time = {}\n",
        channel.redirects(),
        patience.stall,
        patience.stall,
        patience.whole
    );
    for (option, value) in [("url", url)].into_iter().chain(access.options()) {
        if value.contains(char::is_control) {
            return Err(Error::input(format!("{url:?}: its {option} has a control character")));
        }
        text += &format!("{option} = \"{}\"\n", value.replace('\\', "\\\\").replace('"', "\\\""));
    }
    Ok(text)
}

/// OpenSSL's words for the alerts of TLS with which a server sends a client away.
const ALERTS: [&str; 4] = ["certificate required", "unknown ca", "bad certificate", "handshake failure"];

/// What a failure of curl means; the numbers are those of curl(1), EXIT CODES.
fn refused(url: &str, bytes: u64, output: &Output, patience: Patience) -> Error {
    let said = String::from_utf8_lossy(&output.stderr);
    let said = said.trim().strip_prefix("curl: ").unwrap_or(said.trim());
    match output.status.code() {
        Some(18) => Error::infra(format!("{url}: it is cut off after {bytes} bytes"))
            .note("a mirror in the middle of an update: try again, or name another one"),
        Some(28) => Error::infra(format!(
            "{url}: the mirror stalls: {bytes} bytes came, then less than {SLOWEST} bytes a second for {} s, or all of it took more than {} s",
            patience.stall, patience.whole
        ))
        .note("try again, or name another mirror"),
        Some(47) => Error::infra(format!("{url}: it leads in a circle: more than {REDIRECTS} redirects")),
        Some(22) if ["401", "403"].iter().any(|code| said.ends_with(code)) => {
            Error::infra(format!("{url}: the server wants other credentials: {said}"))
                .note("docs/kernels-yaml.md says where credentials are read from: \"Credentials\"")
        }
        Some(35 | 56) if ALERTS.iter().any(|alert| said.contains(alert)) => {
            Error::infra(format!("{url}: the server wants another client certificate: {said}"))
                .note("docs/kernels-yaml.md says where credentials are read from: \"Credentials\"")
        }
        Some(22 | 37) if said.ends_with("404") || said.contains("Couldn't open file") => {
            Error::kernel(format!("{url}: the server does not have it"))
        }
        _ => Error::infra(format!("{url}: {said}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_signed_comes_by_https_or_from_this_machine() {
        let admits = |url: &str| Channel::Tls.admit(url).is_ok();
        assert!(admits("https://cdn.redhat.com/content") && admits("file:/srv/x") && admits("http://127.0.0.1:8080/x"));
        for url in [
            "http://mirror.example.org/x",
            "http://127.0.0.1.example.org/",
            "http://127.0.0.1:80@example.org/",
            "http://127.0.0.1@example.org/",
            "ftp://127.0.0.1/",
        ] {
            assert!(!admits(url), "{url}");
            assert!(Channel::Any.admit(url).is_ok());
        }
    }
}
