// SPDX-License-Identifier: GPL-2.0-only
//! Every package of a run, without signatures, and the repository that each belongs to.

use super::recipe::Recipe;
use super::recipes::{Family, Recipes, RpmKernel, SignedModule};
use super::templates::Templates;
use super::tools::Tools;
use super::version;
use crate::error::Result;
use crate::parallel;
use crate::store::Store;
use std::collections::BTreeSet;
use std::path::PathBuf;

/// The repository that a package goes to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Home {
    /// A suite of the apt repository: `bookworm`.
    Apt(String),
    /// An rpm-md repository: `debian-bookworm`.
    Rpm(String),
}

/// A package that was made.
#[derive(Debug, Clone)]
pub struct Package {
    /// Where it goes; a package that is the same for several goes to each.
    pub homes: Vec<Home>,
    /// What it was made from.
    pub recipe: Recipe,
    /// The unsigned package in the store.
    pub file: PathBuf,
}

/// A recipe with the repositories its package is for.
type Order = (Vec<Home>, Recipe);

/// Makes every package of the modules; `shared` are the packages that are the same for every kernel.
pub fn make(
    recipes: &Recipes<'_>,
    modules: &[SignedModule<'_>],
    shared: Vec<Recipe>,
    templates: &Templates,
    tools: &Tools,
    store: &Store,
) -> Result<Vec<Package>> {
    let mut orders = of_modules(recipes, modules)?;
    let homes: BTreeSet<Home> = orders.iter().flat_map(|(homes, _)| homes.iter().cloned()).collect();
    for recipe in shared {
        let fits = |home: &&Home| matches!(home, Home::Apt(_)) == recipe.is_deb();
        orders.push((homes.iter().filter(fits).cloned().collect(), recipe));
    }
    let made = parallel::map(&orders, parallel::processors(), |(_, recipe)| recipe.make(templates, tools, store));
    orders.into_iter().zip(made).map(|((homes, recipe), file)| Ok(Package { homes, recipe, file: file? })).collect()
}

fn of_modules(recipes: &Recipes<'_>, modules: &[SignedModule<'_>]) -> Result<Vec<Order>> {
    let mut orders = Vec::new();
    for one in modules {
        let kernel = one.kernel;
        let rpm_kernel = RpmKernel {
            family: Family::Suse,
            flavour: &kernel.flavour,
            package: &format!("kernel-{}", kernel.flavour),
            release: &kernel.kernel,
            version: version::of_kernel(kernel),
        };
        orders.push((vec![apt_home(one)], recipes.kmod_kernel(one)));
        orders.push((vec![rpm_home(one)], recipes.kmp(&rpm_kernel, &one.module)?));
    }
    let releases: BTreeSet<&str> = modules.iter().map(|one| one.kernel.release.as_str()).collect();
    for release in releases {
        let of_release: Vec<_> = modules.iter().filter(|one| one.kernel.release == release).collect();
        orders.extend(recipes.kmod(release, &of_release).map(|recipe| (vec![Home::Apt(release.into())], recipe)));
    }
    Ok(orders)
}

fn apt_home(one: &SignedModule<'_>) -> Home {
    Home::Apt(one.kernel.release.clone())
}

fn rpm_home(one: &SignedModule<'_>) -> Home {
    Home::Rpm(format!("{}-{}", one.kernel.distro, one.kernel.release))
}
