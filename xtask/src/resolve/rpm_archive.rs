// SPDX-License-Identifier: GPL-2.0-only
//! The archive of one rpm distribution: which repositories have the kernels of a release and flavour.

use super::candidate::Found;
use super::rpm_md::{Package, Place, Repository, find};
use crate::error::{Error, Result};
use crate::event::{Event, Listener};
use crate::fetch::Patience;
use crate::kernels::{Archive, ArchiveSettings, Distro, Server, fill_path, repository_paths};
use crate::lock::LockedKernel;
use crate::parallel;
use crate::store::Store;
use std::collections::{BTreeMap, BTreeSet};

/// The address of a path below a mirror; the path of a mirror list begins as the address does.
fn below(mirror: &str, path: &str) -> String {
    let (list, path) = path.strip_prefix("mirrorlist+").map_or(("", path), |path| ("mirrorlist+", path));
    format!("{list}{}/{path}", mirror.trim_end_matches('/'))
}

/// Flavours by suite: `15-sp5`, `default`.
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
        let Archive::RpmMd { trust, .. } = self.distro.archive else { unreachable!("is an rpm distribution") };
        Repository {
            url: url.to_string(),
            trust,
            keyring,
            keyring_package: self.distro.keyring_package,
            patience: Patience::INDEX,
            store: self.store,
        }
    }

    fn urls(&self, suite: &str, flavour: &str) -> Vec<String> {
        let Archive::RpmMd { repositories, vault, .. } = &self.distro.archive else { return Vec::new() };
        let release = self.distro.release_of(suite).expect("was checked when the file was read").name;
        let pocket = suite.strip_prefix(release).unwrap_or_default().trim_start_matches('-');
        let paths = match &self.settings.repositories {
            Some(paths) => paths.iter().map(|path| (Server::Main, fill_path(path, release))).collect(),
            None => repository_paths(repositories, release, pocket, flavour),
        };
        let vault = self.settings.vault_mirror.as_deref().unwrap_or(vault);
        let address = |(server, path): (Server, String)| match server {
            Server::Main => self.address(&path),
            Server::Vault => below(vault, &path),
        };
        paths.into_iter().map(address).collect()
    }

    /// A path is below every mirror; what `kernels.yaml` has a URL for stands for itself.
    fn address(&self, path: &str) -> String {
        if path.contains(":/") {
            return path.to_string();
        }
        let first = self.settings.mirror.as_deref().unwrap_or(self.distro.mirror);
        let all = std::iter::once(first).chain(self.settings.mirrors.iter().map(String::as_str));
        all.map(|mirror| below(mirror, path)).collect::<Vec<_>>().join(" ")
    }
}
