// SPDX-License-Identifier: GPL-2.0-only
//! Repositories that went back to an older state. zypper and dnf take one as it comes, since its signature is true; who has
//! a copy of a newer state can tell.

use super::Checker;
use crate::error::{AtPath, Error, Result};
use crate::tree;
use std::fs;
use std::path::{Path, PathBuf};

/// Abbreviations of months, as RFC 5322 has them.
const MONTHS: &str = "JanFebMarAprMayJunJulAugSepOctNovDec";

impl Checker<'_> {
    /// Every index of `seen`, a copy of what was published at some time, must be there in the same state or a newer one.
    pub(super) fn not_older(&self, seen: &Path) -> Result<()> {
        let files = tree::files(seen)?;
        let indices: Vec<&PathBuf> = files.iter().filter(|file| State::is_told_by(file)).collect();
        if indices.is_empty() {
            return Err(Error::input(format!("{}: there is no repository in it", seen.display()))
                .note("--after wants a copy of what was published before: a directory with apt/ or rpm/"));
        }
        for file in indices {
            let path = seen.join(file);
            let known = fs::read_to_string(&path).at_path(&path)?;
            let known = State::of(file, &known)
                .ok_or_else(|| Error::input(format!("{}: no date or revision is in it", path.display())))?;
            let cause = match self.text(file).map(|text| State::of(file, &text)) {
                // Missing, which has been found already.
                None => continue,
                Some(None) => "no date or revision is in it".to_string(),
                Some(Some(now)) if now.order < known.order => {
                    format!("a rollback: it is of {}, and {} is of {}", now.text, path.display(), known.text)
                }
                Some(Some(_)) => continue,
            };
            self.found(file, cause);
        }
        Ok(())
    }
}

/// How old an index says it is.
#[derive(Debug)]
struct State {
    order: u64,
    text: String,
}

impl State {
    fn is_told_by(file: &Path) -> bool {
        let name = super::name(file);
        (file.starts_with("apt/dists") && name == "Release") || (file.starts_with("rpm") && name == "repomd.xml")
    }

    /// `Date:` of a `Release`, `<revision>` of a `repomd.xml`, which createrepo_c fills with seconds since the epoch.
    fn of(file: &Path, index: &str) -> Option<State> {
        if super::name(file) == "Release" {
            let text = super::apt::field(index, "Date")?.to_string();
            return Some(State { order: date(&text)?, text });
        }
        let text = index.split_once("<revision>")?.1.split_once('<')?.0.to_string();
        Some(State { order: text.parse().ok()?, text: format!("revision {text}") })
    }
}

/// `Mon, 23 Nov 2026 12:20:30 UTC` as the number 20261123122030.
fn date(text: &str) -> Option<u64> {
    let mut words = text.split_whitespace().skip(1);
    let (day, month, year) = (words.next()?, words.next()?, words.next()?);
    let time: Vec<u64> = words.next()?.split(':').map(|part| part.parse().ok()).collect::<Option<_>>()?;
    let zone = words.next()?;
    let month = MONTHS.find(month).filter(|_| month.len() == 3)? as u64 / 3 + 1;
    let [hour, minute, second] = time[..] else { return None };
    // Archives write no other zone.
    ["UTC", "GMT", "+0000"].contains(&zone).then_some(())?;
    let days = (year.parse::<u64>().ok()? * 100 + month) * 100 + day.parse::<u64>().ok()?;
    Some(((days * 100 + hour) * 100 + minute) * 100 + second)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_of_an_archive_are_ordered() {
        assert_eq!(date("Mon, 23 Nov 2026 12:20:30 UTC"), Some(20261123122030));
        assert!(date("Thu, 31 Dec 2026 23:59:59 +0000") < date("Fri, 01 Jan 2027 00:00:00 UTC"));
        for wrong in ["", "Mon, 23 Nov 2026", "Mon, 23 November 2026 12:20:30 UTC", "Mon, 23 Nov 2026 12:20:30 CET"] {
            assert_eq!(date(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn an_index_of_rpm_packages_has_a_revision() {
        let state = |text| State::of(Path::new("rpm/x/repodata/repomd.xml"), text).map(|state| state.order);
        assert_eq!(state("<repomd><revision>1790000000</revision></repomd>"), Some(1790000000));
        assert_eq!(state("<repomd></repomd>"), None);
    }

    #[test]
    fn a_directory_without_repositories_was_no_state() {
        assert!(!State::is_told_by(Path::new("sbom/Release")));
        assert!(State::is_told_by(Path::new("apt/dists/sid/Release")));
    }
}
