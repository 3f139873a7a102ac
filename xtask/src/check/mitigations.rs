// SPDX-License-Identifier: GPL-2.0-only
//! The hardening that a kernel was built with must be in its module too: a module runs with all of the kernel's rights.

use super::module::{Module, Place, Reference, Section};
use super::{Finding, KernelFacts, frames};
use crate::error::{Error, Result};
use object::elf::{R_X86_64_32S, R_X86_64_64, R_X86_64_PC32};
use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

/// `endbr64`, without which an indirect call's target faults under IBT.
const ENDBR: [u8; 4] = [0xf3, 0x0f, 0x1e, 0xfa];
/// Tables of places in code, not of functions that are called (the list of objtool's own IBT check).
const PLACE_TABLES: [&str; 16] = [
    ".altinstructions",
    ".call_sites",
    ".ibt_endbr_seal",
    ".kcfi_traps",
    ".orc_unwind_ip",
    ".retpoline_sites",
    ".return_sites",
    ".smp_locks",
    ".static_call_sites",
    "__bug_table",
    "__ex_table",
    "__jump_table",
    "__mcount_loc",
    "__patchable_function_entries",
    "_error_injection_whitelist",
    "_kprobe_blacklist",
];

/// Checks those mitigations that the kernel's configuration has.
pub fn check(module: &Module, ko: &Path, facts: &KernelFacts) -> Result<Vec<Finding>> {
    let (retpoline, rethunk) = (facts.mitigates("RETPOLINE"), facts.mitigates("RETHUNK"));
    let mut findings = Vec::new();
    if retpoline || rethunk || facts.has("FRAME_POINTER") {
        let code = disassemble(ko)?;
        findings.extend(frames::check(&code, facts));
        findings.extend(retpoline.then(|| indirect(module, &code)).into_iter().flatten());
        findings.extend(rethunk.then(|| returns(module, &code)).into_iter().flatten());
    }
    if facts.has("X86_KERNEL_IBT") {
        findings.extend(ibt(module));
    }
    Ok(findings)
}

fn disassemble(ko: &Path) -> Result<String> {
    let failed = |cause: String| Error::infra(format!("objdump {}: {cause}", ko.display())).note("package binutils");
    let mut command = Command::new("objdump");
    let output = command.args(["--disassemble", "--no-show-raw-insn"]).arg(ko).env("LC_ALL", "C").output();
    let output = output.map_err(|error| failed(error.to_string()))?;
    match output.status.success() {
        true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
        false => Err(failed(String::from_utf8_lossy(&output.stderr).trim().to_string())),
    }
}

/// Instructions of a disassembly that `wanted` takes (it gets the words), with the function each is in.
fn instructions(code: &str, wanted: impl Fn(&[&str]) -> bool) -> Vec<String> {
    let mut function = "";
    let mut found = Vec::new();
    for line in code.lines() {
        if let Some(head) = line.strip_suffix(">:").and_then(|head| head.split_once(" <")) {
            function = head.1;
        } else if let Some((_, text)) = line.split_once(":\t") {
            let words: Vec<&str> = text.split_whitespace().collect();
            if wanted(&words) {
                found.push(format!("{function}: {}", words.join(" ")));
            }
        }
    }
    found
}

/// A register's or memory's branch that goes by no thunk can be steered by an attacker's training (Spectre v2).
fn indirect(module: &Module, code: &str) -> Vec<Finding> {
    let raw = instructions(code, |words| {
        let branch = words.iter().position(|word| matches!(*word, "call" | "callq" | "jmp" | "jmpq"));
        branch.and_then(|at| words.get(at + 1)).is_some_and(|target| target.starts_with('*'))
    });
    let mut findings = all(&raw, "retpoline: indirect branch without a thunk");
    if !module.modinfo("retpoline").contains(&"Y") {
        findings.push(Finding::failure("retpoline: .modinfo does not say retpoline=Y, which taints the kernel"));
    }
    // What is not listed stays a retpoline, whatever the kernel would rather have on its CPU: slower, never weaker than
    // a retpoline.
    let (thunks, listed) = (thunk_users(module, "__x86_indirect_thunk_"), entries(module, ".retpoline_sites"));
    if thunks > listed {
        findings.push(Finding::warning(format!(
            "retpoline: {} of {thunks} indirect branches are not in .retpoline_sites: objtool did not see them",
            thunks - listed
        )));
    }
    findings
}

/// A bare return can be steered (Retbleed, SRSO), and so can one that the kernel does not know of.
fn returns(module: &Module, code: &str) -> Vec<Finding> {
    let raw = instructions(code, |words| words.iter().any(|word| matches!(*word, "ret" | "retq")));
    let mut findings = all(&raw, "return thunk: bare return");
    // The kernel points each listed return at the thunk that its CPU needs. The default thunk, where the others stay, is
    // a bare return since the fixes for SRSO, and warns when it is used since 6.8.
    let (thunks, listed) = (thunk_users(module, "__x86_return_thunk"), entries(module, ".return_sites"));
    if thunks > listed {
        findings.push(Finding::failure(format!(
            "return thunk: {} of {thunks} returns are not in .return_sites: objtool did not see them",
            thunks - listed
        )));
    }
    findings
}

/// One finding for any number of places: the first, and how many more.
fn all(places: &[String], what: &str) -> Vec<Finding> {
    let more = if places.len() > 1 { format!(" (and {} more)", places.len() - 1) } else { String::new() };
    places.first().map(|first| Finding::failure(format!("{what}: {first}{more}"))).into_iter().collect()
}

/// How many instructions of the module go to a thunk.
fn thunk_users(module: &Module, prefix: &str) -> usize {
    let code = module.sections.iter().filter(|section| section.executable);
    code.map(|section| module.outside(section).iter().filter(|name| name.starts_with(prefix)).count()).sum()
}

/// How many four-byte entries a table of objtool has.
fn entries(module: &Module, table: &str) -> usize {
    module.data(table).len() / 4
}

/// Under IBT an indirect call of a function without `endbr64` is a fault, so the kernel would die of it.
fn ibt(module: &Module) -> Vec<Finding> {
    let bare: Vec<_> = address_taken(module).into_iter().filter(|place| !starts_with_endbr(module, *place)).collect();
    let mut findings = all(
        &bare.iter().map(|place| module.name_of(*place)).collect::<Vec<_>>(),
        "IBT: address is taken, but no endbr64 is there",
    );
    if module.data(".ibt_endbr_seal").is_empty() {
        // Nothing faults; functions that are never called indirectly merely stay callable so.
        findings.push(Finding::warning("IBT: no .ibt_endbr_seal: objtool did not see the linked module"));
    }
    findings
}

/// The functions whose address is in data, or is loaded by an instruction.
fn address_taken(module: &Module) -> BTreeSet<Place> {
    let functions = module.functions();
    let sections = module.sections.iter().filter(|section| section.loaded && !is_place_table(section.name));
    let taken =
        sections.flat_map(|section| module.references(section).into_iter().filter_map(|it| target(section, it)));
    taken.filter(|place| functions.contains(place)).collect()
}

fn is_place_table(name: &str) -> bool {
    PLACE_TABLES.iter().any(|table| name.contains(table))
}

/// Where a reference points when it is one that takes an address; calls and jumps are not. (A PC-relative load of a
/// function in the same section leaves no relocation; the kernel's code model has no use for such loads.)
fn target(from: &Section, it: Reference) -> Option<Place> {
    let (section, base) = it.base;
    let after = match it.kind {
        // Such a load counts from its end, four bytes after the relocation.
        R_X86_64_PC32 if is_lea(from, it.at) => 4,
        R_X86_64_64 | R_X86_64_32S => 0,
        _ => return None,
    };
    Some((section, base.checked_add_signed(it.addend + after)?))
}

/// `lea disp32(%rip), reg`: the opcode, and a ModRM byte with mode 0 and base 5.
fn is_lea(section: &Section, displacement: u64) -> bool {
    let start = (displacement as usize).wrapping_sub(2);
    section.executable && matches!(section.data.get(start..), Some([0x8d, modrm, ..]) if modrm & 0xc7 == 5)
}

fn starts_with_endbr(module: &Module, (index, offset): Place) -> bool {
    let section = module.sections.iter().find(|section| section.index.0 == index);
    section.and_then(|section| section.data.get(offset as usize..)).is_some_and(|code| code.starts_with(&ENDBR))
}
