// SPDX-License-Identifier: GPL-2.0-only
//! Which kernels a module package serves: those whose symbols have the checksums that its module imports.
//!
//! SUSE keeps the kernel ABI within a service pack, and Red Hat within a minor, so one package is meant to serve all kernels
//! of either. Here it is not believed but compared; a kernel that breaks the promise gets a package of its own.

use std::collections::BTreeMap;

/// A kernel and the module that was built for it.
#[derive(Debug, Clone)]
pub struct Subject<'a> {
    /// Kernel release.
    pub kernel: &'a str,
    /// Symbols that the module imports, with their checksums.
    pub imports: Vec<(String, u32)>,
    /// Symbols that the kernel exports, with their checksums.
    pub exports: BTreeMap<String, u32>,
}

/// A package and the kernels that it serves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Served<'a> {
    /// Kernel release that the package's module was built for.
    pub built_for: &'a str,
    /// Kernel releases that it serves, its own among them.
    pub serves: Vec<&'a str>,
    /// Why this kernel is not served by an earlier package: the first symbol that differs from each.
    pub because: Vec<String>,
}

impl std::fmt::Display for Served<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the package of {} serves {}", self.built_for, self.serves.join(", "))?;
        match self.because.is_empty() {
            true => Ok(()),
            false => write!(f, "; it is one of its own because {}", self.because.join("; ")),
        }
    }
}

/// Shares the kernels of one service pack or minor out to packages; `kernels` are oldest first, as the oldest kernel's
/// module is the one that the promise is about.
pub fn share<'a>(kernels: &[Subject<'a>]) -> Vec<Served<'a>> {
    let mut packages: Vec<(&Subject<'a>, Served<'a>)> = Vec::new();
    for kernel in kernels {
        let mut because = Vec::new();
        let mut taken = false;
        for (module, served) in &mut packages {
            match misfit(module, kernel) {
                None => {
                    served.serves.push(kernel.kernel);
                    taken = true;
                    break;
                }
                Some(why) => because.push(why),
            }
        }
        if !taken {
            let served = Served { built_for: kernel.kernel, serves: vec![kernel.kernel], because };
            packages.push((kernel, served));
        }
    }
    packages.into_iter().map(|(_, served)| served).collect()
}

/// The first symbol of a module that a kernel does not have, or has with another checksum.
fn misfit(module: &Subject<'_>, kernel: &Subject<'_>) -> Option<String> {
    module.imports.iter().find_map(|(symbol, crc)| match kernel.exports.get(symbol) {
        Some(found) if found == crc => None,
        Some(found) => Some(format!("{symbol} is 0x{found:08x} and in {} 0x{crc:08x}", module.kernel)),
        None => Some(format!("it has no {symbol}, as {} has", module.kernel)),
    })
}

/// The checksums of a `Module.symvers`.
pub fn exports(symvers: &str) -> BTreeMap<String, u32> {
    let line = |line: &str| {
        let mut fields = line.split('\t');
        let crc = u32::from_str_radix(fields.next()?.strip_prefix("0x")?, 16).ok()?;
        Some((fields.next()?.to_string(), crc))
    };
    symvers.lines().filter_map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subject<'a>(kernel: &'a str, imports: &[(&str, u32)], symvers: &str) -> Subject<'a> {
        let imports = imports.iter().map(|(name, crc)| (name.to_string(), *crc)).collect();
        Subject { kernel, imports, exports: exports(symvers) }
    }

    #[test]
    fn a_kernel_that_breaks_the_promise_gets_its_own_package() {
        let old = subject("55.7", &[("kfree", 1)], "0x00000001\tkfree\tvmlinux\tEXPORT_SYMBOL\t\n");
        let same = subject("55.88", &[("kfree", 1)], "0x00000001\tkfree\tvmlinux\n0x00000002\tother\tvmlinux\n");
        let broken = subject("55.91", &[("kfree", 3)], "0x00000003\tkfree\tvmlinux\n");
        let gone = subject("55.92", &[], "");
        let after = subject("55.94", &[("kfree", 3)], "0x00000003\tkfree\tvmlinux\n");
        let shared = share(&[old, same, broken, gone, after]);
        let serves: Vec<_> = shared.iter().map(|one| (one.built_for, one.serves.join(" "))).collect();
        assert_eq!(serves, [("55.7", "55.7 55.88".into()), ("55.91", "55.91 55.94".into()), ("55.92", "55.92".into())]);
        assert_eq!(shared[1].because, ["kfree is 0x00000003 and in 55.7 0x00000001"]);
        assert_eq!(shared[2].because[0], "it has no kfree, as 55.7 has");
    }
}
