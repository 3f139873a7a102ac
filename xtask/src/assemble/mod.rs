// SPDX-License-Identifier: GPL-2.0-only
//! What people install: modules signed and packed, packages signed, repositories, public keys, SBOMs and checksums,
//! all in `dist/`.
//!
//! Every step's result is in the store under the hash of what went into it, so a second run signs nothing again and
//! leaves the same bytes.

mod boms;
mod checksums;
mod module;

pub use checksums::write as write_checksums;

use crate::build::{Built, Farm};
use crate::error::{AtPath, Result};
use crate::event::{Event, Listener};
use crate::lock::LockedKernel;
use crate::package::{self, Home, Package, PublicKeys, Recipe, Recipes, SignedModule, Templates, Tools};
use crate::repository;
use crate::sign::Keys;
use crate::store::{Store, key, sha256_file};
use crate::{ctl_program, dkms, parallel, tree, work_tree};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// What putting it together needs.
pub struct Assembler<'a> {
    /// Store, source and engine.
    pub farm: &'a Farm<'a>,
    /// What everything is signed with.
    pub keys: &'a Keys,
    /// Is told of every step.
    pub listener: &'a dyn Listener,
}

/// A signed package and where it belongs.
struct Signed<'a> {
    recipe: &'a Recipe,
    homes: Vec<Home>,
    file: PathBuf,
}

impl Assembler<'_> {
    /// Packs and signs the modules, and writes repositories, keys, SBOMs and checksums into `dist`.
    ///
    /// Each part of `dist` is replaced as a whole; where something fails, the parts before are new and the others old.
    pub fn run(&self, modules: &[SignedModule<'_>], dist: &Path) -> Result<usize> {
        let packages = self.packages(modules, self.farm.store)?;
        for served in package::serving(modules)? {
            self.listener.event(Event::Note { subject: "packages".into(), text: served.to_string() });
        }
        self.stage("packages", "sign");
        let signed = parallel::map(&packages, parallel::processors(), |package| self.signed(package));
        let signed = signed.into_iter().collect::<Result<Vec<_>>>()?;
        self.stage("packages", "repositories");
        self.repositories(&signed, dist)?;
        self.stage("packages", "SBOMs");
        tree::replace(&boms::get(self.farm, &signed, modules)?, &dist.join("sbom"))?;
        tree::replace(&self.public_keys()?, &dist.join("keys"))?;
        checksums::write(dist, &self.keys.archive, self.farm.store)?;
        Ok(packages.len())
    }

    fn stage(&self, subject: &str, stage: &str) {
        self.listener.event(Event::Stage { subject: subject.into(), stage: stage.into() });
    }

    /// Every package of the modules, unsigned, kept in `store`.
    pub fn packages(&self, modules: &[SignedModule<'_>], store: &Store) -> Result<Vec<Package>> {
        let top = work_tree::top();
        let templates = Templates::read(&top.join("packaging"))?;
        let tools = Tools::get(self.farm.store, self.farm.offline, &|stage| self.stage("packages", stage))?;
        self.stage("packages", "pack");
        let recipes = Recipes { development: self.keys.development, licence: &top.join("LICENSE") };
        package::make(&recipes, modules, self.shared(&recipes, modules)?, &templates, &tools, store)
    }

    /// The packages that are the same for every kernel.
    fn shared(&self, recipes: &Recipes<'_>, modules: &[SignedModule<'_>]) -> Result<Vec<Recipe>> {
        let keys = self.public_keys()?;
        let mut shared = recipes.keys(&PublicKeys {
            keyring: &keys.join("involflt-archive-keyring.gpg"),
            armoured: &keys.join("involflt-archive-keyring.asc"),
            fingerprint: self.keys.archive.fingerprint(),
            certificate: &keys.join("involflt-module.der"),
        });
        shared.extend(recipes.utils(&ctl_program::build()?));
        if let Some(any) = modules.first() {
            shared.extend(recipes.dkms(&self.dkms_tree(any.kernel)?)?);
        }
        Ok(shared)
    }

    /// The DKMS source as it is installed.
    fn dkms_tree(&self, any: &LockedKernel) -> Result<PathBuf> {
        let stage = |stage: &str| self.stage("involflt-dkms", stage);
        let tree = work_tree::top().join("target/dkms");
        dkms::stage(self.farm, any, &tree, &stage)?;
        Ok(tree)
    }
}

impl Assembler<'_> {
    /// The modules of kernels that were built and found good, signed.
    pub fn modules<'a>(&self, built: &[(&'a LockedKernel, Built)]) -> Result<Vec<SignedModule<'a>>> {
        let sign = |(kernel, built): &(&'a LockedKernel, Built)| {
            self.stage(&kernel.id(), "sign");
            let module = module::signed(self.farm, built, &self.keys.module).map_err(|error| error.at(kernel.id()))?;
            Ok(SignedModule { kernel, module, symvers: built.kdir.host.join("Module.symvers") })
        };
        parallel::map(built, parallel::processors(), sign).into_iter().collect()
    }

    /// A directory of the store with the public halves of all keys.
    fn public_keys(&self) -> Result<PathBuf> {
        let (module, archive) = (&self.keys.module, &self.keys.archive);
        self.farm.store.entry("public-keys", &key([module.id().as_str(), archive.fingerprint()]), |partial| {
            fs::create_dir_all(partial).at_path(partial)?;
            let files = [
                ("involflt-module.der", module.certificate_der().to_vec()),
                ("involflt-module.pem", fs::read(module.certificate()).at_path(module.certificate())?),
                ("involflt-archive-keyring.gpg", archive.public()?),
                ("involflt-archive-keyring.asc", archive.public_armoured()?),
            ];
            files.iter().try_for_each(|(name, data)| fs::write(partial.join(name), data).at_path(partial.join(name)))
        })
    }

    /// A package's signed copy, signed once.
    fn signed<'p>(&self, package: &'p Package) -> Result<Signed<'p>> {
        let name = package.recipe.file_name();
        let id = key([sha256_file(&package.file)?.as_str(), self.keys.archive.fingerprint()]);
        let dir = self.farm.store.entry("signed-packages", &id, |partial| {
            fs::create_dir_all(partial).at_path(partial)?;
            let copy = partial.join(&name);
            fs::copy(&package.file, &copy).at_path(&copy)?;
            match package.recipe.is_deb() {
                true => self.keys.archive.deb_sign(&copy),
                false => self.keys.archive.rpm_sign(&copy),
            }
            .map_err(|error| error.at(&name))
        })?;
        Ok(Signed { recipe: &package.recipe, homes: package.homes.clone(), file: dir.join(name) })
    }

    fn repositories(&self, signed: &[Signed<'_>], dist: &Path) -> Result<()> {
        let mut homes: BTreeMap<&Home, Vec<PathBuf>> = BTreeMap::new();
        for package in signed {
            package.homes.iter().for_each(|home| homes.entry(home).or_default().push(package.file.clone()));
        }
        let suites: Vec<repository::Suite> = homes
            .iter()
            .filter_map(|(home, debs)| match home {
                Home::Apt(name) => Some(repository::Suite { name: name.clone(), debs: debs.clone() }),
                Home::Rpm(_) => None,
            })
            .collect();
        if !suites.is_empty() {
            self.apt(&homes, &suites, dist)?;
        }
        for (home, rpms) in &homes {
            let Home::Rpm(name) = home else { continue };
            let made =
                self.repository([(home, rpms)].into_iter(), |to| repository::rpm(to, rpms, &self.keys.archive))?;
            let rpm = dist.join("rpm");
            fs::create_dir_all(&rpm).at_path(&rpm)?;
            tree::replace(&made, &rpm.join(name))?;
        }
        Ok(())
    }

    fn apt(&self, homes: &BTreeMap<&Home, Vec<PathBuf>>, suites: &[repository::Suite], dist: &Path) -> Result<()> {
        let apt = self.repository(homes.iter().filter(|(home, _)| matches!(home, Home::Apt(_))), |to| {
            repository::apt(to, suites, &self.keys.archive)
        })?;
        tree::replace(&apt, &dist.join("apt"))
    }

    /// A repository of the store, made once for the same packages and key.
    fn repository<'h>(
        &self,
        homes: impl Iterator<Item = (&'h &'h Home, &'h Vec<PathBuf>)>,
        make: impl FnOnce(&Path) -> Result<()>,
    ) -> Result<PathBuf> {
        let mut parts = vec![repository::LAYOUT.to_string(), self.keys.archive.fingerprint().to_string()];
        for (home, files) in homes {
            parts.push(format!("{home:?}"));
            for file in files {
                parts.push(sha256_file(file)?);
            }
        }
        self.farm.store.entry("repositories", &key(parts.iter().map(String::as_str)), make)
    }
}
