// SPDX-License-Identifier: GPL-2.0-only
//! docs/guarantees.md names a proof for each promise, and each proof that it names is there.

use guest::protocol::SCENARIOS;
use std::fs;
use std::path::Path;

/// Where tests are that have a name.
const TESTS: [&str; 2] = ["module/tests", "ctl/tests"];

/// Fails with the first promise that has no proof, and the first proof that is not there.
fn check(tree: &Path) -> Result<(), String> {
    let document = read(&tree.join("docs/guarantees.md"))?;
    let tests = TESTS.map(|dir| tests_in(&tree.join(dir))).into_iter().collect::<Result<Vec<_>, _>>()?.concat();
    let rows: Vec<&str> = document.lines().filter(|line| line.starts_with("| ")).skip(1).collect();
    if let Some(row) = rows.iter().find(|row| proofs(row.rsplit(" | ").next().unwrap_or_default()).is_empty()) {
        return Err(format!("docs/guarantees.md: nothing proves {row:?}"));
    }
    let named = proofs(&document);
    match named.iter().find(|proof| !is_there(proof, &tests, tree)) {
        None => Ok(()),
        Some(proof) => Err(format!("docs/guarantees.md: there is no {proof:?}")),
    }
}

/// What proves something.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Proof<'a> {
    Test(&'a str),
    Scenario(&'a str),
    Stage(&'a str),
    Command(&'a str),
}

/// The proofs that a text names, each between backquotes.
fn proofs(text: &str) -> Vec<Proof<'_>> {
    let parts: Vec<&str> = text.split('`').collect();
    let mut scenarios = false;
    let mut found = Vec::new();
    for pair in parts.chunks(2).filter(|pair| pair.len() == 2) {
        let (before, quoted) = (pair[0], pair[1]);
        let goes_on = [" and ", ", "].contains(&before);
        scenarios = before.ends_with("VM scenario ") || before.ends_with("VM scenarios ") || (scenarios && goes_on);
        found.extend(match quoted.split(' ').collect::<Vec<_>>()[..] {
            [name] if scenarios => Some(Proof::Scenario(name)),
            ["cargo", "xtask", "test", "--only", stage] => Some(Proof::Stage(stage)),
            ["cargo", "xtask", "vm", command, ..] => Some(Proof::Command(command)),
            [name] if is_test_name(name) => Some(Proof::Test(name)),
            _ => None,
        });
    }
    found
}

/// A sentence, not the name of a thing.
fn is_test_name(name: &str) -> bool {
    name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_') && name.matches('_').count() >= 3
}

fn is_there(proof: &Proof<'_>, tests: &[String], tree: &Path) -> bool {
    match *proof {
        Proof::Test(name) => tests.iter().any(|test| test == name),
        Proof::Scenario(name) => SCENARIOS.iter().any(|scenario| scenario.name == name),
        Proof::Stage(name) => tree.join(format!("xtask/src/test/{name}.rs")).exists(),
        Proof::Command(name) => tree.join(format!("xtask/src/vm/{name}/command.rs")).exists(),
    }
}

/// Names of the functions under `#[test]`, or what else comes before them, in the files of a directory.
fn tests_in(dir: &Path) -> Result<Vec<String>, String> {
    let mut names = Vec::new();
    for entry in fs::read_dir(dir).map_err(|error| format!("{}: {error}", dir.display()))?.flatten() {
        let path = entry.path();
        if path.extension().is_some_and(|extension| extension == "rs") {
            let text = read(&path)?;
            let after = text.split("#[test]").skip(1);
            names.extend(after.filter_map(|text| Some(text.split_once("fn ")?.1.split_once('(')?.0.to_string())));
        }
    }
    Ok(names)
}

fn read(path: &Path) -> Result<String, String> {
    fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))
}

#[test]
fn proofs_are_found_by_what_they_are_called() {
    let text = "`module/tests/keep.rs`: `a_disk_that_goes_on`; the VM scenarios `keep` and `replug`; \
                [`cargo xtask vm powercut --write-intent`](x), `cargo xtask test --only utils`, `attr set`, `a_b`";
    let expected = [
        Proof::Test("a_disk_that_goes_on"),
        Proof::Scenario("keep"),
        Proof::Scenario("replug"),
        Proof::Command("powercut"),
        Proof::Stage("utils"),
    ];
    assert_eq!(proofs(text), expected);
}

#[test]
fn what_is_promised_is_proven() {
    let checked = check(&Path::new(env!("CARGO_MANIFEST_DIR")).join(".."));
    assert_eq!(checked, Ok(()));
}
