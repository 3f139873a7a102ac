// SPDX-License-Identifier: GPL-2.0-only
//! The driver's own code under loom, and under a fuzzer with AddressSanitizer; the tests of involfltctl, which has the
//! `unsafe` that a host can run, under valgrind. About a minute and a half, two thirds of it compiling.

use super::{Context, Tally};
use crate::error::{AtPath, Error, Result};
use serde_json::Value;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

/// Inputs that the fuzzer tries; the same ones each time, since its seed is given.
const RUNS: u32 = 100_000;
/// What cargo-fuzz gives rustc, too.
const FUZZING: &str = "--cfg fuzzing -Zsanitizer=address -Cpasses=sancov-module \
    -Cllvm-args=-sanitizer-coverage-level=4 -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
    -Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares \
    -Ccodegen-units=1 -Cdebug-assertions";
/// With a target that is named, build scripts do not get the flags.
const TARGET: &str = "x86_64-unknown-linux-gnu";
const FUZZERS: [&str; 2] = ["fuzz-ioctl", "fuzz-stream"];

/// Runs the stage.
pub fn run(context: &Context<'_>, tally: &mut Tally) {
    let again = context.again("proof");
    let proof = Proof { context };
    tally.check("loom", proof.loom().map_err(|error| error.to_string()), &again);
    for name in FUZZERS {
        tally.check(name, proof.fuzz(name).map_err(|error| error.to_string()), &again);
    }
    tally.check("involfltctl under valgrind", proof.valgrind().map_err(|error| error.to_string()), &again);
}

struct Proof<'a> {
    context: &'a Context<'a>,
}

impl Proof<'_> {
    /// Every order of the threads of each model.
    fn loom(&self) -> Result<String> {
        let output = self.cargo("loom", "--cfg loom", &["test", "--package", "proof", "--lib"])?;
        let said = String::from_utf8_lossy(&output.stdout);
        let count = said.lines().filter(|line| line.starts_with("test ") && line.ends_with("... ok")).count();
        match count {
            0 => Err(Error::infra("no model was run")),
            count => Ok(format!("{count} models")),
        }
    }

    /// The fuzzer, built with the installed compiler: the flags are no stable ones.
    fn fuzz(&self, name: &str) -> Result<String> {
        self.cargo("fuzz", FUZZING, &["build", "--package", "proof", "--bin", name, "--target", TARGET])?;
        let program = self.target("fuzz").join(TARGET).join("debug").join(name);
        let found = self.target("found");
        fs::create_dir_all(&found).at_path(&found)?;
        let mut command = Command::new(&program);
        command.args([format!("-runs={RUNS}"), "-seed=1".into(), "-timeout=20".into(), "-print_final_stats=1".into()]);
        command.arg(format!("-artifact_prefix={}", found.join(format!("{name}-")).display()));
        let output = finished(&mut command)?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let covered = said.lines().rev().find_map(|line| line.split("cov: ").nth(1)?.split(' ').next());
        Ok(format!("{RUNS} inputs, {} edges", covered.unwrap_or("no")))
    }

    fn valgrind(&self) -> Result<String> {
        let arguments =
            ["test", "--package", "involfltctl", "--lib", "--test", "*", "--no-run", "--message-format=json"];
        let output = self.cargo("", "", &arguments)?;
        let programs = executables(&String::from_utf8_lossy(&output.stdout));
        for program in &programs {
            let mut command = Command::new("valgrind");
            // Everything takes forty times as long, and every case of a property is the same code.
            command.env("PROPTEST_CASES", "8").args(["--quiet", "--error-exitcode=99"]).arg(program);
            finished(&mut command)?;
        }
        match programs.len() {
            0 => Err(Error::infra("involfltctl has no tests")),
            count => Ok(format!("{count} test programs")),
        }
    }

    /// Cargo with flags for rustc and a target directory of its own, so that ordinary builds stay what they are.
    fn cargo(&self, dir: &str, flags: &str, arguments: &[&str]) -> Result<Output> {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut command = Command::new(cargo);
        command.args(arguments).current_dir(self.context.tree);
        if !flags.is_empty() {
            command.env("RUSTFLAGS", flags).env("CARGO_TARGET_DIR", self.target(dir)).env("RUSTC_BOOTSTRAP", "1");
        }
        finished(&mut command)
    }

    fn target(&self, dir: &str) -> PathBuf {
        self.context.tree.join("target/proof").join(dir)
    }
}

/// Runs a program to its good end; its last words are the error of any other.
fn finished(command: &mut Command) -> Result<Output> {
    let name = format!("{command:?}");
    let output = command.output().at_path(command.get_program())?;
    if output.status.success() {
        return Ok(output);
    }
    let said = [output.stdout, output.stderr].concat();
    let said = crate::vm::tail(&String::from_utf8_lossy(&said), 30);
    Err(Error::kernel(format!("{}: {said}", output.status)).note(name))
}

/// The test programs that cargo tells of; it also tells of the program that they run.
fn executables(messages: &str) -> Vec<PathBuf> {
    let messages = messages.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let messages = messages.filter(|message| message["profile"]["test"] == true);
    messages.filter_map(|message| Some(message.get("executable")?.as_str()?.into())).collect()
}
