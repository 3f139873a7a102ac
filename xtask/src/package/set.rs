// SPDX-License-Identifier: GPL-2.0-only
//! Every package of a run, without signatures, and the repository that each belongs to.

use super::recipe::Recipe;
use super::recipes::{Family, Recipes, RpmKernel, SignedModule};
use super::serves::{self, Served, Subject};
use super::templates::Templates;
use super::tools::Tools;
use super::version;
use crate::check;
use crate::error::{AtPath, Result};
use crate::kernels::{Distro, Layout};
use crate::lock::LockedKernel;
use crate::parallel;
use crate::resolve::compare_versions;
use crate::store::Store;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
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
    for served in serving(modules)? {
        let carrier = modules.iter().find(|one| one.kernel.kernel == served.built_for && layout(one).is_some());
        orders.extend(carrier.map(|one| rpm_order(recipes, one)).transpose()?);
    }
    let debian: Vec<&SignedModule<'_>> = modules.iter().filter(|one| layout(one).is_none()).collect();
    for one in &debian {
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
    let releases: BTreeSet<&str> = debian.iter().map(|one| one.kernel.release.as_str()).collect();
    for release in releases {
        let of_release: Vec<_> = debian.iter().copied().filter(|one| one.kernel.release == release).collect();
        orders.extend(recipes.kmod(release, &of_release).map(|recipe| (vec![Home::Apt(release.into())], recipe)));
    }
    Ok(orders)
}

/// Which packages the kernels of rpm distributions share: those of one release (service pack, minor) and flavour are
/// compared, oldest first.
pub fn serving<'a>(modules: &[SignedModule<'a>]) -> Result<Vec<Served<'a>>> {
    let mut kinds: BTreeMap<(&str, &str, &str), Vec<&SignedModule<'a>>> = BTreeMap::new();
    for one in modules.iter().filter(|one| layout(one).is_some()) {
        let LockedKernel { distro, release, flavour, .. } = one.kernel;
        kinds.entry((distro, release, flavour)).or_default().push(one);
    }
    let mut all = Vec::new();
    for mut kind in kinds.into_values() {
        kind.sort_by(|a, b| compare_versions(version::of_kernel(a.kernel), version::of_kernel(b.kernel)));
        let subjects = kind.into_iter().map(subject).collect::<Result<Vec<_>>>()?;
        all.extend(serves::share(&subjects));
    }
    Ok(all)
}

fn subject<'a>(one: &SignedModule<'a>) -> Result<Subject<'a>> {
    let imports = check::imports(&fs::read(&one.module).at_path(&one.module)?)?;
    let symvers = fs::read_to_string(&one.symvers).at_path(&one.symvers)?;
    Ok(Subject { kernel: &one.kernel.kernel, imports, exports: serves::exports(&symvers) })
}

fn layout(one: &SignedModule<'_>) -> Option<Layout> {
    Distro::find(&one.kernel.distro).and_then(Distro::layout)
}

/// The module package of a kernel of an rpm distribution, under the names of its family.
fn rpm_order(recipes: &Recipes<'_>, one: &SignedModule<'_>) -> Result<Order> {
    let kernel = one.kernel;
    let (family, flavour, package) = match (layout(one), kernel.flavour.as_str()) {
        (Some(Layout::RedHat | Layout::Azure), "default") => (Family::Rhel, "", "kernel-core".to_string()),
        (Some(Layout::RedHat | Layout::Azure), flavour) => (Family::Rhel, flavour, format!("kernel-{flavour}-core")),
        (_, flavour) => (Family::Suse, flavour, format!("kernel-{flavour}")),
    };
    let version = version::of_kernel(kernel);
    let named = RpmKernel { family, flavour, package: &package, release: &kernel.kernel, version };
    Ok((vec![rpm_home(one)], recipes.kmp(&named, &one.module)?))
}

fn apt_home(one: &SignedModule<'_>) -> Home {
    Home::Apt(one.kernel.release.clone())
}

fn rpm_home(one: &SignedModule<'_>) -> Home {
    Home::Rpm(format!("{}-{}", one.kernel.distro, one.kernel.release))
}
