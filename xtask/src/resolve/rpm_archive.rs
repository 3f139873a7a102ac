// SPDX-License-Identifier: GPL-2.0-only
//! The archive of one rpm distribution: which repositories have the kernels of a release and flavour.

use super::candidate::Found;
use super::rpm_md::{Package, Place, Repository, find};
use crate::credentials::Access;
use crate::error::Result;
use crate::event::{Event, Listener};
use crate::fetch::Patience;
use crate::kernels::{Archive, ArchiveSettings, Distro, fill_path, repository_paths};
use crate::lock::LockedKernel;
use crate::store::Store;
use std::collections::{BTreeMap, BTreeSet};

/// Kernels of one release and flavour.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Wanted {
    /// `15-sp5`.
    pub suite: String,
    /// `default`.
    pub flavour: String,
}

/// An rpm distribution's archive.
pub struct RpmArchive<'a> {
    distro: &'static Distro,
    settings: ArchiveSettings,
    store: &'a Store,
}

impl<'a> RpmArchive<'a> {
    /// With the settings of `kernels.yaml`, and what is known of the distribution where they say nothing.
    pub fn open(distro: &'static Distro, settings: ArchiveSettings, store: &'a Store) -> Self {
        RpmArchive { distro, settings, store }
    }

    /// The kernels of `wanted`, by suite. Brings the indices up to date first, not when `offline`.
    pub fn kernels(
        &self,
        wanted: &BTreeSet<Wanted>,
        offline: bool,
        listener: &dyn Listener,
    ) -> Result<Vec<(String, Found)>> {
        let mut read: BTreeMap<String, Vec<Package>> = BTreeMap::new();
        let mut all = Vec::new();
        let layout = self.distro.layout().expect("is an rpm distribution");
        for Wanted { suite, flavour } in wanted {
            for url in self.urls(suite, flavour) {
                let packages = match read.entry(url.clone()) {
                    std::collections::btree_map::Entry::Occupied(there) => there.into_mut(),
                    std::collections::btree_map::Entry::Vacant(new) => {
                        new.insert(self.packages(&url, offline, listener)?)
                    }
                };
                let place = Place { layout, suite, archive: &url, flavour };
                all.push((suite.clone(), find(&place, packages)));
            }
        }
        Ok(merged(all))
    }

    /// Path and SHA-256 of every package in the repositories that `kernels` came from.
    pub fn files(
        &self,
        kernels: &[&LockedKernel],
        offline: bool,
        listener: &dyn Listener,
    ) -> Result<Vec<(String, String)>> {
        let urls: BTreeSet<&str> = kernels.iter().map(|kernel| kernel.archive.as_str()).collect();
        let mut files = Vec::new();
        for url in urls {
            let packages = self.packages(url, offline, listener)?.into_iter();
            files.extend(packages.map(|package| (package.path, package.sha256)));
        }
        Ok(files)
    }

    fn packages(&self, url: &str, offline: bool, listener: &dyn Listener) -> Result<Vec<Package>> {
        let repository = self.repository(url)?;
        if !offline {
            let subject = format!("{} archive", self.distro.name);
            listener.event(Event::Stage { subject, stage: format!("update {url}") });
            repository.update()?;
        }
        repository.packages()
    }

    fn repository(&self, url: &str) -> Result<Repository<'a>> {
        let keyring = self.settings.keyring.clone().unwrap_or_else(|| self.distro.keyring.into());
        Ok(Repository {
            url: url.to_string(),
            keyring,
            keyring_package: self.distro.keyring_package,
            access: Access::to(url)?,
            patience: Patience::INDEX,
            store: self.store,
        })
    }

    fn urls(&self, release: &str, flavour: &str) -> Vec<String> {
        let Archive::RpmMd { repositories, .. } = &self.distro.archive else { return Vec::new() };
        let mirror = self.settings.mirror.as_deref().unwrap_or(self.distro.mirror).trim_end_matches('/');
        let paths = match &self.settings.repositories {
            Some(paths) => paths.iter().map(|path| fill_path(path, release)).collect(),
            None => repository_paths(repositories, release, flavour),
        };
        paths.into_iter().map(|path| format!("{mirror}/{path}")).collect()
    }
}

/// One entry for each suite: of a kernel that two repositories have, the newest version is taken.
fn merged(all: Vec<(String, Found)>) -> Vec<(String, Found)> {
    let mut suites: BTreeMap<String, Found> = BTreeMap::new();
    for (suite, found) in all {
        let known = suites.entry(suite).or_default();
        known.kernels.extend(found.kernels);
        known.incomplete.extend(found.incomplete);
    }
    suites.into_iter().collect()
}
