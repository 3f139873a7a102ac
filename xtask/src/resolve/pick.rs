// SPDX-License-Identifier: GPL-2.0-only
//! Applies a selector of `kernels.yaml` to kernels, be they in an archive or in the lock.

use super::version;
use crate::kernels::{Selector, Series};
use crate::select::Subject;
use std::collections::{BTreeMap, BTreeSet};

/// A kernel as a selector sees it.
#[derive(Debug, Clone, Copy)]
pub struct Kernel<'a> {
    /// What the select language sees as well.
    pub subject: Subject<'a>,
    /// Package version.
    pub version: &'a str,
    /// Source package: `linux`, or `linux-6.12` for a series beside the suite's own.
    pub source_name: &'a str,
}

impl Kernel<'_> {
    /// `linux`, and Ubuntu's `linux-azure` for its flavour `azure`; `linux-azure-6.8` is a series beside it.
    fn is_own_series(&self) -> bool {
        self.source_name == "linux" || self.source_name.strip_prefix("linux-") == Some(self.subject.flavour)
    }
}

/// The indices of the kernels that `selector` means.
pub fn pick(selector: &Selector, kernels: &[Kernel]) -> BTreeSet<usize> {
    selector.expanded().iter().flat_map(|suites| pick_suites(selector, suites, kernels)).collect()
}

fn pick_suites(selector: &Selector, suites: &[String], kernels: &[Kernel]) -> Vec<usize> {
    let mut kinds: BTreeMap<(&str, &str), Vec<usize>> = BTreeMap::new();
    for (index, kernel) in kernels.iter().enumerate() {
        if wanted(selector, suites, kernel) {
            kinds.entry((kernel.subject.flavour, kernel.source_name)).or_default().push(index);
        }
    }
    for kind in kinds.values_mut() {
        kind.sort_by(|a, b| version::compare(kernels[*b].version, kernels[*a].version).then(a.cmp(b)));
        kind.truncate(selector.newest.unwrap_or(usize::MAX));
    }
    kinds.into_values().flatten().collect()
}

fn wanted(selector: &Selector, suites: &[String], kernel: &Kernel) -> bool {
    let Subject { distro, suite, arch, flavour, .. } = kernel.subject;
    selector.distro == distro
        && selector.arch == arch
        && suites.iter().any(|name| name == suite)
        && selector.flavours.iter().any(|name| name == flavour)
        && (selector.series == Series::All || kernel.is_own_series())
        && selector.version.as_ref().is_none_or(|constraint| constraint.holds(kernel.version))
}
