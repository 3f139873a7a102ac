// SPDX-License-Identifier: GPL-2.0-only
//! A store that machines share in a real registry: what machines have built, some of it at once, the next one takes; what was
//! altered there is refused and built. (In a directory: `store/shared.rs`.)

use super::{Context, registry};
use crate::lock::LockedKernel;
use crate::parallel;
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

/// Farms at once build two kernels, two of them the same one, each with a store that has no modules; the next takes both. Then the
/// registry's bytes are altered, and one is built again.
pub fn run(context: &Context<'_>, work: &Path) -> Result<String, String> {
    fs::create_dir_all(work).map_err(text)?;
    let registry = registry::start(work)?;
    registry::trust(&registry, &work.join("home/.config/containers/registries.conf"))?;
    let place = format!("oci://{}/farm/store", registry.address);
    let kernels = context.kernels().map_err(text)?;
    let (one, both) = (&kernels[..1], &kernels[..kernels.len().min(2)]);
    let farms = [("first", one), ("beside", one), ("other", &both[1..])];
    let made = parallel::map(&farms, farms.len(), |(name, kernels)| build(kernels, context, work, &place, name));
    let mut rows = Vec::new();
    for farm in made {
        let (built, said) = farm?;
        if said.contains("shared store") {
            return Err(format!("writers at once: {said}"));
        }
        rows.extend(built);
    }
    let (taken, said) = build(both, context, work, &place, "second")?;
    if rows.iter().all(|row| row.build_millis == 0) || taken.iter().any(|row| row.build_millis != 0) {
        return Err(format!("{rows:?} were built, and {taken:?} taken: {said}"));
    }
    let altered = alter(&work.join("images"))?;
    let (again, said) = build(one, context, work, &place, "third")?;
    if again.iter().any(|row| row.build_millis == 0) || !said.contains("shared store") {
        return Err(format!("{altered} archives were altered, and nobody said so: {said}"));
    }
    rows.extend(again);
    let is_same = |row: &Row| taken.iter().any(|one| one.id == row.id && one.module_sha256 == row.module_sha256);
    match rows.iter().all(|row| row.module_sha256.is_some() && is_same(row)) {
        true => {
            Ok(format!("{} built by farms at once, taken by the next, built again when altered: the same", both.len()))
        }
        false => Err(format!("{rows:?}, {taken:?}")),
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

/// Builds the kernels with a store that has all but modules; their rows, and what was said.
fn build(
    kernels: &[LockedKernel],
    context: &Context<'_>,
    work: &Path,
    place: &str,
    name: &str,
) -> Result<(Vec<Row>, String), String> {
    let (store, dist) = (work.join(format!("store-{name}")), work.join(format!("dist-{name}")));
    super::executors::store_without_modules(context.store.root(), &store)?;
    resolve::record(kernels, &store).map_err(text)?;
    let mut command = Command::new(std::env::current_exe().map_err(text)?);
    command.args(["build-matrix", "--no-boot", "--no-packages", "--format=plain", "--locked", "--offline"]);
    command.args(["--shared-store", place, "--lock"]).arg(store.join("kernels.lock"));
    command.arg("--store").arg(&store).arg("--dist").arg(&dist).current_dir(context.tree);
    let output = command.env("HOME", work.join("home")).output().map_err(text)?;
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    if !output.status.success() {
        return Err(said);
    }
    let matrix: PathBuf = dist.join(report::MATRIX);
    Ok((report::read(&matrix).map_err(text)?.rows, said))
}
