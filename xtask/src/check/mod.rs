// SPDX-License-Identifier: GPL-2.0-only
//! The checks after the link: will this kernel take this module, and is the module as hardened as the kernel?

mod facts;
mod frames;
mod identity;
mod mitigations;
mod module;
pub mod objtool;
mod sections;
mod symbols;
#[cfg(test)]
mod tests;

pub use facts::KernelFacts;

use crate::error::{AtPath, Result};
use module::Module;
use std::fs;
use std::path::Path;

/// What a finding means for the row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// The kernel refuses the module, or would run it less safely than its own code: the row fails.
    Failure,
    /// The module loads and runs as safely as it should, but somebody ought to look.
    Warning,
}

/// One thing that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Whether it fails the row.
    pub severity: Severity,
    /// One line: the check's name, the place, and what is wrong.
    pub text: String,
}

impl Finding {
    fn failure(text: impl Into<String>) -> Finding {
        Finding { severity: Severity::Failure, text: text.into() }
    }
    fn warning(text: impl Into<String>) -> Finding {
        Finding { severity: Severity::Warning, text: text.into() }
    }
}

/// Checks a linked module against the kernel it is for.
///
/// # Errors
/// Of infrastructure where the file cannot be read or `objdump` is missing; of the kernel where it is no ELF object.
pub fn module(ko: &Path, facts: &KernelFacts) -> Result<Vec<Finding>> {
    let data = fs::read(ko).at_path(ko)?;
    let module = Module::parse(&data).map_err(|error| error.at(ko.display()))?;
    let mut findings = identity::check(&module, facts);
    findings.extend(symbols::check(&module, facts));
    findings.extend(sections::check(&module));
    findings.extend(mitigations::check(&module, ko, facts)?);
    Ok(findings)
}

/// A value of each key of a module's `.modinfo`; empty where it has none.
pub fn modinfo(ko: &[u8], keys: &[&str]) -> Result<Vec<String>> {
    let module = Module::parse(ko)?;
    Ok(keys.iter().map(|key| module.modinfo(key).first().copied().unwrap_or_default().to_string()).collect())
}

/// The kernel's symbols that a module was linked against, by name, with the checksums of their types; symbols without
/// a checksum are left out.
pub fn imports(ko: &[u8]) -> Result<Vec<(String, u32)>> {
    let module = Module::parse(ko)?;
    let mut imports: Vec<_> = symbols::versions(&module)
        .into_iter()
        .filter(|(name, crc)| *crc != 0 && !name.is_empty())
        .map(|(name, crc)| (name.to_string(), crc))
        .collect();
    imports.sort();
    Ok(imports)
}
