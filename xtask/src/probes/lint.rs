// SPDX-License-Identifier: GPL-2.0-only
//! What is idle: probes that nothing uses or that tell nothing, and glue that no kernel selects.

use super::Asked;
use super::glue;
use super::probe::Probe;
use crate::error::{AtPath, Error, Result};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// What each probe finds, by its name.
type Found = BTreeMap<String, bool>;

/// What is idle for kernels with those answers, one line each.
pub fn idle(probes: &[Probe], answers: &[&Found], module: &Path) -> Result<Vec<String>> {
    let mut lints: Vec<String> = probes.iter().filter_map(|probe| constant(probe, answers)).collect();
    let macros = |found: &&Found| -> BTreeSet<String> {
        let yes = probes.iter().filter(|probe| found.get(&probe.name) == Some(&true));
        yes.map(Probe::define).collect()
    };
    let kernels: Vec<_> = answers.iter().map(macros).collect();
    let either: BTreeSet<_> = probes.iter().filter(|probe| probe.alike.is_some()).map(Probe::define).collect();
    for (name, text) in c_files(module)? {
        let branches = glue::unselected(&text, &kernels, &either).into_iter();
        lints
            .extend(branches.map(|branch| format!("module/{name}:{}: no kernel takes `{}`", branch.line, branch.text)));
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

/// Answers of kernels whose headers do not have the line that the probe names, though it says yes.
pub fn unproven(probes: &[Probe], asked: &[Asked<'_>]) -> Vec<String> {
    let each = asked.iter().flat_map(|one| probes.iter().zip(&one.evidence).map(move |probe| (one, probe)));
    let said_yes = each.filter(|(one, (probe, _))| one.answers.found.get(&probe.name) == Some(&true));
    let missing = said_yes.filter_map(|(one, (probe, evidence))| {
        let why = evidence.as_ref().err()?;
        Some(format!("module/probes/{}.c: yes on {}, and {why}", probe.name, one.kernel.id()))
    });
    missing.collect()
}

/// Header lines that decide nothing: a kernel says yes and another no where both have the same.
pub fn undecided(probes: &[Probe], asked: &[Asked<'_>]) -> Vec<String> {
    let undecided = |(index, probe): (usize, &Probe)| {
        let texts = |one: &Asked<'_>| -> Vec<String> {
            one.evidence[index].iter().flatten().map(|line| line.text.clone()).collect()
        };
        let each = asked.iter().map(|one| (one, texts(one)));
        let (yes, no): (Vec<_>, Vec<_>) = each.partition(|(one, _)| one.answers.found.get(&probe.name) == Some(&true));
        let same = |(one, texts): &(&Asked<'_>, Vec<String>)| {
            let (other, _) = no.iter().find(|(_, others)| others == texts)?;
            Some((one.kernel.id(), other.kernel.id(), texts.join(", ")))
        };
        let mut with_lines = yes.iter().filter(|(_, texts)| !texts.is_empty());
        let (one, other, lines) = with_lines.find_map(same)?;
        Some(format!("module/probes/{}.c: yes on {one}, no on {other}, and both have {lines}", probe.name))
    };
    probes.iter().enumerate().filter_map(undecided).collect()
}

fn constant(probe: &Probe, answers: &[&Found]) -> Option<String> {
    let mut found = answers.iter().filter_map(|found| found.get(&probe.name));
    let first = found.next()?;
    let differs = found.any(|other| other != first);
    if differs && probe.alike.is_some() {
        return Some(format!("module/probes/{}.c: says that it is alike everywhere, and is not", probe.name));
    }
    if answers.len() < 2 || differs || probe.alike.is_some() {
        return None;
    }
    let word = if *first { "yes" } else { "no" };
    Some(format!("module/probes/{}.c: {word} on each of {} kernels or kinds of them", probe.name, answers.len()))
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
            assert!(!probe.decided.is_empty(), "{}.c lacks `/* Decided by HEADER: TEXT */`", probe.name);
        }
    }

    #[test]
    fn an_unused_probe_and_one_that_never_changes_are_told() {
        let module = work_tree::top().join("module");
        let probe = Probe { name: "none".into(), means: String::new(), decided: Vec::new(), alike: None };
        assert_eq!(
            unused(std::slice::from_ref(&probe), &module).unwrap(),
            ["module/probes/none.c: nothing uses INV_HAVE_NONE"]
        );
        let answers = |found| Found::from([("none".to_string(), found)]);
        assert!(constant(&probe, &[&answers(true), &answers(false)]).is_none());
        assert!(constant(&probe, &[&answers(true)]).is_none());
        let text = constant(&probe, &[&answers(false), &answers(false)]).unwrap();
        assert_eq!(text, "module/probes/none.c: no on each of 2 kernels or kinds of them");
        let excused = Probe { alike: Some("So.".into()), ..probe };
        assert!(constant(&excused, &[&answers(false), &answers(false)]).is_none());
        assert!(constant(&excused, &[&answers(true), &answers(false)]).unwrap().ends_with("and is not"));
    }
}
