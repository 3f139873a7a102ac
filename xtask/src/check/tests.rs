// SPDX-License-Identifier: GPL-2.0-only
//! Each check on objects that gcc makes here: a good one, on which none complains, and one broken thing at a time.

use super::*;
use std::path::PathBuf;
use std::process::Command;

/// A module as a kernel with all the mitigations wants it.
const GOOD: &str = r#"
    .section .modinfo, "a"
    .asciz "license=GPL v2"
    .asciz "retpoline=Y"
    .asciz "vermagic=6.12.0-1-amd64 SMP preempt mod_unload modversions "
    .section __versions, "a"
    .quad 0x12345678
    .asciz "kfree"
    .balign 64
    .quad 0x11
    .asciz "__x86_return_thunk"
    .balign 64
    .quad 0x12
    .asciz "__x86_indirect_thunk_rax"
    .balign 64
    .text
    .globl run
    .type run, @function
run:
    endbr64
    call kfree
1:  call __x86_indirect_thunk_rax
2:  jmp __x86_return_thunk
    .section .retpoline_sites, "a"
    .long 1b - .
    .section .return_sites, "a"
    .long 2b - .
    .section .ibt_endbr_seal, "a"
    .long 0
    .section .data, "aw"
    .quad run
"#;
const CONFIG: &str = "CONFIG_SMP=y\nCONFIG_PREEMPT_BUILD=y\nCONFIG_MODULE_UNLOAD=y\nCONFIG_MODVERSIONS=y\n\
    CONFIG_MITIGATION_RETPOLINE=y\nCONFIG_MITIGATION_RETHUNK=y\nCONFIG_X86_KERNEL_IBT=y\n";
const SYMVERS: &str = "0x12345678\tkfree\tvmlinux\tEXPORT_SYMBOL\t\n\
    0x00000011\t__x86_return_thunk\tvmlinux\tEXPORT_SYMBOL\t\n\
    0x00000012\t__x86_indirect_thunk_rax\tvmlinux\tEXPORT_SYMBOL\t\n";

fn assemble(name: &str, source: &str) -> PathBuf {
    let base = std::env::temp_dir().join(format!("involflt-check-{}-{name}", std::process::id()));
    let (input, output) = (base.with_extension("s"), base.with_extension("ko"));
    fs::write(&input, source).unwrap();
    let status = Command::new("gcc").args(["-c", "-o"]).arg(&output).arg(&input).status().unwrap();
    fs::remove_file(&input).unwrap();
    assert!(status.success());
    output
}

fn facts(symvers: &str) -> KernelFacts {
    KernelFacts::parse("#define UTS_RELEASE \"6.12.0-1-amd64\"\n", CONFIG, symvers)
}

fn findings(name: &str, source: &str, symvers: &str) -> Vec<Finding> {
    findings_of(name, source, &facts(symvers))
}

fn findings_of(name: &str, source: &str, facts: &KernelFacts) -> Vec<Finding> {
    let ko = assemble(name, source);
    let findings = module(&ko, facts).unwrap();
    fs::remove_file(ko).unwrap();
    findings
}

/// The good module with one thing replaced gives exactly one finding, which says `expected`.
#[track_caller]
fn one(name: &str, from: &str, to: &str, severity: Severity, expected: &str) {
    assert!(GOOD.contains(from), "the fixture has no {from:?}");
    let found = findings(name, &GOOD.replacen(from, to, 1), SYMVERS);
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0].severity, severity, "{found:?}");
    assert!(found[0].text.contains(expected), "{found:?}");
}

#[test]
fn a_good_module_has_no_findings() {
    assert_eq!(findings("good", GOOD, SYMVERS), []);
}

#[test]
fn another_kernels_vermagic_fails() {
    one("release", "6.12.0-1-", "6.12.0-2-", Severity::Failure, "the kernel wants `6.12.0-1-amd64 SMP");
    one("words", "SMP preempt ", "SMP ", Severity::Failure, "vermagic is");
}

#[test]
fn a_kernel_with_dynamic_preemption_and_rt_may_have_either_word() {
    let release = "#define UTS_RELEASE \"6.12.0-1-amd64\"\n";
    let facts = KernelFacts::parse(release, &format!("{CONFIG}CONFIG_PREEMPT_RT=y\n"), SYMVERS);
    let real_time = GOOD.replacen("SMP preempt ", "SMP preempt_rt ", 1);
    assert_eq!(findings_of("dynamic", GOOD, &facts), []);
    assert_eq!(findings_of("real-time", &real_time, &facts), []);
    assert!(findings("no-real-time", &real_time, SYMVERS)[0].text.contains("wants `6.12.0-1-amd64 SMP preempt "));
}

#[test]
fn a_closed_licence_fails() {
    one("licence", "license=GPL v2", "license=Proprietary", Severity::Failure, "Proprietary");
}

#[test]
fn a_symbol_that_is_not_exported_fails() {
    one(
        "unknown",
        "call kfree",
        "call kfree\n call gone",
        Severity::Failure,
        "symbol gone: the kernel does not export",
    );
}

#[test]
fn a_weak_symbol_may_be_missing() {
    let weak = GOOD.replacen("call kfree", "call kfree\n .weak maybe\n call maybe", 1);
    assert_eq!(findings("weak", &weak, SYMVERS), []);
}

#[test]
fn a_crc_of_another_build_fails() {
    one("crc", "0x12345678", "0x12345679", Severity::Failure, "CRC 0x12345679, the kernel has 0x12345678");
    one("nocrc", ".asciz \"kfree\"", ".asciz \"other\"", Severity::Failure, "symbol kfree: no CRC");
}

#[test]
fn crcs_in_the_new_tables_count() {
    let old = "    .quad 0x12345678\n    .asciz \"kfree\"\n    .balign 64\n";
    let new = "    .section __version_ext_crcs, \"a\"\n .long 0x12345678\n\
        .section __version_ext_names, \"a\"\n .asciz \"kfree\"\n .section __versions\n";
    assert!(GOOD.contains(old));
    assert_eq!(findings("ext", &GOOD.replacen(old, new, 1), SYMVERS), []);
    let found = findings("extbad", &GOOD.replacen(old, &new.replace("345678", "345670"), 1), SYMVERS);
    assert!(found.len() == 1 && found[0].text.contains("symbol kfree: CRC 0x12345670"), "{found:?}");
}

#[test]
fn crcs_in_a_packed_table_count() {
    let at = GOOD.find("    .quad 0x12345678").unwrap();
    let end = GOOD.find("    .text").unwrap();
    let entry = |crc: &str, name: &str| {
        format!(" .long {}, {crc}\n .asciz \"{name}\"\n .balign 4\n", 8 + name.len() / 4 * 4 + 4)
    };
    let packed = |crc: &str| {
        let table =
            entry(crc, "kfree") + &entry("0x11", "__x86_return_thunk") + &entry("0x12", "__x86_indirect_thunk_rax");
        format!("{}{table} .long 0\n{}", &GOOD[..at], &GOOD[end..])
    };
    assert_eq!(findings("packed", &packed("0x12345678"), SYMVERS), []);
    let found = findings("packedbad", &packed("0x12345670"), SYMVERS);
    assert!(found.len() == 1 && found[0].text.contains("symbol kfree: CRC 0x12345670"), "{found:?}");
}

#[test]
fn a_namespace_must_be_imported() {
    let symvers = SYMVERS.replace("kfree\tvmlinux\tEXPORT_SYMBOL\t", "kfree\tvmlinux\tEXPORT_SYMBOL\tMEMORY");
    let found = findings("ns", GOOD, &symvers);
    assert!(found.len() == 1 && found[0].text.contains("namespace MEMORY"), "{found:?}");
    let imports = GOOD.replacen(".asciz \"ret", ".asciz \"import_ns=MEMORY\"\n .asciz \"ret", 1);
    assert_eq!(findings("nsok", &imports, &symvers), []);
}

#[test]
fn a_writable_executable_section_fails() {
    one("wx", ".section .data, \"aw\"", ".section .data.wx, \"awx\"", Severity::Failure, ".data.wx: both writable");
}

#[test]
fn a_build_path_in_loaded_data_is_a_warning_and_in_a_comment_nothing() {
    let data = ".section .rodata, \"a\"\n .asciz \"/usr/src/rustc-1/core.rs\"\n .section .data, \"aw\"";
    one(
        "path",
        ".section .data, \"aw\"",
        data,
        Severity::Warning,
        "section .rodata: has a build path in it: /usr/src/",
    );
    let comment = GOOD.replacen(".text", ".section .comment\n .asciz \"/usr/src/rustc-1/x\"\n .text", 1);
    assert_eq!(findings("comment", &comment, SYMVERS), []);
}

#[test]
fn a_raw_indirect_branch_fails() {
    one("reg", "call kfree", "call kfree\n call *%rbx", Severity::Failure, "run: call *%rbx");
    one("mem", "call kfree", "call kfree\n notrack jmp *8(%rax)", Severity::Failure, "run: notrack jmp *0x8(%rax)");
    one("claim", "retpoline=Y", "retpoline=N", Severity::Failure, "does not say retpoline=Y");
}

#[test]
fn a_bare_return_fails() {
    one("ret", "call kfree", "call kfree\n ret", Severity::Failure, "bare return: run: ret");
    one("repz", "call kfree", "call kfree\n repz ret", Severity::Failure, "bare return: run: repz ret");
}

#[test]
fn a_return_that_the_kernel_cannot_patch_fails_and_an_indirect_branch_is_a_warning() {
    one("sites", "    .long 2b - .\n", "", Severity::Failure, "1 of 1 returns are not in .return_sites");
    one("thunks", "    .long 1b - .\n", "", Severity::Warning, "1 of 1 indirect branches are not in .retpoline_sites");
}

#[test]
fn an_address_taken_without_endbr_fails() {
    one("endbr", "    endbr64\n", "", Severity::Failure, "no endbr64 is there: run");
    let lea = "call kfree\n lea helper(%rip), %rdi\n .section .text.helper, \"ax\"\n\
        .type helper, @function\nhelper:\n nop\n .text";
    one("lea", "call kfree", lea, Severity::Failure, "no endbr64 is there: helper");
    one("seal", "    .long 0\n", "", Severity::Warning, "no .ibt_endbr_seal");
}

#[test]
fn a_function_without_a_frame_fails_where_the_kernel_walks_frames() {
    let found = |name: &str, code: &str| {
        let ko = assemble(name, &GOOD.replacen("    call kfree\n", code, 1));
        let config = format!("{CONFIG}CONFIG_FRAME_POINTER=y\n");
        let facts = KernelFacts::parse("#define UTS_RELEASE \"6.12.0-1-amd64\"\n", &config, SYMVERS);
        let found = module(&ko, &facts).unwrap();
        fs::remove_file(ko).unwrap();
        found
    };
    let bare = found("frame", " sub $16, %rsp\n call kfree\n add $16, %rsp\n");
    assert!(bare.len() == 1 && bare[0].text == "frame pointer: no frame: run", "{bare:?}");
    assert_eq!(found("framed", " push %rbp\n mov %rsp, %rbp\n sub $16, %rsp\n call kfree\n leave\n"), []);
}

#[test]
fn a_kernel_without_mitigations_asks_for_none() {
    let bare = GOOD.replacen("    endbr64\n", "    ret\n", 1);
    let ko = assemble("bare", &bare);
    let config: String = CONFIG.lines().take(4).map(|line| format!("{line}\n")).collect();
    let facts = KernelFacts::parse("#define UTS_RELEASE \"6.12.0-1-amd64\"\n", &config, SYMVERS);
    let found = module(&ko, &facts).unwrap();
    fs::remove_file(ko).unwrap();
    assert_eq!(found, []);
}

#[test]
fn a_file_that_is_no_module_is_the_builds_failure() {
    let path = std::env::temp_dir().join(format!("involflt-check-{}-text", std::process::id()));
    fs::write(&path, "no ELF").unwrap();
    let error = module(&path, &facts("")).unwrap_err();
    fs::remove_file(path).unwrap();
    assert_eq!(error.kind.exit_code(), 1);
    assert!(error.message.contains("not a kernel module"), "{error}");
}
