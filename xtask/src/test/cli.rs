// SPDX-License-Identifier: GPL-2.0-only
//! The commands as a user meets them: exit codes, and errors that name the place and the next step.

use super::{Context, Tally};
use std::path::Path;
use std::process::Command;

/// What a command must do.
struct Expected<'a> {
    arguments: &'a [&'a str],
    code: i32,
    says: &'a [&'a str],
}

/// Runs the stage.
pub fn run(context: &Context<'_>, tally: &mut Tally) {
    let scratch = context.store.root().join("test-cli");
    if let Err(error) = std::fs::create_dir_all(&scratch) {
        return tally.check("commands", Err(format!("{}: {error}", scratch.display())), "cargo xtask test");
    }
    bad_yaml(context, tally, &scratch);
    empty_selection(context, tally);
    missing_tool(context, tally, &scratch);
}

fn bad_yaml(context: &Context<'_>, tally: &mut Tally, scratch: &Path) {
    let file = scratch.join("bad.yaml");
    let name = file.to_string_lossy().into_owned();
    let written = std::fs::write(&file, "groups:\n  default:\n    - distro: debian\n      flavors: [amd64]\n");
    let outcome = written.map_err(|error| format!("{name}: {error}")).and_then(|()| {
        let arguments = ["matrix", "--kernels", &name, "--locked"];
        expect(
            context,
            &Expected { arguments: &arguments, code: 2, says: &["bad.yaml:4", "flavors", "flavours"] },
            None,
        )
    });
    tally.check("an unknown key in kernels.yaml", outcome, &format!("cargo xtask matrix --locked --kernels {name}"));
}

fn empty_selection(context: &Context<'_>, tally: &mut Tally) {
    let arguments = ["matrix", "--locked", "--select", "2.4.*"];
    let outcome = expect(context, &Expected { arguments: &arguments, code: 2, says: &["2.4.*"] }, None);
    tally.check("an empty selection", outcome, "cargo xtask matrix --locked --select '2.4.*'");
}

/// With an empty PATH every tool is missing.
fn missing_tool(context: &Context<'_>, tally: &mut Tally, scratch: &Path) {
    let arguments = ["build-matrix", "--locked", "--no-boot"];
    let expected = Expected { arguments: &arguments, code: 69, says: &["cargo xtask build-matrix --setup"] };
    let outcome = expect(context, &expected, Some(scratch));
    tally.check("a missing tool", outcome, "PATH= cargo xtask build-matrix --locked --no-boot");
}

/// Runs this very program with arguments, and compares.
fn expect(context: &Context<'_>, expected: &Expected<'_>, path: Option<&Path>) -> Result<String, String> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let mut command = Command::new(program);
    command.args(expected.arguments).current_dir(context.tree);
    if let Some(path) = path {
        command.env("PATH", path);
    }
    let output = command.output().map_err(|error| error.to_string())?;
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    if output.status.code() != Some(expected.code) {
        return Err(format!("exit code {:?}, expected {}: {}", output.status.code(), expected.code, said.trim()));
    }
    match expected.says.iter().find(|word| !said.contains(*word)) {
        None => Ok(format!("exit code {}, and says what to do", expected.code)),
        Some(word) => Err(format!("the error does not say `{word}`: {}", said.trim())),
    }
}
