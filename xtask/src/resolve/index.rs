// SPDX-License-Identifier: GPL-2.0-only
//! `Packages` indices: the stanzas of kernel packages, and nothing else of them.

use super::rpm_md::inside;
use crate::error::{Error, Result};
use std::io::BufRead;

/// One stanza.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stanza {
    /// `Package`.
    pub name: String,
    /// `Version`.
    pub version: String,
    /// Source package, without its version: `linux`, `linux-6.12`.
    pub source: String,
    /// `Depends`: for each dependency its alternatives, names only.
    pub depends: Vec<Vec<String>>,
    /// `Filename`.
    pub path: String,
    /// `Size`.
    pub size: u64,
    /// `SHA256`.
    pub sha256: String,
}

/// Beginnings of the package names that a kernel can be made of.
const KERNEL_PACKAGES: [&str; 7] = [
    "linux-headers-",
    "linux-kbuild-",
    "linux-source-",
    "linux-image-",
    "linux-base-",
    "linux-binary-",
    "linux-modules-",
];

/// In the names of Ubuntu's headers that flavours share: `linux-azure-6.8-headers-6.8.0-1074`.
const SHARED_HEADERS: &[u8] = b"-headers-";

/// Reads the kernel packages of an index.
pub fn read(mut index: impl BufRead) -> Result<Vec<Stanza>> {
    let mut stanzas = Vec::new();
    let (mut line, mut stanza) = (Vec::new(), String::new());
    let mut wanted = false;
    loop {
        line.clear();
        let read = index.read_until(b'\n', &mut line).map_err(|error| Error::infra(error.to_string()))?;
        if read == 0 || line == b"\n" {
            if wanted {
                stanzas.push(parse(&stanza)?);
            }
            if read == 0 {
                return Ok(stanzas);
            }
            (stanza, wanted) = (String::new(), false);
        } else if let Some(name) = line.strip_prefix(b"Package: ") {
            wanted = KERNEL_PACKAGES.iter().any(|start| name.starts_with(start.as_bytes()))
                || name.starts_with(b"linux-") && name.windows(SHARED_HEADERS.len()).any(|part| part == SHARED_HEADERS);
            stanza = String::from_utf8_lossy(&line).into_owned();
        } else if wanted {
            stanza.push_str(&String::from_utf8_lossy(&line));
        }
    }
}

fn parse(text: &str) -> Result<Stanza> {
    let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
    let need = |name: &str| {
        let place = text.lines().next().unwrap_or("");
        field(name).map(str::to_owned).ok_or_else(|| Error::infra(format!("index stanza `{place}` has no `{name}`")))
    };
    let name = need("Package")?;
    let source = field("Source").unwrap_or(&name).split(' ').next().unwrap_or("").to_owned();
    let (size, path, sha256) = (need("Size")?, need("Filename")?, need("SHA256")?);
    // Both come to be names of files in the store.
    if !inside(&path) || sha256.len() != 64 || !sha256.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
        return Err(Error::infra(format!("index stanza `{name}`: bad `Filename` {path:?} or `SHA256` {sha256:?}")));
    }
    Ok(Stanza {
        version: need("Version")?,
        source,
        depends: field("Depends").map(depends).unwrap_or_default(),
        path,
        size: size.parse().map_err(|_| Error::infra(format!("index stanza `{name}`: bad size `{size}`")))?,
        sha256,
        name,
    })
}

fn depends(field: &str) -> Vec<Vec<String>> {
    let name = |alternative: &str| alternative.trim().split([' ', '(', ':']).next().unwrap_or("").to_owned();
    field.split(',').map(|dependency| dependency.split('|').map(name).collect()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stanza(path: &str, sha256: &str) -> Result<Vec<Stanza>> {
        let text = format!("Package: linux-image-x\nVersion: 1\nSize: 1\nFilename: {path}\nSHA256: {sha256}\n");
        read(text.as_bytes())
    }

    #[test]
    fn a_name_that_leads_out_of_the_archive_or_the_store_is_refused() {
        let sha256 = "0123456789abcdef".repeat(4);
        assert_eq!(stanza("pool/main/l/linux/linux-image-x_1_amd64.deb", &sha256).unwrap()[0].sha256, sha256);
        for path in ["../../etc/passwd", "/etc/passwd", "pool/a deb", ""] {
            assert!(stanza(path, &sha256).unwrap_err().message.contains("bad `Filename`"), "{path}");
        }
        for bad in ["../../../etc", &sha256[1..], &sha256.to_uppercase(), &format!("{sha256}0")] {
            assert!(stanza("pool/x.deb", bad).is_err(), "{bad}");
        }
    }
}
