// SPDX-License-Identifier: GPL-2.0-only
//! What a publication does to its place: what is added, replaced and removed, and which generations stay.

use super::generations::{Files, Generation, SIGNATURE, SUMS};
use crate::error::{Error, Result};
use crate::repository::is_immutable;
use std::collections::BTreeSet;
use std::num::NonZero;

/// Files that clients begin from. They are replaced last, in this order, so that each leads only to what is there.
const BEGINNINGS: [&str; 8] = [
    "/Release",
    "/Release.gpg",
    "/InRelease",
    "/repodata/repomd.xml.key",
    "/repodata/repomd.xml.asc",
    "/repodata/repomd.xml",
    SIGNATURE,
    SUMS,
];

/// One publication. Paths are from the place's top, and from that of `dist/`.
#[derive(Debug, PartialEq, Eq)]
pub struct Plan {
    /// The number of the new generation.
    pub number: u64,
    /// Generations whose files stay, but for the new one.
    pub kept: Vec<u64>,
    /// Generations that go.
    pub dropped: Vec<u64>,
    /// New files, under names that nothing else ever has.
    pub add: Vec<String>,
    /// Files whose names stay and whose bytes change, in the order in which they are replaced.
    pub replace: Vec<String>,
    /// Files that are there and stay as they are.
    pub keep: Vec<String>,
    /// Files of generations that go, which no other one has.
    pub remove: Vec<String>,
}

impl Plan {
    /// The way from what is published to `files`; `None` where that is what is published. `keep` generations stay, the
    /// new one with them.
    ///
    /// Fails as bad input where a repository would have no successor, unless that is meant (`drop_missing`).
    pub fn new(
        files: &Files,
        published: &[Generation],
        keep: NonZero<usize>,
        drop_missing: bool,
    ) -> Result<Option<Plan>> {
        let newest = published.last();
        if newest.is_some_and(|newest| newest.complete && newest.files == *files) {
            return Ok(None);
        }
        if !drop_missing {
            missing(files, published)?;
        }
        let (dropped, kept) = published.split_at(first_kept(published, keep));
        let paths = |generations: &[Generation]| -> BTreeSet<String> {
            generations.iter().flat_map(|one| one.files.keys().cloned()).collect()
        };
        let (old, mut stays) = (paths(dropped), paths(kept));
        stays.retain(|path| !files.contains_key(path));
        let remove = old.into_iter().filter(|path| !files.contains_key(path) && !stays.contains(path)).collect();
        let is_there = |path: &String, sha256: &String| {
            published.iter().any(|one| one.complete && one.files.get(path) == Some(sha256))
        };
        // After one that was broken off, nobody knows which of its files have come.
        let is_still = |path: &String, sha256: &String| {
            newest.is_some_and(|newest| newest.complete && newest.files.get(path) == Some(sha256))
        };
        let (mut add, mut replace) = (Vec::new(), Vec::new());
        for (path, sha256) in files {
            match (is_immutable(path, sha256), is_there(path, sha256)) {
                (false, _) if !is_still(path, sha256) => replace.push(path.clone()),
                (true, false) => add.push(path.clone()),
                _ => drop(stays.insert(path.clone())),
            }
        }
        replace.extend([SIGNATURE.to_string(), SUMS.to_string()]);
        replace.sort_by_key(|path| rank(path));
        Ok(Some(Plan {
            number: newest.map_or(1, |newest| newest.number + 1),
            kept: kept.iter().map(|one| one.number).collect(),
            dropped: dropped.iter().map(|one| one.number).collect(),
            add,
            replace,
            remove,
            keep: stays.into_iter().collect(),
        }))
    }

    /// How many of [`Self::replace`] are no beginnings: they are replaced before the others.
    pub fn inner(&self) -> usize {
        self.replace.iter().filter(|path| rank(path) == 0).count()
    }
}

/// When a file is replaced: 0 for those that no client begins from.
fn rank(path: &str) -> usize {
    BEGINNINGS.iter().position(|end| path.ends_with(end)).map_or(0, |position| position + 1)
}

/// The first of the generations that stay. Those that never became complete do not count, and go when all that are
/// older than they are have gone: one may be what clients see.
fn first_kept(published: &[Generation], keep: NonZero<usize>) -> usize {
    // The new one is one of them.
    let mut left = keep.get() - 1;
    for (index, one) in published.iter().enumerate().rev() {
        if left == 0 {
            return index + 1;
        }
        left -= usize::from(one.complete);
    }
    0
}

/// A repository whose clients would find nothing new for ever is most likely a mistake.
fn missing(files: &Files, published: &[Generation]) -> Result<()> {
    let repositories = |files: &Files| -> BTreeSet<String> {
        files
            .keys()
            .filter_map(|path| path.strip_suffix("/InRelease").or(path.strip_suffix("/repodata/repomd.xml")))
            .map(String::from)
            .collect()
    };
    let Some(before) = published.iter().rfind(|one| one.complete) else { return Ok(()) };
    let now = repositories(files);
    let gone: Vec<String> = repositories(&before.files).into_iter().filter(|one| !now.contains(one)).collect();
    match gone.as_slice() {
        [] => Ok(()),
        gone => Err(Error::input(format!("{}: published before, and not in what is to be published", gone.join(", ")))
            .note("build for these too, or give --drop-missing: they go with the last generation that has them")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(of: &[(&str, u8)]) -> Files {
        let sha256 = |byte: u8| format!("{byte:02x}").repeat(32);
        of.iter().map(|(path, byte)| (path.replace("HASH", &sha256(*byte)), sha256(*byte))).collect()
    }

    fn generation(number: u64, complete: bool, of: &[(&str, u8)]) -> Generation {
        Generation { number, files: files(of), complete }
    }

    fn plan(of: &[(&str, u8)], published: &[Generation], keep: usize) -> Option<Plan> {
        Plan::new(&files(of), published, NonZero::new(keep).unwrap(), false).unwrap()
    }

    const DEB: &str = "apt/pool/HASH/a.deb";
    const INDEX: &str = "apt/dists/x/InRelease";
    const REPOMD: &str = "rpm/x/repodata/repomd.xml";

    #[test]
    fn beginnings_come_last_and_the_list_after_them() {
        let of = [(DEB, 1), (INDEX, 2), ("apt/dists/x/main/Packages", 3), (REPOMD, 4), ("sbom/a.json", 5)];
        let plan = plan(&of, &[], 1).unwrap();
        assert_eq!(plan.add.len(), 1);
        assert_eq!(
            plan.replace,
            ["apt/dists/x/main/Packages", "sbom/a.json", INDEX, REPOMD, "SHA256SUMS.asc", "SHA256SUMS"]
        );
        assert_eq!(plan.inner(), 2);
    }

    #[test]
    fn what_a_kept_generation_has_stays_and_what_only_others_have_goes() {
        let [one, two] = [generation(1, true, &[(DEB, 1), (INDEX, 9)]), generation(2, true, &[(DEB, 2), (INDEX, 8)])];
        let next = plan(&[(DEB, 3), (INDEX, 7)], &[one.clone(), two.clone()], 2).unwrap();
        assert_eq!((next.number, &next.kept[..], &next.dropped[..]), (3, &[2][..], &[1][..]));
        assert_eq!((next.keep.len(), next.remove.len()), (1, 1));
        assert!(next.keep[0].contains("0202") && next.remove[0].contains("0101"));
        let again = plan(&[(DEB, 1), (INDEX, 9)], &[one, two], 3).unwrap();
        assert_eq!((again.add.len(), again.keep.len(), again.remove.len()), (0, 2, 0), "{again:?}");
    }

    #[test]
    fn generations_that_were_broken_off_do_not_count() {
        let published = [
            generation(1, true, &[(DEB, 1), (INDEX, 9)]),
            generation(2, false, &[(DEB, 2), (INDEX, 8)]),
            generation(3, false, &[(DEB, 3), (INDEX, 7)]),
        ];
        let next = plan(&[(DEB, 4), (INDEX, 6)], &published, 2).unwrap();
        assert_eq!((&next.kept[..], &next.dropped[..]), (&[1, 2, 3][..], &[][..]));
        // The same again is no news only where it came through.
        assert!(plan(&[(DEB, 3), (INDEX, 7)], &published, 2).unwrap().add.len() == 1);
        assert!(plan(&[(DEB, 1), (INDEX, 9)], &published[..1], 2).is_none());
        assert_eq!(plan(&[(DEB, 4), (INDEX, 6)], &published, 1).unwrap().dropped, [1, 2, 3]);
    }

    #[test]
    fn a_repository_that_has_no_successor_is_refused_by_name() {
        let published = [generation(1, true, &[(INDEX, 9), (REPOMD, 1)])];
        let now = files(&[(INDEX, 8)]);
        let error = Plan::new(&now, &published, NonZero::new(3).unwrap(), false).unwrap_err();
        assert!(error.message.contains("rpm/x") && error.kind.exit_code() == 2, "{error}");
        let meant = Plan::new(&now, &published, NonZero::new(3).unwrap(), true).unwrap().unwrap();
        assert_eq!(meant.keep, [REPOMD]);
    }
}
