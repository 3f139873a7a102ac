// SPDX-License-Identifier: GPL-2.0-only
//! A signed run that is watched: no passphrase and no secret key in any process's arguments or environment, in what is
//! said, in the logs, or in what is published.

use super::Context;
use crate::error::{AtPath, Error, Result};
use crate::store::remove;
use crate::{tree, unpack};
use std::fs;
use std::path::Path;
use std::process::Command;

/// Every program that is started, with all of its arguments and environment.
const STRACE: &str = "--follow-forks --seccomp-bpf --trace=execve --no-abbrev --string-limit=65536 --quiet=all";
/// What a secret key in PEM or in OpenPGP's armour begins with.
const SECRET_KEYS: [&str; 2] = ["PRIVATE KEY-----", "PGP PRIVATE KEY"];

/// Packs and signs the first kernel's packages with keys behind `secret`, and looks for it wherever it could be seen.
pub fn kept(context: &Context<'_>, keys: &[String], softhsm: &Path, secret: &str, work: &Path) -> Result<String> {
    let (trace, dist) = (work.join("trace"), work.join("dist"));
    let kernel = context.kernels()?.into_iter().next().ok_or_else(|| Error::input("no kernel is selected"))?;
    let program = std::env::current_exe().at_path("cargo xtask")?;
    let mut command = Command::new("strace");
    command.args(STRACE.split(' ')).arg("-o").arg(&trace).arg(program);
    command.args(["build-matrix", "--locked", "--no-boot", "--format", "plain", "--select"]);
    command.arg(format!("kernel={}", kernel.kernel)).arg("--dist").arg(&dist).args(keys);
    command.args(context.matrix.store.iter().flat_map(|store| ["--store".as_ref(), store.as_os_str()]));
    command.env("SOFTHSM2_CONF", softhsm).env("XDG_DATA_HOME", work);
    let output = command.output().at_path("strace")?;
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    if !output.status.success() {
        return Err(Error::kernel(format!("the signed run: {}", said.trim())));
    }
    if has_secret(said.as_bytes(), secret) {
        return Err(Error::kernel("a secret is in what was said"));
    }
    let seen = fs::read(&trace).at_path(&trace)?;
    let seen = String::from_utf8_lossy(&seen);
    // The control: the programs that have the keys were seen.
    for signer in ["openssl", "gpg"] {
        if !seen.lines().any(|line| line.contains("execve(") && line.contains(&format!("/{signer}\""))) {
            return Err(Error::infra(format!("{signer} was not seen by strace")));
        }
    }
    if let Some(line) = seen.lines().find(|line| has_secret(line.as_bytes(), secret)) {
        return Err(Error::kernel(format!("a secret is in a process's arguments or environment: {line}")));
    }
    let published = nowhere(&dist, secret, &work.join("unpacked"))?;
    nowhere(&context.store.kind("logs")?, secret, &work.join("unpacked"))?;
    remove(&dist)?;
    Ok(format!("{} programs, {published} files: no secret", seen.matches("execve(").count()))
}

/// No file below `dir`, and none in a package there, has it. The number of files.
fn nowhere(dir: &Path, secret: &str, work: &Path) -> Result<usize> {
    let files = tree::files(dir)?;
    let mut count = files.len();
    for file in &files {
        let path = dir.join(file);
        if has_secret(&fs::read(&path).at_path(&path)?, secret) {
            return Err(Error::kernel(format!("{}: there is a secret in it", path.display())));
        }
        if file.extension().is_some_and(|extension| extension == "deb" || extension == "rpm") {
            unpack::package(&path, work)?.map_err(Error::kernel)?;
            count += nowhere(work, secret, &work.with_extension("inner"))?;
        }
    }
    remove(work)?;
    Ok(count)
}

fn has_secret(bytes: &[u8], secret: &str) -> bool {
    let has = |needle: &str| bytes.windows(needle.len()).any(|window| window == needle.as_bytes());
    has(secret) || SECRET_KEYS.iter().any(|start| has(start))
}
