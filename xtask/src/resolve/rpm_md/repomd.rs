// SPDX-License-Identifier: GPL-2.0-only
//! `repomd.xml`: where the `primary` index is, how long, and with which checksums.
//! Format: <http://linux.duke.edu/metadata/repo>, as createrepo_c writes it.

use crate::checksum::Checksum;
use crate::error::{Error, Result};
use roxmltree::{Document, Node};

/// Bytes that an index may have unpacked, whatever its repository says: ten times those of the largest there are.
pub const LARGEST_OPEN: u64 = 1 << 30;
/// Bytes that it may have compressed.
const LARGEST: u64 = 1 << 28;

/// The `primary` index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Primary {
    /// Path below the repository.
    pub path: String,
    /// Name of its file.
    pub file: String,
    /// Bytes.
    pub size: u64,
    /// Checksum of these bytes.
    pub checksum: Checksum,
    /// Bytes when unpacked, where the repository says so.
    pub open_size: Option<u64>,
    /// Checksum when unpacked, where the repository says so.
    pub open_checksum: Option<Checksum>,
}

/// A path below a repository: nothing of it leads out, and nothing of it means something to a shell or a URL.
pub fn inside(path: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._+~^:-".contains(c);
    path.split('/').all(|part| !part.is_empty() && part != "." && part != ".." && part.chars().all(plain))
        && !path.contains("://")
}

/// Reads the entry of type `primary`.
pub fn primary(text: &str) -> Result<Primary> {
    let bad = |why: String| Error::infra(format!("repodata/repomd.xml: {why}"));
    let document = Document::parse(text).map_err(|error| bad(format!("it is no XML: {error}")))?;
    let of_type = |node: &Node| node.tag_name().name() == "data" && node.attribute("type") == Some("primary");
    let node = document.root_element().children().find(of_type);
    let node = node.ok_or_else(|| bad("it names no index `primary`".into()))?;
    let child = |name: &str| node.children().find(|child| child.tag_name().name() == name);
    let number = |name: &str| child(name).and_then(|child| child.text()?.trim().parse::<u64>().ok());
    let checksum = |name: &str| {
        child(name).and_then(|child| Checksum::new(child.attribute("type").unwrap_or(""), child.text().unwrap_or("")))
    };
    let path = child("location").and_then(|child| child.attribute("href")).unwrap_or_default();
    if !inside(path) {
        return Err(bad(format!("the index `primary` is at {path:?}, which is no path below the repository")));
    }
    let size = number("size").ok_or_else(|| bad("it says no size of `primary`".into()))?;
    let open_size = number("open-size");
    if size > LARGEST || open_size.is_some_and(|size| size > LARGEST_OPEN) {
        return Err(bad(format!(
            "`primary` is to have {size} bytes, {} unpacked: more than {LARGEST} and {LARGEST_OPEN} are refused",
            open_size.map_or("unknown".into(), |size| size.to_string())
        )));
    }
    let weak = || bad("it has no SHA-256 or SHA-512 checksum of `primary`".into());
    Ok(Primary {
        file: path.rsplit('/').next().unwrap_or(path).to_string(),
        path: path.to_string(),
        size,
        checksum: checksum("checksum").ok_or_else(weak)?,
        open_size,
        open_checksum: checksum("open-checksum"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn repomd(href: &str, size: &str, open: &str, kind: &str) -> String {
        format!(
            "<repomd xmlns=\"http://linux.duke.edu/metadata/repo\"><data type=\"primary\">\
             <checksum type=\"{kind}\">{}</checksum><location href=\"{href}\"/><size>{size}</size>\
             <open-size>{open}</open-size></data></repomd>",
            "ab".repeat(32)
        )
    }

    #[test]
    fn the_primary_index_is_found_with_its_sizes() {
        let found = primary(&repomd("repodata/ab-primary.xml.zst", "12", "3456", "sha256")).unwrap();
        assert_eq!((found.file.as_str(), found.size, found.open_size), ("ab-primary.xml.zst", 12, Some(3456)));
    }

    #[test]
    fn what_leads_out_of_the_repository_or_is_too_large_or_weak_is_refused() {
        for href in ["../x", "/etc/passwd", "a/../../b", "http://other/x", "a//b", "", "a/./b", "a b", "a\\b"] {
            assert!(primary(&repomd(href, "1", "1", "sha256")).unwrap_err().message.contains("no path"), "{href}");
        }
        let bomb = primary(&repomd("a.gz", "1", "99999999999", "sha256")).unwrap_err();
        assert!(bomb.message.contains("99999999999 unpacked"), "{bomb}");
        assert!(primary(&repomd("a.gz", "1", "1", "md5")).unwrap_err().message.contains("checksum"));
        assert!(primary("<repomd/>").unwrap_err().message.contains("no index"));
        assert!(primary("<repomd>").unwrap_err().message.contains("no XML"));
    }
}
