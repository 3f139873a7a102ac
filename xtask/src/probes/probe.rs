// SPDX-License-Identifier: GPL-2.0-only
//! The probes of `module/probes`, and where the headers decide what each finds.

use crate::error::{AtPath, Result};
use std::fs;
use std::path::Path;

/// A file of `module/probes`. Comments `Decided by HEADER: TEXT` behind the first one name what in the kernel decides it; where
/// kernels have it in several places or shapes, or several decide together, each has one. A comment `Alike everywhere: REASON` says why
/// no kernel that can be had answers otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    /// The file's name without its ending: `bio_bdev`.
    pub name: String,
    /// What a yes means, from its first comment.
    pub means: String,
    /// Headers, below a kernel's `include`, each with the text of the line in it.
    pub decided: Vec<(String, String)>,
    /// Why no kernel that can be had answers otherwise.
    pub alike: Option<String>,
}

impl Probe {
    /// Every probe, sorted by name; the two controls are none.
    pub fn all(module: &Path) -> Result<Vec<Probe>> {
        let dir = module.join("probes");
        let mut probes = Vec::new();
        for path in crate::tree::files(&dir)? {
            let name = path.to_string_lossy();
            let Some(name) = name.strip_suffix(".c").filter(|name| !name.starts_with("control_")) else { continue };
            if name.ends_with(".mod") {
                continue;
            }
            let text = fs::read_to_string(dir.join(&path)).at_path(dir.join(&path))?;
            probes.push(Probe::parse(name, &text));
        }
        Ok(probes)
    }

    fn parse(name: &str, text: &str) -> Probe {
        let comment = |line: &str| Some(line.strip_prefix("/* ")?.strip_suffix(" */")?.to_string());
        let comments: Vec<String> =
            text.lines().map_while(|line| comment(line).or(line.starts_with("//").then(String::new))).collect();
        let decided = comments.iter().filter_map(|line| line.strip_prefix("Decided by ")?.split_once(": "));
        let alike = comments.iter().find_map(|line| line.strip_prefix("Alike everywhere: "));
        Probe {
            name: name.to_string(),
            means: comments.get(1).cloned().unwrap_or_default(),
            alike: alike.map(String::from),
            decided: decided.map(|(header, line)| (header.to_string(), line.to_string())).collect(),
        }
    }

    /// The macro that is defined where it compiles: `INV_HAVE_BIO_BDEV`.
    pub fn define(&self) -> String {
        format!("INV_HAVE_{}", self.name.to_uppercase())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_tell_the_meaning_and_the_header_line() {
        let text =
            "// SPDX\n/* A bio knows. */\n/* Decided by a.h: *bi_bdev; */\n/* Decided by b.h: x: y */\n#include <x>\n";
        let probe = Probe::parse("bio_bdev", text);
        assert_eq!(probe.means, "A bio knows.");
        let decided = [("a.h", "*bi_bdev;"), ("b.h", "x: y")].map(|(header, line)| (header.into(), line.into()));
        assert_eq!(probe.decided, decided);
        assert_eq!(probe.define(), "INV_HAVE_BIO_BDEV");
        assert_eq!(Probe::parse("x", "// SPDX\n/* Means. */\nint a;\n").decided, []);
        assert_eq!(probe.alike, None);
        let alike = Probe::parse("x", "// SPDX\n/* Means. */\n/* Alike everywhere: so. */\nint a;\n").alike;
        assert_eq!(alike.as_deref(), Some("so."));
    }
}
