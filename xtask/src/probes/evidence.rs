// SPDX-License-Identifier: GPL-2.0-only
//! The line of a kernel's headers that decides what a probe finds.

use super::probe::Probe;
use std::fs;
use std::path::{Path, PathBuf};

/// Lines of a declaration that are shown at most.
const LINES: usize = 4;

/// A declaration in a header, shown as `linux/blkdev.h:1234: declaration`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    header: String,
    number: usize,
    /// The declaration, in one line.
    pub text: String,
}

impl std::fmt::Display for Line {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}: {}", self.header, self.number, self.text)
    }
}

/// The lines of a probe that a KDIR has; where it has none, why.
pub type Evidence = Result<Vec<Line>, String>;

/// Reads them.
pub fn of(probe: &Probe, kdir: &Path) -> Evidence {
    let dirs = includes(kdir);
    let lines = probe.decided.iter().map(|(header, wanted)| line(&dirs, header, wanted));
    let (found, missing): (Vec<_>, Vec<_>) = lines.partition(Result::is_ok);
    match (found.is_empty(), missing.is_empty()) {
        (false, _) => Ok(found.into_iter().flatten().collect()),
        (true, false) => Err(missing.into_iter().filter_map(Result::err).collect::<Vec<_>>().join(", ")),
        (true, true) => Err(format!("module/probes/{}.c names no header line", probe.name)),
    }
}

fn line(dirs: &[PathBuf], header: &str, wanted: &str) -> Result<Line, String> {
    let mut texts = dirs.iter().filter_map(|dir| fs::read_to_string(dir.join(header)).ok());
    let text = texts.next().ok_or_else(|| format!("{header} is not there"))?;
    let (number, text) = declaration(&text, wanted).ok_or_else(|| format!("{header} has no `{wanted}`"))?;
    Ok(Line { header: header.to_string(), number, text })
}

/// Where a KDIR's headers are: in itself, and in the source tree that its makefile includes (`include DIR/Makefile`).
fn includes(kdir: &Path) -> Vec<PathBuf> {
    let mut dirs = vec![kdir.to_path_buf(), kdir.join("source")];
    let makefile = fs::read_to_string(kdir.join("Makefile")).unwrap_or_default();
    for line in makefile.lines() {
        let Some(dir) = line.strip_prefix("include ").and_then(|path| path.trim().strip_suffix("/Makefile")) else {
            continue;
        };
        // Unpacked elsewhere, the two directories still lie beside each other.
        let beside = Path::new(dir).file_name().map(|name| kdir.with_file_name(name));
        dirs.extend(beside.into_iter().chain([kdir.join(dir)]));
    }
    dirs.into_iter().map(|dir| dir.join("include")).collect()
}

/// The first line with `wanted` that is no comment, and its number, with what belongs to it before and after.
fn declaration(text: &str, wanted: &str) -> Option<(usize, String)> {
    let lines: Vec<&str> = text.lines().collect();
    let is_comment = |line: &str| ["*", "/*", "//"].iter().any(|start| line.trim_start().starts_with(start));
    let at = lines.iter().position(|line| has_word(line, wanted) && !is_comment(line))?;
    // A long declaration has its type on the line before.
    let first = if lines[at].starts_with(wanted) && at > 0 { at - 1 } else { at };
    let ends =
        |line: &&str| line.ends_with([';', '{', '}', ',']) && line.matches('(').count() <= line.matches(')').count();
    let last = lines[at..].iter().take(LINES).position(ends).map_or(at, |more| at + more);
    let words = lines[first..=last].iter().flat_map(|line| line.split_whitespace());
    Some((at + 1, words.collect::<Vec<_>>().join(" ")))
}

/// Not as the end of a longer name.
fn has_word(line: &str, wanted: &str) -> bool {
    line.match_indices(wanted)
        .any(|(at, _)| !line[..at].ends_with(|before: char| before.is_alphanumeric() || before == '_'))
}

#[cfg(test)]
mod tests {
    use super::declaration;

    #[test]
    fn a_declaration_is_shown_whole_and_a_longer_name_is_another() {
        let text = "/* blk_freeze() */\n * blk_freeze(q)\nvoid my_blk_freeze(int);\nstatic inline unsigned int\nblk_freeze(struct q *q)\n{\n";
        assert_eq!(
            declaration(text, "blk_freeze("),
            Some((5, "static inline unsigned int blk_freeze(struct q *q) {".into()))
        );
        let text = "struct bdev *get(const char *path,\n\t\tvoid *holder);\nint x;\n";
        assert_eq!(declaration(text, "get("), Some((1, "struct bdev *get(const char *path, void *holder);".into())));
        assert_eq!(declaration(text, "put("), None);
    }
}
