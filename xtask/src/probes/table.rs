// SPDX-License-Identifier: GPL-2.0-only
//! `docs/probes.md`: what each kernel answered when all of them were asked last, for readers and for the lints.

use super::answers::Answers;
use super::probe::Probe;
use crate::error::{AtPath, Error, Result};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Its place in the work tree.
const FILE: &str = "docs/probes.md";
/// The command that writes it.
pub const AGAIN: &str =
    "cargo xtask probes --write --select group:default --select group:ubuntu --select group:before-5.10";

const HEAD: &str = "\
<!-- SPDX-License-Identifier: GPL-2.0-only -->
# What the probes find

Written from the headers of real kernels by `cargo xtask probes --write`, never by hand. A probe asks one question about a kernel's
headers; kernels that answer all of them alike have one signature. `cargo xtask probes KDIR` shows the header line behind each answer of a
kernel. `cargo xtask test` compares this page with the kernels that it builds for, and takes it as the word of all others.

| signature | kernels |
|---|---|
";

/// Answers by signature, and the signature of each kernel.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Table {
    signatures: BTreeMap<String, BTreeMap<String, bool>>,
    kernels: BTreeMap<String, String>,
}

impl Table {
    /// The table of those answers, by the kernels' ids.
    pub fn new<'a>(asked: impl Iterator<Item = (String, &'a Answers)>) -> Table {
        let mut table = Table::default();
        for (id, answers) in asked {
            let signature = answers.signature();
            table.signatures.entry(signature.clone()).or_insert_with(|| answers.found.clone());
            table.kernels.insert(id, signature);
        }
        table
    }

    /// The table of the work tree `top`. Fails where it was not written by the command.
    pub fn read(top: &Path) -> Result<Table> {
        let path = Self::path(top);
        let text = fs::read_to_string(&path).at_path(&path)?;
        Table::parse(&text).map_err(|text| Error::input(text).at(path.display()).note(format!("write it: {AGAIN}")))
    }

    /// Writes it there; `probes` say what they ask.
    pub fn write(&self, top: &Path, probes: &[Probe]) -> Result<()> {
        let path = Self::path(top);
        fs::write(&path, self.text(probes)).at_path(&path)
    }

    fn path(top: &Path) -> PathBuf {
        top.join(FILE)
    }

    /// What each signature answers.
    pub fn answers(&self) -> impl Iterator<Item = &BTreeMap<String, bool>> {
        self.signatures.values()
    }

    /// What is not as this table has it: its probes, or the answers of a kernel that it knows.
    pub fn disagreements(&self, probes: &[Probe], asked: &Table) -> Vec<String> {
        let again = |what: String| format!("{FILE}: {what}: {AGAIN}");
        let own: Vec<&String> = self.signatures.values().next().into_iter().flat_map(BTreeMap::keys).collect();
        if !own.iter().copied().eq(probes.iter().map(|probe| &probe.name)) {
            return vec![again("has other probes than module/probes".into())];
        }
        let differs = asked.kernels.iter().filter_map(|(id, signature)| {
            let known = self.kernels.get(id).filter(|known| *known != signature)?;
            Some(again(format!("{id} has the signature {known} there, and {signature}")))
        });
        differs.collect()
    }

    fn text(&self, probes: &[Probe]) -> String {
        let mut text = HEAD.to_string();
        for signature in self.signatures.keys() {
            let kernels = self.kernels.iter().filter(|(_, of)| *of == signature).map(|(id, _)| id.as_str());
            text += &format!("| {signature} | {} |\n", kernels.collect::<Vec<_>>().join(", "));
        }
        let columns: Vec<&str> = self.signatures.keys().map(String::as_str).collect();
        text += &format!("\n| probe | asks | {} |\n|---|---|{}\n", columns.join(" | "), "---|".repeat(columns.len()));
        for Probe { name, means, .. } in probes {
            let answer = |found: &BTreeMap<String, bool>| if found.get(name) == Some(&true) { "yes" } else { "no" };
            let cells: Vec<&str> = self.signatures.values().map(answer).collect();
            text += &format!("| {name} | {} | {} |\n", means.replace('|', "/"), cells.join(" | "));
        }
        text
    }

    fn parse(text: &str) -> std::result::Result<Table, String> {
        let mut rows = text.lines().filter_map(cells).filter(|cells| cells[0] != "---");
        let mut kernels = BTreeMap::new();
        let mut columns: Vec<String> = Vec::new();
        for row in rows.by_ref() {
            match &row[..] {
                ["probe", "asks", signatures @ ..] => {
                    columns = signatures.iter().map(|signature| signature.to_string()).collect();
                    break;
                }
                ["signature", _] => {}
                [signature, ids] => kernels.extend(ids.split(", ").map(|id| (id.into(), signature.to_string()))),
                _ => return Err(format!("what is the row {row:?}?")),
            }
        }
        let mut found = vec![BTreeMap::new(); columns.len()];
        for row in rows {
            let [name, _, answers @ ..] = &row[..] else { return Err(format!("what is the row {row:?}?")) };
            if answers.len() != columns.len() {
                return Err(format!("{name} has {} answers for {} signatures", answers.len(), columns.len()));
            }
            for (column, answer) in found.iter_mut().zip(answers) {
                column.insert(name.to_string(), *answer == "yes");
            }
        }
        let table = Table { signatures: columns.into_iter().zip(found).collect(), kernels };
        table.check()?;
        Ok(table)
    }

    /// A signature is a hash of its answers: none was changed by hand.
    fn check(&self) -> std::result::Result<(), String> {
        for (signature, found) in &self.signatures {
            let answers = Answers { found: found.clone(), ..Answers::default() };
            if answers.signature() != *signature {
                return Err(format!("{signature} is not the signature of its answers"));
            }
        }
        match self.kernels.iter().find(|(_, signature)| !self.signatures.contains_key(*signature)) {
            _ if self.signatures.is_empty() => Err("has no signatures".into()),
            None => Ok(()),
            Some((id, signature)) => Err(format!("nobody knows what {signature} answers, which {id} has")),
        }
    }
}

/// The cells of a table's row.
fn cells(line: &str) -> Option<Vec<&str>> {
    let inside = line.strip_prefix('|')?.strip_suffix('|')?;
    Some(inside.split('|').map(str::trim).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::work_tree;

    fn answers(old: bool, new: bool) -> Answers {
        Answers { found: [("new".into(), new), ("old".into(), old)].into(), ..Answers::default() }
    }

    fn probes() -> Vec<Probe> {
        let probe =
            |name: &str| Probe { name: name.into(), means: "It is so | not.".into(), decided: Vec::new(), alike: None };
        vec![probe("new"), probe("old")]
    }

    #[test]
    fn what_was_written_is_read_and_what_was_changed_is_refused() {
        let (one, other) = (answers(true, false), answers(false, true));
        let table = Table::new([("a-4.4".into(), &one), ("a-7.3".into(), &other), ("b-4.4".into(), &one)].into_iter());
        let text = table.text(&probes());
        assert_eq!(Table::parse(&text).as_ref(), Ok(&table));
        let changed = text.replacen("yes", "no", 1);
        assert!(Table::parse(&changed).unwrap_err().ends_with("is not the signature of its answers"), "{changed}");
        assert_eq!(Table::parse("# nothing\n").unwrap_err(), "has no signatures");
    }

    #[test]
    fn a_kernel_that_answers_otherwise_and_a_new_probe_are_told() {
        let known = Table::new([("a-4.4".into(), &answers(true, false))].into_iter());
        let same = Table::new(
            [("a-4.4".into(), &answers(true, false)), ("new-8.0".into(), &answers(false, false))].into_iter(),
        );
        assert_eq!(known.disagreements(&probes(), &same), Vec::<String>::new());
        let other = Table::new([("a-4.4".into(), &answers(true, true))].into_iter());
        assert!(known.disagreements(&probes(), &other)[0].starts_with("docs/probes.md: a-4.4 has the signature "));
        let less = &probes()[..1];
        assert!(known.disagreements(less, &same)[0].starts_with("docs/probes.md: has other probes"));
    }

    #[test]
    fn the_table_of_this_tree_has_every_probe_and_makes_none_idle() {
        let top = work_tree::top();
        let table = Table::read(top).unwrap();
        let probes = Probe::all(&top.join("module")).unwrap();
        assert_eq!(table.disagreements(&probes, &Table::default()), Vec::<String>::new());
        let all: Vec<_> = table.answers().collect();
        assert_eq!(super::super::lint::idle(&probes, &all, &top.join("module")).unwrap(), Vec::<String>::new());
    }
}
