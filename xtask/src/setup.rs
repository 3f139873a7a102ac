// SPDX-License-Identifier: GPL-2.0-only
//! The tools of the machine that the farm runs on: what is wanted, what is missing, and how it is mended.

mod apt;
mod tools;

pub use tools::Need;

use crate::error::{Error, Result};
use crate::event::{Event, Listener};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tools::Tool;

/// Where programs are besides `PATH`: an ordinary user's `PATH` lacks the last two.
const MORE_PATH: [&str; 3] = ["/usr/local/sbin", "/usr/sbin", "/sbin"];

/// Sees to it that every tool of `need` is there.
///
/// A missing tool is an infrastructure error (exit code 69) whose note is the one command that mends it; with `install`
/// it is installed with apt instead, and each package and its reason are told to `listener` first.
pub fn require(need: Need, install: bool, listener: &dyn Listener) -> Result<()> {
    let path = search_path();
    let missing = missing(need, &path, &docker_answers);
    if missing.is_empty() {
        return Ok(());
    }
    if !install {
        return Err(refusal(&missing, need));
    }
    for tool in &missing {
        note(listener, format!("installs {}: {}", tool.package, tool.why));
    }
    apt::install(&packages(&missing), &|text| note(listener, text))?;
    let left = self::missing(need, &path, &docker_answers);
    match left.is_empty() {
        true => Ok(()),
        false => Err(Error::infra(format!("apt-get installed its packages, and yet {} not there", list(&left)))
            .note("see whether a diversion or a local package hides them")),
    }
}

fn note(listener: &dyn Listener, text: String) {
    listener.event(Event::Note { subject: "setup".into(), text });
}

fn search_path() -> Vec<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).chain(MORE_PATH.map(PathBuf::from)).collect()
}

/// `docker` is asked at most once, and only when something is missing that docker could stand in for.
fn missing(need: Need, path: &[PathBuf], docker: &dyn Fn() -> bool) -> Vec<&'static Tool> {
    let mut absent: Vec<_> = tools::of(need).filter(|tool| !is_there(tool.name, path)).collect();
    if absent.iter().any(|tool| tool.or_docker) && docker() {
        absent.retain(|tool| !tool.or_docker);
    }
    absent
}

/// A docker client alone is no engine: many machines have one without a daemon.
fn docker_answers() -> bool {
    let quiet = |command: &mut Command| command.stdout(Stdio::null()).stderr(Stdio::null()).status();
    quiet(Command::new("timeout").args(["10", "docker", "version"])).is_ok_and(|status| status.success())
}

/// A name is looked for in `path`; an absolute name (a library's or a keyring's file) is itself.
fn is_there(name: &str, path: &[PathBuf]) -> bool {
    if name.starts_with('/') {
        return Path::new(name).exists();
    }
    path.iter().any(|dir| dir.join(name).is_file())
}

fn packages(missing: &[&Tool]) -> Vec<&'static str> {
    let mut packages: Vec<_> = missing.iter().map(|tool| tool.package).collect();
    packages.sort_unstable();
    packages.dedup();
    packages
}

fn list(missing: &[&Tool]) -> String {
    let names: Vec<_> = missing.iter().map(|tool| tool.name).collect();
    format!("{} {}", names.join(", "), if names.len() == 1 { "is" } else { "are" })
}

fn refusal(missing: &[&Tool], need: Need) -> Error {
    let first = Error::infra(format!("{} missing", list(missing))).note(format!("run `{} --setup`", need.command()));
    missing.iter().fold(first, |error, tool| error.note(format!("package {}: {}", tool.package, tool.why)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_machine_is_told_the_one_command_that_mends_it() {
        let missing = missing(Need::BuildMatrix, &[], &|| false);
        let error = refusal(&missing, Need::BuildMatrix);
        assert_eq!(error.kind.exit_code(), 69);
        assert!(error.message.contains("podman, runc"), "{error}");
        assert_eq!(error.notes[0], "run `cargo xtask build-matrix --setup`");
        assert!(error.notes.iter().any(|note| note.starts_with("package qemu-system-x86: ")), "{error}");
    }

    #[test]
    fn a_docker_that_answers_is_an_engine_and_a_silent_one_is_not() {
        let wants_podman =
            |docker: bool| missing(Need::BuildMatrix, &[], &|| docker).iter().any(|tool| tool.package == "podman");
        assert!(wants_podman(false));
        assert!(!wants_podman(true));
    }

    #[test]
    fn a_program_that_is_there_is_not_installed_again() {
        let dir = std::env::temp_dir().join(format!("involflt-setup-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        std::fs::write(dir.join("mmdebstrap"), "").unwrap();
        let missing = missing(Need::BuildMatrix, std::slice::from_ref(&dir), &|| false);
        std::fs::remove_dir_all(&dir).unwrap();
        assert!(!missing.iter().any(|tool| tool.package == "mmdebstrap"));
        assert!(missing.iter().any(|tool| tool.package == "podman"));
    }

    #[test]
    fn a_test_needs_what_a_build_needs_and_more() {
        let build = packages(&tools::of(Need::BuildMatrix).collect::<Vec<_>>());
        let test = packages(&tools::of(Need::Test).collect::<Vec<_>>());
        assert!(build.iter().all(|package| test.contains(package)));
        assert!(test.contains(&"chromium") && !build.contains(&"chromium"));
    }
}
