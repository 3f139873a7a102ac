// SPDX-License-Identifier: GPL-2.0-only
//! What is in a .deb or an .rpm.

use crate::error::{AtPath, Error, Result};
use crate::store::remove;
use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Stdio};

/// What a tool said: its output, or its complaint.
pub type Said = std::result::Result<Vec<u8>, String>;

/// Runs a tool to its end. Fails only where the tool is not there.
pub fn ask(command: &mut Command) -> Result<Said> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.env("LC_ALL", "C").output();
    let output = output.at_path(&program).map_err(|error| error.note("run `cargo xtask build-matrix --setup`"))?;
    if output.status.success() {
        return Ok(Ok(output.stdout));
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let lines: Vec<_> = said.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    Ok(Err(format!("{program}: {}", lines.join("; "))))
}

/// Puts a package's files below `to`, a directory that is made. What is no package is told in the inner result.
pub fn package(file: &Path, to: &Path) -> Result<std::result::Result<(), String>> {
    remove(to)?;
    fs::create_dir_all(to).at_path(to)?;
    if file.extension().is_some_and(|extension| extension == "deb") {
        return Ok(ask(Command::new("dpkg-deb").arg("--extract").arg(file).arg(to))?.map(drop));
    }
    let archive = to.with_extension("tgz");
    let input = File::open(file).at_path(file)?;
    let outcome = match ask(Command::new("rpm2archive").arg("-").stdin(input))? {
        Err(said) => Err(said),
        Ok(data) => {
            fs::write(&archive, data).at_path(&archive)?;
            ask(Command::new("tar").arg("-xzf").arg(&archive).arg("-C").arg(to))?.map(drop)
        }
    };
    remove(&archive)?;
    Ok(outcome)
}

/// A package's files below `to`; what is no package is an error of infrastructure.
pub fn own_package(file: &Path, to: &Path) -> Result<()> {
    package(file, to)?.map_err(|said| Error::infra(format!("{}: {said}", file.display())))
}

/// Adds an rpm's files to those below `to`, which is there.
pub fn rpm_into(file: &Path, to: &Path) -> Result<()> {
    let mut tar = Command::new("tar");
    tar.args(["--extract", "--no-same-owner", "--delay-directory-restore", "--directory"]).arg(to);
    rpm_tar(file, tar).map(drop)
}

/// One file of an rpm, by its absolute path, as text.
pub fn rpm_member(file: &Path, path: &str) -> Result<String> {
    let mut tar = Command::new("tar");
    tar.args(["--extract", "--to-stdout", "--occurrence=1"]).arg(format!(".{path}"));
    let data = rpm_tar(file, tar).map_err(|_| Error::kernel(format!("{}: has no {path}", file.display())))?;
    Ok(String::from_utf8_lossy(&data).into_owned())
}

/// Gives an rpm's payload to tar, which refuses to write outside of its directory; what tar wrote to its output.
fn rpm_tar(file: &Path, mut tar: Command) -> Result<Vec<u8>> {
    let input = File::open(file).at_path(file)?;
    let mut unpack = Command::new("rpm2archive")
        .args(["--nocompression", "-"])
        .stdin(input)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .at_path("rpm2archive")?;
    let archive = unpack.stdout.take().expect("is piped");
    let output = tar.env("LC_ALL", "C").stdin(archive).output().at_path("tar")?;
    // Our end of the pipe; with it open, rpm2archive would wait for ever for somebody to read on.
    drop(tar);
    // tar stops at a member that it was asked for, so rpm2archive may end with a broken pipe: tar says what came of it.
    unpack.wait().at_path("rpm2archive")?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    Err(Error::infra(format!("{}: {}", file.display(), String::from_utf8_lossy(&output.stderr).trim())))
}
