// SPDX-License-Identifier: GPL-2.0-only
//! What a kernel demands of its modules, read from its KDIR.

use crate::error::{AtPath, Error, Result};
use std::collections::HashMap;
use std::fs;
use std::path::Path;

/// One symbol that a kernel, or one of its modules, exports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Export {
    /// Checksum of the symbol's type; 0 where the kernel has none for it.
    pub crc: u32,
    /// Namespace that a module must import, or empty.
    pub namespace: String,
}

/// The facts of one kernel.
#[derive(Debug, Clone, Default)]
pub struct KernelFacts {
    /// Kernel release, as `uname -r` prints it.
    pub release: String,
    /// Every option that is set, without `CONFIG_`, with its value.
    config: HashMap<String, String>,
    /// `Module.symvers`.
    exports: HashMap<String, Export>,
}

impl KernelFacts {
    /// Reads a KDIR. A KDIR without one of the three files is broken: that is the machine's failure.
    pub fn read(kdir: &Path) -> Result<KernelFacts> {
        let text = |name: &str| fs::read_to_string(kdir.join(name)).at_path(kdir.join(name));
        let header = "include/generated/utsrelease.h";
        let facts = Self::parse(&text(header)?, &text(".config")?, &text("Module.symvers")?);
        if facts.release.is_empty() {
            return Err(Error::infra(format!("{}: no UTS_RELEASE in it", kdir.join(header).display())));
        }
        Ok(facts)
    }

    /// The same from the files' text. (`include/config/kernel.release` is no source: Debian's holds the upstream
    /// version up to 6.1.)
    pub fn parse(utsrelease: &str, config: &str, symvers: &str) -> KernelFacts {
        KernelFacts {
            release: utsrelease.split('"').nth(1).unwrap_or_default().to_string(),
            config: config.lines().filter_map(option).collect(),
            exports: symvers.lines().filter_map(export).collect(),
        }
    }

    /// Whether an option (without `CONFIG_`) is `y`.
    pub fn has(&self, option: &str) -> bool {
        self.config.get(option).is_some_and(|value| value == "y")
    }

    /// Whether a mitigation is on; Linux 6.9 put `MITIGATION_` in front of the names.
    pub fn mitigates(&self, name: &str) -> bool {
        self.has(name) || self.has(&format!("MITIGATION_{name}"))
    }

    /// What the kernel knows of an exported symbol.
    pub fn export(&self, symbol: &str) -> Option<&Export> {
        self.exports.get(symbol)
    }
}

fn option(line: &str) -> Option<(String, String)> {
    let (name, value) = line.strip_prefix("CONFIG_")?.split_once('=')?;
    Some((name.to_string(), value.to_string()))
}

/// `0x1234abcd<tab>symbol<tab>module<tab>EXPORT_SYMBOL_GPL<tab>namespace`; the last is missing in old kernels.
fn export(line: &str) -> Option<(String, Export)> {
    let mut fields = line.split('\t');
    let crc = u32::from_str_radix(fields.next()?.strip_prefix("0x")?, 16).ok()?;
    let symbol = fields.next()?.to_string();
    let namespace = fields.nth(2).unwrap_or_default().trim().to_string();
    Some((symbol, Export { crc, namespace }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_and_new_symvers_are_read() {
        let symvers = "0x0000002a\told\tvmlinux\tEXPORT_SYMBOL\n0x0000002b\tnew\tdm-mod\tEXPORT_SYMBOL_GPL\tDM\n";
        let facts = KernelFacts::parse("#define UTS_RELEASE \"6.1.0-9-amd64\"\n", "", symvers);
        assert_eq!(facts.release, "6.1.0-9-amd64");
        assert_eq!(facts.export("old"), Some(&Export { crc: 42, namespace: String::new() }));
        assert_eq!(facts.export("new"), Some(&Export { crc: 43, namespace: "DM".into() }));
        assert_eq!(facts.export("absent"), None);
    }

    #[test]
    fn a_mitigation_is_known_by_both_its_names() {
        let config = "CONFIG_RETPOLINE=y\nCONFIG_MITIGATION_RETHUNK=y\n# CONFIG_SLS is not set\n";
        let facts = KernelFacts::parse("", config, "");
        assert!(facts.mitigates("RETPOLINE") && facts.mitigates("RETHUNK") && !facts.mitigates("SLS"));
    }
}
