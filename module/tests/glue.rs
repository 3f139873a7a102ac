// SPDX-License-Identifier: GPL-2.0-only
//! `glue/glue.h` and what Rust believes of it: names, argument counts and types, structures and numbers.
//!
//! The two files are plain lists of declarations, so plain text rules read them; a line that no rule reads fails.

use involflt::engine::{Hole, Op};
use std::collections::BTreeMap;

const HEADER: &str = include_str!("../glue/glue.h");
const EXPORTS: &str = include_str!("../glue/exports");
const BINDINGS: &str = include_str!("../src/platform/bindings.rs");
const HOOKS: &str = include_str!("../src/platform/hooks.rs");
const ENTRY: &str = include_str!("../src/platform/entry.rs");
const CGLUE: &str = include_str!("../src/platform/cglue/mod.rs");

/// Functions by name: the types of their arguments and, last, of their result, as C has them.
type Functions = BTreeMap<String, Vec<String>>;

/// The header without comments and preprocessor lines, one space between words.
fn header() -> String {
    let mut text = String::new();
    let mut rest = HEADER;
    while let Some((before, after)) = rest.split_once("/*") {
        text += before;
        rest = after.split_once("*/").expect("a comment ends").1;
    }
    text += rest;
    let lines = text.lines().filter(|line| !line.trim_start().starts_with('#'));
    lines.flat_map(str::split_whitespace).collect::<Vec<_>>().join(" ")
}

/// `struct x *name` to `struct x *`; a C type is written without spaces around its stars.
fn c_type(declared: &str) -> String {
    let name = declared.rfind([' ', '*']).map_or(declared.len(), |at| at + 1);
    let kind = declared[..name].trim();
    kind.replace(" *", "*")
}

fn c_functions() -> Functions {
    let header = header();
    let declarations = header.split(';').map(str::trim).filter(|text| text.contains('('));
    declarations
        .map(|text| {
            let text = text.split(" __attribute__").next().unwrap_or(text);
            let (head, arguments) = text.split_once('(').expect("a declaration has a parenthesis");
            let name = head.rsplit([' ', '*']).next().expect("a function has a name");
            let arguments = arguments.strip_suffix(')').expect("the arguments end the declaration");
            let mut types: Vec<String> = match arguments {
                "void" => Vec::new(),
                _ => arguments.split(',').map(|argument| c_type(argument.trim())).collect(),
            };
            types.push(c_type(head));
            (name.to_string(), types)
        })
        .collect()
}

/// A Rust type as C writes it.
fn in_c(rust: &str) -> String {
    if let Some(target) = rust.strip_prefix("*mut ") {
        return format!("{}*", in_c(target));
    }
    if let Some(target) = rust.strip_prefix("*const ") {
        return format!("const {}*", in_c(target));
    }
    match rust {
        "" => "void",
        "c_int" | "i32" => "int",
        "core::ffi::c_long" => "long",
        "c_char" => "char",
        "c_void" => "void",
        "u8" | "AtomicU8" => "__u8",
        "u32" => "__u32",
        "u64" => "__u64",
        "usize" => "size_t",
        "File" => "struct inv_file",
        "inv_mutex" => "struct inv_mutex",
        "inv_frozen" => "struct inv_frozen",
        "inv_event" => "struct inv_event",
        "inv_payload" | "bindings::inv_payload" => "struct inv_payload",
        "inv_mapping" => "struct inv_mapping",
        "inv_spin" => "struct inv_spin",
        "inv_device" => "struct inv_device",
        "inv_geometry" => "struct inv_geometry",
        "inv_sighting" => "struct inv_sighting",
        "inv_pinned" => "struct inv_pinned",
        "inv_stored" => "struct inv_stored",
        "bindings::inv_command" => "struct inv_command",
        other => panic!("no C type is known for {other}"),
    }
    .to_string()
}

/// The functions of a Rust source whose declarations begin with `start`, which the name follows.
fn rust_functions(source: &str, start: &str) -> Functions {
    let text = source.split_whitespace().collect::<Vec<_>>().join(" ");
    let declarations = text.split(start).skip(1);
    declarations
        .map(|rest| {
            let (name, rest) = rest.split_once('(').expect("a function has a parenthesis");
            let (arguments, rest) = rest.split_once(')').expect("the parenthesis is closed");
            let end = rest.find([';', '{']).expect("a declaration ends");
            let result = rest[..end].trim().trim_start_matches("->").trim();
            let arguments = arguments.split(',').map(str::trim).filter(|argument| !argument.is_empty());
            let mut types: Vec<_> =
                arguments.map(|argument| in_c(argument.split_once(':').expect("name: type").1.trim())).collect();
            types.push(in_c(result));
            (name.to_string(), types)
        })
        .collect()
}

/// `INV_…` numbers of an enum of the header.
fn numbers(name: &str) -> Vec<(String, u32)> {
    let header = header();
    let start = header.find(&format!("enum {name} {{")).unwrap_or_else(|| panic!("no enum {name}"));
    let body = header[start..].split(['{', '}']).nth(1).expect("an enum has a body");
    let entries = body.split(',').map(str::trim).filter(|entry| !entry.is_empty());
    entries
        .map(|entry| {
            let (name, number) = entry.split_once(" = ").expect("every entry has its number");
            (name.to_string(), number.parse().expect("a number"))
        })
        .collect()
}

#[test]
fn what_rust_calls_is_what_the_glue_has() {
    let mut glue = c_functions();
    glue.retain(|name, _| !name.starts_with("inv_rs_"));
    assert_eq!(rust_functions(BINDINGS, "pub fn "), glue);
}

#[test]
fn what_the_glue_calls_is_what_rust_has() {
    let mut called = c_functions();
    called.retain(|name, _| name.starts_with("inv_rs_"));
    let mut defined = rust_functions(HOOKS, "extern \"C\" fn ");
    defined.extend(rust_functions(ENTRY, "extern \"C\" fn "));
    let for_both = defined.clone();
    defined.extend(rust_functions(CGLUE, "extern \"C\" fn "));
    assert_eq!(defined, called);
    // There the kernel's own module support starts and ends the driver.
    called.retain(|name, _| name != "inv_rs_init" && name != "inv_rs_exit");
    assert_eq!(for_both, called);
}

#[test]
fn the_linker_keeps_what_the_glue_calls() {
    let called: Vec<String> = c_functions().into_keys().filter(|name| name.starts_with("inv_rs_")).collect();
    let mut kept: Vec<_> = EXPORTS.lines().filter(|line| !line.starts_with('#')).map(String::from).collect();
    kept.sort();
    assert_eq!(kept, called);
}

#[test]
fn the_structures_have_the_same_fields() {
    let header = header();
    let body = |text: &str, start: &str| {
        let at = text.find(start).unwrap_or_else(|| panic!("no {start}"));
        text[at..].split(['{', '}']).nth(1).expect("a structure has a body").to_string()
    };
    let of_c = |name: &str| -> Vec<(String, String)> {
        let fields = body(&header, &format!("struct {name} {{"));
        let fields = fields.split(';').map(str::trim).filter(|field| !field.is_empty());
        fields.map(|field| (field.rsplit([' ', '*']).next().unwrap_or_default().into(), c_type(field))).collect()
    };
    let of_rust = |name: &str| -> Vec<(String, String)> {
        let fields = body(BINDINGS, &format!("pub struct {name} {{"));
        let fields = fields.split(',').filter_map(|field| field.trim().strip_prefix("pub ")?.split_once(": "));
        fields.map(|(name, kind)| (name.to_string(), in_c(kind))).collect()
    };
    for name in ["inv_geometry", "inv_command", "inv_sighting"] {
        assert_eq!(of_rust(name), of_c(name));
        assert!(!of_c(name).is_empty());
    }
}

#[test]
fn operations_and_holes_have_the_same_numbers() {
    let operations = numbers("inv_op");
    assert_eq!(operations.len(), Op::ALL.len());
    for (name, number) in operations {
        let op = Op::from_number(number).unwrap_or_else(|| panic!("{name} is no operation"));
        assert_eq!(shouted("INV_OP_", &format!("{op:?}")), name);
    }
    assert_eq!(Op::from_number(Op::ALL.len() as u32), None);
    for (name, number) in numbers("inv_hole") {
        assert_eq!(shouted("INV_HOLE_", &format!("{:?}", Hole::from_number(number))), name);
    }
}

/// `WriteZeroes` to `INV_OP_WRITE_ZEROES`.
fn shouted(prefix: &str, name: &str) -> String {
    let mut text = prefix.to_string();
    for (index, letter) in name.chars().enumerate() {
        if letter.is_uppercase() && index > 0 {
            text.push('_');
        }
        text.push(letter.to_ascii_uppercase());
    }
    text
}
