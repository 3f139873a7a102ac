// SPDX-License-Identifier: GPL-2.0-only
//! The SBOMs of all packages of a run.

use super::Signed;
use crate::build::Farm;
use crate::error::{AtPath, Result};
use crate::lock::{LockedKernel, Platform};
use crate::package::{Recipe, SignedModule};
use crate::root::RootSpec;
use crate::sbom::{self, Part};
use crate::store::{key, sha256_file};
use crate::{parallel, tree};
use std::fs;
use std::path::PathBuf;

/// A directory of the store with the SBOMs of all packages, made once for the same packages and parts.
pub fn get(farm: &Farm<'_>, packages: &[Signed<'_>], modules: &[SignedModule<'_>]) -> Result<PathBuf> {
    let parts = packages.iter().map(|package| parts(farm, package.recipe, modules)).collect::<Result<Vec<_>>>()?;
    let work: Vec<(&Signed<'_>, Vec<Part>)> = packages.iter().zip(parts).collect();
    let made = parallel::map(&work, parallel::processors(), |(package, parts)| of_package(farm, package, parts));
    let made = made.into_iter().collect::<Result<Vec<_>>>()?;
    let names: Vec<_> = made.iter().map(|dir| dir.file_name().unwrap_or_default().to_string_lossy()).collect();
    farm.store.entry("sboms", &key(names.iter().map(AsRef::as_ref)), |partial| {
        fs::create_dir_all(partial).at_path(partial)?;
        for dir in &made {
            for file in tree::files(dir)? {
                fs::copy(dir.join(&file), partial.join(&file)).at_path(dir)?;
            }
        }
        Ok(())
    })
}

/// The SBOMs of one package: they stay when another package comes.
fn of_package(farm: &Farm<'_>, package: &Signed<'_>, parts: &[Part]) -> Result<PathBuf> {
    let id = [package.recipe.file_name(), sha256_file(&package.file)?, format!("{parts:?}")];
    farm.store.entry("sboms", &key(id.iter().map(String::as_str)), |partial| {
        fs::create_dir_all(partial).at_path(partial)?;
        sbom::write(package.recipe, &package.file, parts, partial)
    })
}

/// What a package was made of, by its template.
fn parts(farm: &Farm<'_>, recipe: &Recipe, modules: &[SignedModule<'_>]) -> Result<Vec<Part>> {
    let kernels = || modules.iter().map(|one| one.kernel).filter(|kernel| recipe.is_for(&kernel.kernel));
    let mut parts = match recipe.template {
        "utils" => sbom::crates_of("involfltctl")?,
        "dkms" => modules.first().map(|any| prebuilt_core(farm, any.kernel)).transpose()?.into_iter().collect(),
        "kmod" | "kmod-kernel" | "kmp" => {
            let of_kernels =
                kernels().map(|kernel| Ok([vec![core(farm, kernel)?], sbom::kernel_packages(kernel)].concat()));
            of_kernels.collect::<Result<Vec<_>>>()?.concat()
        }
        // Keys and certificates.
        _ => Vec::new(),
    };
    parts.sort();
    parts.dedup();
    Ok(parts)
}

/// The `core` crate that is in a kernel's module.
fn core(farm: &Farm<'_>, kernel: &LockedKernel) -> Result<Part> {
    match (kernel.platform, &kernel.rustc) {
        // `rustc 1.97.1 (8bab26f4f 2026-07-14) (…)`
        (Platform::Rfl, Some(rustc)) => Ok(sbom::core_crate(rustc.split(' ').nth(1).unwrap_or(rustc))),
        _ => prebuilt_core(farm, kernel),
    }
}

/// The one in the Rust object for kernels without Rust.
fn prebuilt_core(farm: &Farm<'_>, any: &LockedKernel) -> Result<Part> {
    let root = RootSpec::for_core(any).get(farm.store, farm.offline, || ())?;
    Ok(sbom::core_crate(&sbom::debian_version(&root.path, "rust-src")?))
}
