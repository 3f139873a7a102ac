// SPDX-License-Identifier: GPL-2.0-only
//! Who the module says it is: vermagic and licence.

use super::module::Module;
use super::{Finding, KernelFacts};

/// The licences of `.modinfo` that let a module use the kernel's GPL-only symbols.
const GPL: [&str; 5] = ["GPL", "GPL v2", "GPL and additional rights", "Dual BSD/GPL", "Dual MIT/GPL"];

/// Checks what `.modinfo` says.
pub fn check(module: &Module, facts: &KernelFacts) -> Vec<Finding> {
    vermagic(module, facts).into_iter().chain(licence(module)).collect()
}

fn vermagic(module: &Module, facts: &KernelFacts) -> Option<Finding> {
    let mut words = module.modinfo("vermagic").first().copied().unwrap_or_default().split_whitespace();
    let wanted = wanted_words(facts);
    // The hash of a randomised layout is in no file of the KDIR but the one that the build itself includes.
    let found: Vec<_> = words.by_ref().filter(|word| !word.starts_with("RANDSTRUCT_")).collect();
    if found == wanted {
        return None;
    }
    let (found, wanted) = (found.join(" "), wanted.join(" "));
    Some(Finding::failure(format!("vermagic is `{found}`, the kernel wants `{wanted}`")))
}

/// `include/linux/vermagic.h`, for x86-64 and (its last word) arm64.
fn wanted_words(facts: &KernelFacts) -> Vec<&str> {
    let mut words = vec![facts.release.as_str()];
    if facts.has("SMP") {
        words.push("SMP");
    }
    // PREEMPT_BUILD came with dynamic preemption. Since 6.13 a kernel can have it and PREEMPT_RT: RT is what counts.
    if facts.has("PREEMPT_RT") {
        words.push("preempt_rt");
    } else if facts.has("PREEMPT_BUILD") || facts.has("PREEMPT") {
        words.push("preempt");
    }
    let more = [("MODULE_UNLOAD", "mod_unload"), ("MODVERSIONS", "modversions"), ("ARM64", "aarch64")];
    words.extend(more.iter().filter(|(option, _)| facts.has(option)).map(|(_, word)| *word));
    words
}

/// Without a GPL-compatible licence the kernel hides half of the symbols that the module needs, and is tainted.
fn licence(module: &Module) -> Option<Finding> {
    let licences = module.modinfo("license");
    let free = !licences.is_empty() && licences.iter().all(|licence| GPL.contains(licence));
    (!free).then(|| Finding::failure(format!("licence is `{}`, which is not the GPL", licences.join(", "))))
}
