// SPDX-License-Identifier: GPL-2.0-only
//! Every symbol that the module takes from the kernel: exported, in a namespace it imports, and of the same type.

use super::facts::Export;
use super::module::Module;
use super::{Finding, KernelFacts};
use std::collections::HashMap;

/// An entry of `__versions`, as most kernels have them: a CRC of eight bytes and a name that fills the rest.
const VERSION_ENTRY: usize = 64;

/// Checks every undefined symbol against the kernel's `Module.symvers`.
pub fn check(module: &Module, facts: &KernelFacts) -> Vec<Finding> {
    let crcs = facts.has("MODVERSIONS").then(|| versions(module));
    let namespaces = module.modinfo("import_ns");
    let one = |name: &str| match facts.export(name) {
        None => Some(Finding::failure(format!("symbol {name}: the kernel does not export it"))),
        Some(export) => namespace(name, export, &namespaces)
            .or_else(|| crcs.as_ref().and_then(|crcs| version(name, export, crcs.get(name).copied()))),
    };
    module.undefined().into_iter().filter_map(one).collect()
}

/// The kernel refuses a module that uses a namespace and does not import it.
fn namespace(name: &str, export: &Export, imported: &[&str]) -> Option<Finding> {
    let space = export.namespace.as_str();
    let open = space.is_empty() || imported.contains(&space);
    (!open).then(|| Finding::failure(format!("symbol {name}: in namespace {space}, which the module does not import")))
}

/// A kernel loads a module that lacks a CRC but taints itself; it refuses one whose CRC differs. Both are failures:
/// the first means that the build saw another `Module.symvers`. Symbols of assembly may have no CRC on either side.
fn version(name: &str, export: &Export, found: Option<u32>) -> Option<Finding> {
    match found {
        Some(crc) if crc == export.crc => None,
        None if export.crc == 0 => None,
        None => Some(Finding::failure(format!("symbol {name}: no CRC, the kernel has {:#010x}", export.crc))),
        Some(crc) => {
            Some(Finding::failure(format!("symbol {name}: CRC {crc:#010x}, the kernel has {:#010x}", export.crc)))
        }
    }
}

/// The module's CRCs, from the old table and from the new one, which has long names.
pub fn versions<'a>(module: &Module<'a>) -> HashMap<&'a str, u32> {
    let table = module.data("__versions");
    let old = if is_packed(table) { packed(table) } else { fixed(table) };
    let crcs = module.data("__version_ext_crcs").as_chunks::<4>().0.iter().map(|crc| u32::from_le_bytes(*crc));
    let names = module.data("__version_ext_names").split(|byte| *byte == 0);
    let new = names.zip(crcs).filter_map(|(name, crc)| Some((str::from_utf8(name).ok()?, crc)));
    old.into_iter().chain(new).collect()
}

/// A CRC has four bytes of eight in a table of fixed entries; in a packed one, the second four are the CRC itself.
fn is_packed(table: &[u8]) -> bool {
    table.get(4..8).is_some_and(|high| high != [0; 4])
}

fn fixed(table: &[u8]) -> Vec<(&str, u32)> {
    let entries = table.as_chunks::<VERSION_ENTRY>().0.iter().filter_map(|entry| entry.split_first_chunk::<8>());
    entries.filter_map(|(crc, rest)| Some((name(rest)?, u64::from_le_bytes(*crc) as u32))).collect()
}

/// Ubuntu's 6.8 and later: four bytes with the entry's length, four with the CRC, the name.
fn packed(mut table: &[u8]) -> Vec<(&str, u32)> {
    let mut found = Vec::new();
    while let Some((head, _)) = table.split_first_chunk::<8>() {
        let [a, b, c, d, crc @ ..] = *head;
        let length = u32::from_le_bytes([a, b, c, d]) as usize;
        let Some((entry, rest)) = table.split_at_checked(length).filter(|_| length > head.len()) else { break };
        found.extend(name(&entry[head.len()..]).map(|name| (name, u32::from_le_bytes(crc))));
        table = rest;
    }
    found
}

fn name(bytes: &[u8]) -> Option<&str> {
    str::from_utf8(bytes.split(|byte| *byte == 0).next()?).ok()
}
