// SPDX-License-Identifier: GPL-2.0-only
//! The source itself: format, lints, shell scripts, licences, unit tests.

use super::{Context, Tally};
use std::process::{Command, Output};

/// Files that need a licence line, by their ending.
const CODE: &[&str] = &[".rs", ".c", ".h", ".mak", ".sh", "Kbuild", "Makefile"];

/// Runs the stage.
pub fn run(context: &Context<'_>, tally: &mut Tally) {
    cargo(context, tally, "format", &["fmt", "--all", "--check"]);
    cargo(context, tally, "clippy", &["clippy", "--workspace", "--all-targets", "--quiet", "--", "-D", "warnings"]);
    tally.check("shell scripts", shell_scripts(context), "shellcheck FILE");
    tally.check("licence lines", licence_lines(context), "git grep -L SPDX-License-Identifier");
    unit_tests(context, tally);
}

fn cargo(context: &Context<'_>, tally: &mut Tally, name: &str, arguments: &[&str]) {
    let again = format!("cargo {}", arguments.join(" "));
    tally.check(name, output(context, arguments).and_then(clean), &again);
}

/// Runs cargo in the work tree, with the cargo that runs this.
fn output(context: &Context<'_>, arguments: &[&str]) -> Result<Output, String> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    Command::new(cargo).args(arguments).current_dir(context.tree).output().map_err(|error| format!("cargo: {error}"))
}

fn clean(output: Output) -> Result<String, String> {
    if output.status.success() {
        return Ok("clean".to_string());
    }
    let said = [output.stdout, output.stderr].concat();
    Err(String::from_utf8_lossy(&said).lines().take(40).collect::<Vec<_>>().join("\n         "))
}

/// The files that git knows.
fn listed(context: &Context<'_>) -> Result<Vec<String>, String> {
    let listed = Command::new("git").args(["ls-files"]).current_dir(context.tree).output();
    let listed = listed.map_err(|error| format!("git: {error}"))?;
    Ok(String::from_utf8_lossy(&listed.stdout).lines().map(str::to_string).collect())
}

/// shellcheck on every file that a shell is to run; what is rendered first, the packages' stage looks at. Costs a second.
fn shell_scripts(context: &Context<'_>) -> Result<String, String> {
    let mut listed = listed(context)?;
    listed.retain(|name| {
        !name.ends_with(".j2") && is_script(&std::fs::read(context.tree.join(name)).unwrap_or_default())
    });
    let output = Command::new("shellcheck").args(&listed).current_dir(context.tree).output();
    clean(output.map_err(|error| format!("shellcheck: {error}"))?).map(|_| format!("{} files", listed.len()))
}

/// `#!/bin/sh`, `#!/bin/bash` and `#!/usr/bin/env bash`, with or without arguments.
pub fn is_script(text: &[u8]) -> bool {
    let first = text.split(|&byte| byte == b'\n').next().unwrap_or_default();
    let first = String::from_utf8_lossy(first);
    let Some(program) = first.strip_prefix("#!") else { return false };
    program.split([' ', '/']).any(|word| matches!(word, "sh" | "bash" | "dash"))
}

fn licence_lines(context: &Context<'_>) -> Result<String, String> {
    let listed = listed(context)?;
    let code: Vec<_> = listed.iter().filter(|name| CODE.iter().any(|ending| name.ends_with(ending))).collect();
    let has_line = |name: &&&String| {
        let text = std::fs::read_to_string(context.tree.join(name)).unwrap_or_default();
        text.lines().take(2).any(|line| line.contains("SPDX-License-Identifier: GPL-2.0-only"))
    };
    match code.iter().find(|name| !has_line(name)) {
        _ if code.is_empty() => Err("git lists no source file".to_string()),
        None => Ok(format!("{} files", code.len())),
        Some(name) => Err(format!("{name}: no SPDX-License-Identifier in its first two lines")),
    }
}

fn unit_tests(context: &Context<'_>, tally: &mut Tally) {
    let arguments = ["test", "--workspace", "--no-fail-fast"];
    let again = "cargo test --workspace";
    let output = match output(context, &arguments) {
        Ok(output) => output,
        Err(error) => return tally.check("unit tests", Err(error), again),
    };
    let text = String::from_utf8_lossy(&output.stdout);
    let (passed, failed, skipped) = counts(&text);
    for line in text.lines().filter(|line| line.starts_with("test ") && line.ends_with("FAILED")) {
        println!("FAILED   {line}\n         again: {again}");
    }
    println!("unit tests: {passed} passed, {failed} failed, {skipped} skipped");
    tally.add_counts(passed, failed, skipped);
    if !output.status.success() && failed == 0 {
        let said = String::from_utf8_lossy(&output.stderr);
        tally.check("unit tests", Err(said.lines().rev().take(20).collect::<Vec<_>>().join("\n")), again);
    }
}

/// Sums of libtest's `test result: ok. 5 passed; 0 failed; 1 ignored; …` lines.
fn counts(text: &str) -> (u64, u64, u64) {
    let mut sums = (0, 0, 0);
    for line in text.lines().filter(|line| line.starts_with("test result:")) {
        let number = |word: &str| -> u64 {
            let before = line.split(word).next().unwrap_or_default();
            before.rsplit([' ', ';', '.']).find(|part| !part.is_empty()).and_then(|part| part.parse().ok()).unwrap_or(0)
        };
        sums = (sums.0 + number(" passed"), sums.1 + number(" failed"), sums.2 + number(" ignored"));
    }
    sums
}

#[cfg(test)]
mod tests {
    use super::{counts, is_script};

    #[test]
    fn a_script_is_known_by_its_first_line() {
        for script in ["#!/bin/sh\n", "#!/bin/bash -e\necho", "#!/usr/bin/env bash\n", "#! /bin/dash"] {
            assert!(is_script(script.as_bytes()), "{script}");
        }
        for other in ["", "echo\n#!/bin/sh", "#!/usr/bin/python3\n", "#!/usr/share/shell-tools/x\n"] {
            assert!(!is_script(other.as_bytes()), "{other}");
        }
    }

    #[test]
    fn every_result_line_counts() {
        let text = "test a ... ok\ntest result: ok. 5 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out\n\
                    noise\ntest result: FAILED. 2 passed; 3 failed; 0 ignored; 0 measured; 0 filtered out\n";
        assert_eq!(counts(text), (7, 3, 1));
    }
}
