// SPDX-License-Identifier: GPL-2.0-only
//! Every kernel in the archives that selectors name. An archive that cannot be read costs its own kernels and no others.

use super::apt::{Archives, Wanted};
use super::candidate::{self, Candidate, Found, Incomplete, SuiteIndex};
use super::rpm_archive::{self, RpmArchive};
use super::{Refused, pick, version};
use crate::error::{Error, Kind, Result};
use crate::event::Listener;
use crate::kernels::{Archive, Distro, Kernels, Selector};
use crate::select::Subject;
use crate::store::Store;
use std::collections::{BTreeMap, BTreeSet};

/// A kernel in an archive.
pub struct Available<T> {
    /// `debian`.
    pub distro: &'static str,
    /// Release whose build root is used.
    pub release: &'static str,
    /// `amd64`.
    pub arch: String,
    /// What the index says of it.
    pub candidate: T,
}

/// What a selector looks at.
pub trait Traits {
    /// Suite, flavour, kernel release, package version, source package.
    fn traits(&self) -> [&str; 5];
}

impl Traits for Candidate {
    fn traits(&self) -> [&str; 5] {
        [&self.suite, &self.flavour, &self.kernel, &self.version, &self.source_name]
    }
}

impl Traits for Incomplete {
    fn traits(&self) -> [&str; 5] {
        [&self.suite, &self.flavour, &self.kernel, &self.version, &self.source_name]
    }
}

impl<T: Traits> Available<T> {
    /// The kernel as a selector sees it.
    pub fn view(&self) -> pick::Kernel<'_> {
        let [suite, flavour, kernel, version, source_name] = self.candidate.traits();
        let (distro, release, arch) = (self.distro, self.release, &self.arch);
        pick::Kernel {
            subject: Subject { distro, release, suite, arch, flavour, kernel, platform: None },
            version,
            source_name,
        }
    }
}

/// Suites of which nothing is known: apt reads those of a distribution together.
pub struct Unread {
    distro: &'static str,
    suites: Vec<String>,
    error: Error,
}

impl Unread {
    /// Whether the suite is among them.
    pub fn has(&self, distro: &Distro, suite: &str) -> bool {
        self.distro == distro.name && self.suites.iter().any(|one| one == suite)
    }

    /// Why not.
    pub fn why(&self) -> &Error {
        &self.error
    }

    /// As the report of a run has it.
    pub fn refused(self) -> Refused {
        Refused { id: format!("{}:{}", self.distro, self.suites.join(",")), error: self.error }
    }
}

/// What was found.
#[derive(Default)]
pub struct Survey {
    /// Kernels of which all packages are there.
    pub complete: Vec<Available<Candidate>>,
    /// The others.
    pub incomplete: Vec<Available<Incomplete>>,
    /// Suites that could not be read.
    pub unread: Vec<Unread>,
}

/// Where indices are read from, and who is told.
pub struct Source<'a> {
    /// Keeps the indices.
    pub store: &'a Store,
    /// Whether they are not to be brought up to date.
    pub offline: bool,
    /// Is told of every update.
    pub listener: &'a dyn Listener,
}

/// Every kernel in the suites that `groups` name and that are of `concern`. Fails for mistakes of the user's only.
pub fn survey(
    kernels: &Kernels,
    groups: &BTreeSet<&str>,
    concern: &dyn Fn(&'static Distro, &str) -> bool,
    source: &Source<'_>,
) -> Result<Survey> {
    let mut survey = Survey::default();
    let selectors: Vec<&Selector> = groups.iter().flat_map(|group| kernels.group(group).unwrap_or_default()).collect();
    let distros: BTreeMap<&str, &'static Distro> = selectors
        .iter()
        .map(|selector| (selector.distro(), selector))
        .map(|(distro, _)| (distro.name, distro))
        .collect();
    for distro in distros.into_values() {
        let own = selectors.iter().filter(|selector| selector.distro == distro.name);
        let wanted = own.flat_map(|selector| {
            let suites = selector.expanded().into_iter().flatten().filter(|suite| concern(distro, suite));
            suites.map(move |suite| (*selector, suite))
        });
        match distro.archive {
            Archive::Apt { .. } => {
                let wanted = wanted.map(|(selector, suite)| Wanted { suite, arch: selector.arch.clone() });
                survey.add_apt(distro, kernels, &wanted.collect(), source)?;
            }
            Archive::RpmMd { .. } => {
                let wanted = wanted.flat_map(|(selector, suite)| {
                    let one = move |flavour: &String| (suite.clone(), flavour.clone());
                    selector.flavours.iter().map(one)
                });
                survey.add_rpms(distro, kernels, wanted, source)?;
            }
        }
    }
    Ok(survey)
}

impl Survey {
    fn add_apt(
        &mut self,
        distro: &'static Distro,
        kernels: &Kernels,
        wanted: &BTreeSet<Wanted>,
        source: &Source<'_>,
    ) -> Result<()> {
        if wanted.is_empty() {
            return Ok(());
        }
        let archives = Archives::open(distro, kernels.archive(distro.name), source.store)?;
        let indices = archives.indices(wanted, source.offline, source.listener);
        let suites = || wanted.iter().map(|one| one.suite.clone()).collect();
        let Some(indices) = self.readable(distro, suites, indices)? else { return Ok(()) };
        let mut releases: BTreeMap<(&'static str, String), Vec<SuiteIndex>> = BTreeMap::new();
        for (wanted, index) in indices {
            let root = distro.release_of(&wanted.suite).expect("was checked when the file was read").root;
            releases.entry((root, wanted.arch)).or_default().push(index);
        }
        for ((release, arch), indices) in releases {
            self.add(distro.name, release, &arch, candidate::find(&indices));
        }
        Ok(())
    }

    fn add_rpms(
        &mut self,
        distro: &'static Distro,
        kernels: &Kernels,
        wanted: impl Iterator<Item = (String, String)>,
        source: &Source<'_>,
    ) -> Result<()> {
        let mut suites: rpm_archive::Wanted = BTreeMap::new();
        for (suite, flavour) in wanted {
            suites.entry(suite).or_default().insert(flavour);
        }
        let archive = RpmArchive::open(distro, kernels.archive(distro.name), source.store);
        for (suite, found) in archive.kernels(&suites, source.offline, source.listener) {
            let Some(found) = self.readable(distro, || vec![suite.clone()], found)? else { continue };
            let release = distro.release_of(&suite).expect("was checked when the file was read").root;
            self.add(distro.name, release, "amd64", found);
        }
        Ok(())
    }

    /// Notes an archive that cannot be read.
    fn readable<T>(
        &mut self,
        distro: &'static Distro,
        suites: impl Fn() -> Vec<String>,
        outcome: Result<T>,
    ) -> Result<Option<T>> {
        match outcome {
            Err(error) if error.kind != Kind::Input => {
                self.unread.push(Unread { distro: distro.name, suites: suites(), error });
                Ok(None)
            }
            outcome => outcome.map(Some),
        }
    }

    fn add(&mut self, distro: &'static str, release: &'static str, arch: &str, found: Found) {
        let arch = || arch.to_string();
        let complete = unique(found.kernels).into_iter();
        self.complete.extend(complete.map(|candidate| Available { distro, release, arch: arch(), candidate }));
        let incomplete = found.incomplete.into_iter();
        self.incomplete.extend(incomplete.map(|candidate| Available { distro, release, arch: arch(), candidate }));
    }
}

/// One candidate per kernel release: the newest version; of one version in two suites, that of the shorter suite name,
/// which is the release itself.
fn unique(kernels: Vec<Candidate>) -> Vec<Candidate> {
    let mut best: BTreeMap<String, Candidate> = BTreeMap::new();
    for kernel in kernels {
        let better = best.get(&kernel.kernel).is_none_or(|known| {
            version::compare(&kernel.version, &known.version)
                .then_with(|| known.suite.len().cmp(&kernel.suite.len()))
                .is_gt()
        });
        if better {
            best.insert(kernel.kernel.clone(), kernel);
        }
    }
    best.into_values().collect()
}
