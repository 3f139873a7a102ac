// SPDX-License-Identifier: GPL-2.0-only
//! What is idle: probes that nothing uses or that tell nothing, and glue that no kernel selects.

use super::answers::Answers;
use super::glue;
use super::probe::Probe;
use crate::error::{AtPath, Error, Result};
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// What is idle for the kernels that were asked, one line each.
pub fn idle(probes: &[Probe], answers: &[&Answers], module: &Path) -> Result<Vec<String>> {
    let mut lints: Vec<String> = probes.iter().filter_map(|probe| constant(probe, answers)).collect();
    let macros = |answers: &&Answers| -> BTreeSet<String> {
        let yes = probes.iter().filter(|probe| answers.found.get(&probe.name) == Some(&true));
        yes.map(Probe::define).collect()
    };
    let kernels: Vec<_> = answers.iter().map(macros).collect();
    for (name, text) in c_files(module)? {
        let branches = glue::unselected(&text, &kernels).into_iter();
        lints.extend(branches.map(|branch| {
            format!("module/{name}:{}: no kernel of this selection takes `{}`", branch.line, branch.text)
        }));
    }
    Ok(lints)
}

/// Prints nothing: an error of exit code 1 with every lint as a note.
pub fn verdict(lints: &[String]) -> Result<()> {
    match lints.len() {
        0 => Ok(()),
        count => Err(lints.iter().fold(Error::kernel(format!("{count} lints")), |error, lint| error.note(lint))),
    }
}

/// Probes whose macro is in no file of the driver.
pub fn unused(probes: &[Probe], module: &Path) -> Result<Vec<String>> {
    let files = c_files(module)?;
    let is_used = |probe: &&Probe| {
        let words =
            |text: &str| text.split(|c: char| !c.is_alphanumeric() && c != '_').any(|word| word == probe.define());
        files.iter().any(|(_, text)| words(text))
    };
    let unused = probes.iter().filter(|probe| !is_used(probe));
    Ok(unused.map(|probe| format!("module/probes/{}.c: nothing uses {}", probe.name, probe.define())).collect())
}

fn constant(probe: &Probe, answers: &[&Answers]) -> Option<String> {
    let mut found = answers.iter().filter_map(|answers| answers.found.get(&probe.name));
    let first = found.next()?;
    if answers.len() < 2 || found.any(|other| other != first) {
        return None;
    }
    let word = if *first { "yes" } else { "no" };
    Some(format!("module/probes/{}.c: {word} on each of the {} kernels of this selection", probe.name, answers.len()))
}

fn c_files(module: &Path) -> Result<Vec<(String, String)>> {
    let mut files = Vec::new();
    for path in crate::tree::files(&module.join("glue"))? {
        let name = format!("glue/{}", path.display());
        if (name.ends_with(".c") || name.ends_with(".h")) && !name.ends_with("probed.h") {
            files.push((name.clone(), fs::read_to_string(module.join(&name)).at_path(module.join(&name))?));
        }
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::work_tree;

    #[test]
    fn every_probe_is_used_and_names_its_header_line() {
        let module = work_tree::top().join("module");
        let probes = Probe::all(&module).unwrap();
        assert!(probes.len() > 5);
        assert_eq!(unused(&probes, &module).unwrap(), Vec::<String>::new());
        for probe in &probes {
            assert!(probe.decided.is_some(), "{}.c lacks `/* Decided by HEADER: TEXT */`", probe.name);
        }
    }

    #[test]
    fn an_unused_probe_and_one_that_never_changes_are_told() {
        let module = work_tree::top().join("module");
        let probe = Probe { name: "none".into(), means: String::new(), decided: None };
        assert_eq!(
            unused(std::slice::from_ref(&probe), &module).unwrap(),
            ["module/probes/none.c: nothing uses INV_HAVE_NONE"]
        );
        let answers = |found| Answers { found: [("none".to_string(), found)].into(), ..Answers::default() };
        assert!(constant(&probe, &[&answers(true), &answers(false)]).is_none());
        assert!(constant(&probe, &[&answers(true)]).is_none());
        let text = constant(&probe, &[&answers(false), &answers(false)]).unwrap();
        assert_eq!(text, "module/probes/none.c: no on each of the 2 kernels of this selection");
    }
}
