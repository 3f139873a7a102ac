// SPDX-License-Identifier: GPL-2.0-only
//! Names of exports: `nbd://HOST[:PORT]/EXPORT` and `nbd+unix:///EXPORT?socket=PATH`.

use std::path::PathBuf;

/// The port that NBD has.
const PORT: u16 = 10809;

/// Where a server is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// Host and port.
    Tcp(String, u16),
    /// A socket here.
    Unix(PathBuf),
}

/// Names an export.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Uri {
    /// The server.
    pub address: Address,
    /// The export's name; most servers have one that is called nothing.
    pub export: String,
}

impl Uri {
    /// The export that a text names. `None` for what does not begin with a scheme of NBD; fails with what is wrong with what
    /// does, in a few words.
    pub fn parse(text: &str) -> Option<Result<Self, String>> {
        let (scheme, rest) = text.split_once("://")?;
        match scheme {
            "nbd" => Some(tcp(rest)),
            "nbd+unix" => Some(unix(rest)),
            "nbds" | "nbds+unix" => Some(Err("TLS is not known here: use a tunnel, such as `ssh -L`".into())),
            _ => None,
        }
    }
}

fn tcp(rest: &str) -> Result<Uri, String> {
    let (authority, export) = rest.split_once('/').unwrap_or((rest, ""));
    // An address of IPv6 stands in brackets, for its colons.
    let (host, port) = match authority.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, port)) => (host, port),
        None => authority.split_at(authority.find(':').unwrap_or(authority.len())),
    };
    let port = match port.strip_prefix(':') {
        None if port.is_empty() => PORT,
        port => port.and_then(|port| port.parse().ok()).ok_or("its port is no number of a port")?,
    };
    if host.is_empty() {
        return Err("it names no host".into());
    }
    Ok(Uri { address: Address::Tcp(host.into(), port), export: decoded(export)? })
}

fn unix(rest: &str) -> Result<Uri, String> {
    let (export, query) = rest.split_once('?').ok_or("it names no socket: `?socket=PATH`")?;
    let socket = query.split('&').find_map(|pair| pair.strip_prefix("socket=")).ok_or("it names no socket")?;
    let export = export.strip_prefix('/').ok_or("the export begins with a slash: `nbd+unix:///EXPORT?socket=PATH`")?;
    Ok(Uri { address: Address::Unix(decoded(socket)?.into()), export: decoded(export)? })
}

/// Text with `%20` and the like as what they stand for.
fn decoded(text: &str) -> Result<String, String> {
    let mut parts = text.split('%');
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        let (code, rest) = part.split_at_checked(2).ok_or("a % in it has no two digits behind it")?;
        bytes.push(u8::from_str_radix(code, 16).map_err(|_| "a % in it has no two digits behind it")?);
        bytes.extend_from_slice(rest.as_bytes());
    }
    String::from_utf8(bytes).map_err(|_| "it is no text".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exports_are_found_by_their_names() {
        let uri = |text| Uri::parse(text).unwrap().unwrap();
        let tcp =
            |host: &str, port, export: &str| Uri { address: Address::Tcp(host.into(), port), export: export.into() };
        assert_eq!(uri("nbd://backup/sdb"), tcp("backup", 10809, "sdb"));
        assert_eq!(uri("nbd://backup:7/a%2Fb/c%20d"), tcp("backup", 7, "a/b/c d"));
        assert_eq!(uri("nbd://[::1]:7"), tcp("::1", 7, ""));
        assert_eq!(uri("nbd://[fe80::1]/x"), tcp("fe80::1", 10809, "x"));
        let unix = Uri { address: Address::Unix("/run/n b d".into()), export: "x".into() };
        assert_eq!(uri("nbd+unix:///x?socket=/run/n%20b%20d"), unix);
        assert_eq!(Uri::parse("/dev/sdb"), None);
        assert_eq!(Uri::parse("ssh://host/path"), None);
        for bad in [
            "nbd://",
            "nbd://h:x/",
            "nbd://h:70000/",
            "nbd+unix:///x",
            "nbd+unix://x?socket=y",
            "nbds://h/",
            "nbd://h/%4",
        ] {
            assert!(Uri::parse(bad).unwrap().is_err(), "{bad}");
        }
    }
}
