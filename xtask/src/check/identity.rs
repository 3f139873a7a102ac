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
    // The hash of a randomised layout is in no file of the KDIR but the one that the build itself includes.
    let found: Vec<_> = words.by_ref().filter(|word| !word.starts_with("RANDSTRUCT_")).collect();
    let mut wanted = preemption(facts).iter().map(|word| wanted_words(facts, word));
    if wanted.clone().any(|wanted| wanted == found) {
        return None;
    }
    let (found, wanted) = (found.join(" "), wanted.next().unwrap_or_default().join(" "));
    Some(Finding::failure(format!("vermagic is `{found}`, the kernel wants `{wanted}`")))
}

/// `include/linux/vermagic.h`, for x86-64 and (its last word) arm64.
fn wanted_words<'a>(facts: &'a KernelFacts, preemption: &'a str) -> Vec<&'a str> {
    let mut words = vec![facts.release.as_str()];
    if facts.has("SMP") {
        words.push("SMP");
    }
    words.extend(Some(preemption).filter(|word| !word.is_empty()));
    let more = [("MODULE_UNLOAD", "mod_unload"), ("MODVERSIONS", "modversions"), ("ARM64", "aarch64")];
    words.extend(more.iter().filter(|(option, _)| facts.has(option)).map(|(_, word)| *word));
    words
}

/// How the kernel may call its preemption. PREEMPT_BUILD came with dynamic preemption, and Debian's 6.12 can have it with
/// PREEMPT_RT: which of them counts there is said in no other place than the header that gives the module its word.
fn preemption(facts: &KernelFacts) -> &'static [&'static str] {
    match (facts.has("PREEMPT_BUILD") || facts.has("PREEMPT"), facts.has("PREEMPT_RT")) {
        (false, false) => &[""],
        (true, false) => &["preempt"],
        (false, true) => &["preempt_rt"],
        (true, true) => &["preempt_rt", "preempt"],
    }
}

/// Without a GPL-compatible licence the kernel hides half of the symbols that the module needs, and is tainted.
fn licence(module: &Module) -> Option<Finding> {
    let licences = module.modinfo("license");
    let free = !licences.is_empty() && licences.iter().all(|licence| GPL.contains(licence));
    (!free).then(|| Finding::failure(format!("licence is `{}`, which is not the GPL", licences.join(", "))))
}
