// SPDX-License-Identifier: GPL-2.0-only
//! Frame pointers, where a kernel has them: hardened usercopy walks the stack by them, and stops the kernel when what is
//! to be copied is on the stack and in none of the frames that it finds.

use super::{Finding, KernelFacts};

/// Checks a disassembly: a function that takes room on the stack has a frame.
pub fn check(code: &str, facts: &KernelFacts) -> Option<Finding> {
    if !facts.has("FRAME_POINTER") {
        return None;
    }
    let mut bare = code.split("\n\n").filter(|function| takes_stack(function) && !has_frame(function));
    let first = bare.next()?;
    let more = bare.count();
    let also = if more > 0 { format!(" (and {more} more)") } else { String::new() };
    Some(Finding::failure(format!("frame pointer: no frame: {}{also}", name(first))))
}

fn takes_stack(function: &str) -> bool {
    instructions(function).any(|words| matches!(words[..], ["sub" | "subq", operands] if operands.ends_with(",%rsp")))
}

fn has_frame(function: &str) -> bool {
    instructions(function).any(|words| matches!(words[..], ["mov" | "movq", "%rsp,%rbp"]))
}

fn instructions(function: &str) -> impl Iterator<Item = Vec<&str>> {
    function.lines().filter_map(|line| Some(line.split_once(":\t")?.1.split_whitespace().collect()))
}

/// Of the line `0000000000000010 <name>:`.
fn name(function: &str) -> &str {
    let head = function.lines().find_map(|line| line.strip_suffix(">:")?.split_once(" <"));
    head.map_or("a function without a name", |(_, name)| name)
}
