// SPDX-License-Identifier: GPL-2.0-only
//! Which branches of the glue some kernel selects: its `#if`s, read as far as they are about probes.

use std::collections::BTreeSet;

/// A branch that no kernel selects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unselected {
    /// Its line, from 1.
    pub line: usize,
    /// The line's text.
    pub text: String,
}

/// A branch of an `#if` that is open: whether it can be taken, for each kernel.
struct Open {
    /// Where the whole `#if` is reached.
    outer: Vec<bool>,
    /// Where no branch so far was certainly taken.
    left: Vec<bool>,
    /// Where this branch may be taken.
    taken: Vec<bool>,
}

/// The branches of a C file that no kernel takes; `kernels` holds the macros that each kernel's probes define.
///
/// What is not about probes (`CONFIG_…`), and the macros of `either`, may be defined or not: they never make a branch unselected.
pub fn unselected(text: &str, kernels: &[BTreeSet<String>], either: &BTreeSet<String>) -> Vec<Unselected> {
    let mut stack: Vec<Open> = Vec::new();
    let mut found = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let Some(directive) = line.trim_start().strip_prefix('#').map(str::trim_start) else { continue };
        let (word, rest) = directive.split_once(|c: char| c.is_whitespace()).unwrap_or((directive, ""));
        let condition = match word {
            "if" | "elif" => rest.to_string(),
            "ifdef" => format!("defined({})", rest.trim()),
            "ifndef" => format!("!defined({})", rest.trim()),
            "else" => "1".to_string(),
            "endif" => {
                stack.pop();
                continue;
            }
            _ => continue,
        };
        if word.starts_with("if") {
            let outer = stack.last().map_or_else(|| vec![true; kernels.len()], |open| open.taken.clone());
            stack.push(Open { left: outer.clone(), taken: outer.clone(), outer });
        }
        let Some(open) = stack.last_mut() else { continue };
        for (number, macros) in kernels.iter().enumerate() {
            let truth = holds(&condition, macros, either);
            open.taken[number] = open.left[number] && truth != Some(false);
            open.left[number] = open.left[number] && truth != Some(true);
        }
        if !open.taken.contains(&true) && open.outer.contains(&true) {
            found.push(Unselected { line: index + 1, text: line.trim().to_string() });
        }
    }
    found
}

/// Whether a condition holds; `None` where that is not for the probes to say. `||` of `&&` of `!` and `defined()`.
fn holds(condition: &str, macros: &BTreeSet<String>, either: &BTreeSet<String>) -> Option<bool> {
    let all_of = |terms: &str| decided(terms.split("&&").map(|term| term_holds(term.trim(), macros, either)), false);
    decided(condition.split("||").map(all_of), true)
}

/// `end` where one of them is that; else unknown where one is; else the other value.
fn decided(values: impl Iterator<Item = Option<bool>>, end: bool) -> Option<bool> {
    let values: Vec<_> = values.collect();
    match values.contains(&Some(end)) {
        true => Some(end),
        false if values.contains(&None) => None,
        false => Some(!end),
    }
}

fn term_holds(term: &str, macros: &BTreeSet<String>, either: &BTreeSet<String>) -> Option<bool> {
    if let Some(negated) = term.strip_prefix('!') {
        return term_holds(negated.trim(), macros, either).map(|truth| !truth);
    }
    let name =
        term.strip_prefix("defined").map(|name| name.trim().trim_start_matches('(').trim_end_matches(')').trim());
    match name {
        Some(name) if either.contains(name) => None,
        Some(name) if name.starts_with("INV_HAVE_") => Some(macros.contains(name)),
        None if term == "1" => Some(true),
        None if term == "0" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GLUE: &str = "#ifndef GUARD_H\n#if defined(INV_HAVE_A)\na\n#elif defined(INV_HAVE_B) && !defined(INV_HAVE_C)\n\
                        #if defined(CONFIG_X)\nx\n#else\ny\n#endif\n#else\nz\n#endif\n#endif\n";

    fn lines(kernels: &[&[&str]]) -> Vec<usize> {
        let sets: Vec<BTreeSet<String>> =
            kernels.iter().map(|names| names.iter().map(|name| format!("INV_HAVE_{name}")).collect()).collect();
        unselected(GLUE, &sets, &BTreeSet::new()).into_iter().map(|branch| branch.line).collect()
    }

    #[test]
    fn a_branch_that_no_kernel_takes_is_named_once_and_what_is_in_it_is_not() {
        assert!(lines(&[&["A"], &["B"], &[]]).is_empty());
        assert_eq!(lines(&[&["A"], &[]]), [4]);
        assert_eq!(lines(&[&["A", "B"]]), [4, 10]);
        assert_eq!(lines(&[&["B", "C"]]), [2, 4]);
        let either = BTreeSet::from(["INV_HAVE_X".to_string()]);
        assert_eq!(unselected("#if defined(INV_HAVE_X)\n#else\n#endif\n", &[BTreeSet::new()], &either), []);
    }
}
