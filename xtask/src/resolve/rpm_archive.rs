// SPDX-License-Identifier: GPL-2.0-only
//! The archive of one rpm distribution: which repositories have the kernels of a release and flavour.

use super::candidate::Found;
use super::rpm_md::{Package, Place, Repository, find};
use crate::error::{Error, Result};
use crate::event::{Event, Listener};
use crate::fetch::Patience;
use crate::kernels::{Archive, ArchiveSettings, Distro, fill_path, repository_paths};
use crate::lock::LockedKernel;
use crate::parallel;
use crate::store::Store;
use std::collections::{BTreeMap, BTreeSet};

/// Flavours by release: `15-sp5`, `default`.
pub type Wanted = BTreeMap<String, BTreeSet<String>>;

/// Repositories that are asked at once: each may keep its asker waiting.
const AT_ONCE: usize = 8;

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
    pub fn kernels(&self, wanted: &Wanted, offline: bool, listener: &dyn Listener) -> Vec<(String, Result<Found>)> {
        let flavours = |suite: &str, flavours: &BTreeSet<String>| -> BTreeSet<String> {
            flavours.iter().flat_map(|flavour| self.urls(suite, flavour)).collect()
        };
        let urls: BTreeSet<String> = wanted.iter().flat_map(|(suite, of)| flavours(suite, of)).collect();
        let urls: Vec<String> = urls.into_iter().collect();
        let read = parallel::map(&urls, AT_ONCE, |url| self.packages(url, offline, listener));
        let read: BTreeMap<&String, Result<Vec<Package>>> = urls.iter().zip(read).collect();
        wanted.iter().map(|(suite, flavours)| (suite.clone(), self.found(suite, flavours, &read))).collect()
    }

    /// The kernels of one suite; those of several repositories are put together.
    fn found(
        &self,
        suite: &str,
        flavours: &BTreeSet<String>,
        read: &BTreeMap<&String, Result<Vec<Package>>>,
    ) -> Result<Found> {
        let layout = self.distro.layout().expect("is an rpm distribution");
        let mut all = Found::default();
        for flavour in flavours {
            for url in self.urls(suite, flavour) {
                let packages = read[&url].as_ref().map_err(Error::again)?;
                let found = find(&Place { layout, suite, archive: &url, flavour }, packages);
                all.kernels.extend(found.kernels);
                all.incomplete.extend(found.incomplete);
            }
        }
        Ok(all)
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
        let repository = self.repository(url);
        if !offline {
            let subject = format!("{} archive", self.distro.name);
            listener.event(Event::Stage { subject, stage: format!("update {url}") });
            repository.update()?;
        }
        repository.packages()
    }

    fn repository(&self, url: &str) -> Repository<'a> {
        let keyring = self.settings.keyring.clone().unwrap_or_else(|| self.distro.keyring.into());
        Repository {
            url: url.to_string(),
            keyring,
            keyring_package: self.distro.keyring_package,
            patience: Patience::INDEX,
            store: self.store,
        }
    }

    fn urls(&self, release: &str, flavour: &str) -> Vec<String> {
        let Archive::RpmMd { repositories, .. } = &self.distro.archive else { return Vec::new() };
        let paths = match &self.settings.repositories {
            Some(paths) => paths.iter().map(|path| fill_path(path, release)).collect(),
            None => repository_paths(repositories, release, flavour),
        };
        paths.into_iter().map(|path| self.address(path)).collect()
    }

    /// A path is below every mirror; what `kernels.yaml` has a URL for stands for itself.
    fn address(&self, path: String) -> String {
        if path.contains(":/") {
            return path;
        }
        let first = self.settings.mirror.as_deref().unwrap_or(self.distro.mirror);
        let all = std::iter::once(first).chain(self.settings.mirrors.iter().map(String::as_str));
        all.map(|mirror| format!("{}/{path}", mirror.trim_end_matches('/'))).collect::<Vec<_>>().join(" ")
    }
}
