// SPDX-License-Identifier: GPL-2.0-only
//! What is in the sections that are loaded: nothing both writable and executable, no path of the machine that built it.

use super::Finding;
use super::module::{Module, Section};

/// Where sources lie while a module is built: the farm's own places, and those of a person's machine. (Not all of
/// `/usr/src`: there a distribution has its KDIRs, whose inline functions name their files in every module.)
const PLACES: [&str; 6] = ["/build/", "/home/", "/root/", "/rustc/", "/tmp/", "/usr/src/rustc"];
/// How much of a leaked path is shown.
const SHOWN: usize = 80;

/// Checks the sections that the kernel loads.
pub fn check(module: &Module) -> Vec<Finding> {
    let loaded = module.sections.iter().filter(|section| section.loaded);
    loaded.flat_map(|section| write_and_execute(section).into_iter().chain(path(section))).collect()
}

/// The kernel maps by kind, so that such a section would be in the text and not writable, or the kernel refuses it:
/// neither is what its author meant.
fn write_and_execute(section: &Section) -> Option<Finding> {
    let both = section.writable && section.executable;
    both.then(|| Finding::failure(format!("section {}: both writable and executable", section.name)))
}

/// A path does no harm at run time, but makes the bytes depend on where they were built. `.comment` and debug sections
/// are not loaded and not looked at.
fn path(section: &Section) -> Option<Finding> {
    let strings = section.data.split(|byte| !matches!(byte, 0x20..=0x7e)).filter_map(|text| str::from_utf8(text).ok());
    let leak = strings
        .filter_map(|text| PLACES.iter().filter_map(|place| text.find(place)).min().map(|at| &text[at..]))
        .next()?;
    let shown = leak.get(..SHOWN).unwrap_or(leak);
    Some(Finding::warning(format!("section {}: has a build path in it: {shown}", section.name)))
}
