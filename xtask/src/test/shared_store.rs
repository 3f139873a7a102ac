// SPDX-License-Identifier: GPL-2.0-only
//! A store that machines share in a real registry: what one machine has built, the next one takes; what was altered there
//! is refused and built. (In a directory: `store/shared.rs`.)

use super::{Context, registry};
use crate::report;
use crate::resolve;
use crate::result::Row;
use crate::tree;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

/// Builds one kernel three times, each time with a store that has no modules; in between, the registry's bytes are altered.
pub fn run(context: &Context<'_>, work: &Path) -> Result<String, String> {
    fs::create_dir_all(work).map_err(text)?;
    let registry = registry::start(work)?;
    registry::trust(&registry, &work.join("home/.config/containers/registries.conf"))?;
    let place = format!("oci://{}/farm/store", registry.address);
    let (first, _) = build(context, work, &place, "first")?;
    let (second, said) = build(context, work, &place, "second")?;
    if first.build_millis == 0 || second.build_millis != 0 || said.contains("shared store") {
        return Err(format!("built in {} ms, then in {} ms: {said}", first.build_millis, second.build_millis));
    }
    let altered = alter(&work.join("images"))?;
    let (third, said) = build(context, work, &place, "third")?;
    if third.build_millis == 0 || !said.contains("shared store") {
        return Err(format!("{altered} archives were altered, and nobody said so: {said}"));
    }
    match first.module_sha256.is_some() && [&second, &third].iter().all(|row| row.module_sha256 == first.module_sha256)
    {
        true => Ok("built by one, taken by the next, and built again when it was altered: the same module".into()),
        false => Err(format!("{first:?}, {second:?}, {third:?}")),
    }
}

/// Turns a bit round in each archive; how many there are.
fn alter(files: &Path) -> Result<usize, String> {
    let mut altered = 0;
    for file in tree::files(files).map_err(text)? {
        let mut bytes = fs::read(files.join(&file)).map_err(text)?;
        // RFC 8878, 3.1.1: Zstandard's magic number.
        if bytes.starts_with(&[0x28, 0xB5, 0x2F, 0xFD]) {
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
            fs::write(files.join(&file), bytes).map_err(text)?;
            altered += 1;
        }
    }
    if altered == 0 { Err("there is no archive".into()) } else { Ok(altered) }
}

/// Builds the first kernel with a store that has all but modules; its row, and what was said.
fn build(context: &Context<'_>, work: &Path, place: &str, name: &str) -> Result<(Row, String), String> {
    let (store, dist) = (work.join(format!("store-{name}")), work.join(format!("dist-{name}")));
    super::executors::store_without_modules(context.store.root(), &store)?;
    let kernels = context.kernels().map_err(text)?;
    resolve::record(&kernels[..1], work).map_err(text)?;
    let mut command = Command::new(std::env::current_exe().map_err(text)?);
    command.args(["build-matrix", "--no-boot", "--no-packages", "--format=plain", "--locked", "--offline"]);
    command.args(["--shared-store", place, "--lock"]).arg(work.join("kernels.lock"));
    command.arg("--store").arg(&store).arg("--dist").arg(&dist).current_dir(context.tree);
    let output = command.env("HOME", work.join("home")).output().map_err(text)?;
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    if !output.status.success() {
        return Err(said);
    }
    let matrix: PathBuf = dist.join(report::MATRIX);
    let row = report::read(&matrix).map_err(text)?.rows.into_iter().next();
    row.map(|row| (row, said)).ok_or_else(|| format!("{}: no row", matrix.display()))
}
