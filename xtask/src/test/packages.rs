// SPDX-License-Identifier: GPL-2.0-only
//! Packages: made twice with equal bytes, and looked at by the distributions' own checkers.

use super::source::is_script;
use super::{Context, Tally};
use crate::assemble::Assembler;
use crate::build::Farm;
use crate::error::Result;
use crate::module_source::ModuleSource;
use crate::package::{Package, Templates};
use crate::sign::{KeyOptions, Keys};
use crate::store::{Store, remove};
use std::path::Path;
use std::process::Command;

/// Runs the stage: every kernel's module is built, signed and packed, and all is packed once more from nothing.
pub fn run(context: &Context<'_>, tally: &mut Tally) {
    let scratch = std::env::temp_dir().join(format!("involflt-packages-{}", std::process::id()));
    let again = context.again("packages");
    match two_sets(context, &scratch) {
        Err(error) => tally.check("packages", Err(error.to_string()), &again),
        Ok((first, second)) => {
            tally.check("reproducible packages", equal(&first, &second), &again);
            clean(tally, &first, context.tree, &again);
            tally.check("shellcheck", scripts(&first, context.tree, &scratch), &again);
        }
    }
    let gone = remove(&scratch).map(|()| "nothing is left".to_string());
    tally.check("the packages' scratch store", gone.map_err(|error| error.to_string()), &again);
}

/// The packages of every kernel, from the store, and made anew in a store elsewhere.
fn two_sets(context: &Context<'_>, scratch: &Path) -> Result<(Vec<Package>, Vec<Package>)> {
    let kernels = context.kernels()?;
    let keys = Keys::open(&KeyOptions::default(), context.listener)?;
    let source = ModuleSource::read(&context.tree.join("module"))?;
    let farm = Farm::new(context.store, &source, context.matrix.offline);
    let assembler = Assembler { farm: &farm, keys: &keys, listener: context.listener };
    let log = context.store.kind("logs")?.join("test-packages.log");
    let built = kernels.iter().map(|kernel| Ok((kernel, farm.build(kernel, &log, &|_| ())?)));
    let modules = assembler.modules(&built.collect::<Result<Vec<_>>>()?)?;
    let elsewhere = Store::open(Some(scratch))?;
    Ok((assembler.packages(&modules, context.store)?, assembler.packages(&modules, &elsewhere)?))
}

/// Two sets of the same packages, made in two places, are the same bytes.
fn equal(first: &[Package], second: &[Package]) -> Result<String, String> {
    let differ = |(one, other): (&Package, &Package)| {
        let (a, b) = (std::fs::read(&one.file).ok()?, std::fs::read(&other.file).ok()?);
        (a != b).then(|| one.recipe.file_name())
    };
    match first.iter().zip(second).find_map(differ) {
        _ if first.len() != second.len() => Err(format!("{} packages, then {}", first.len(), second.len())),
        Some(name) => Err(format!("{name} differs between two builds")),
        None => Ok(format!("{} packages are equal bit for bit in two builds", first.len())),
    }
}

/// lintian and rpmlint have nothing to say.
fn clean(tally: &mut Tally, packages: &[Package], tree: &Path, again: &str) {
    let files = |deb: bool| packages.iter().filter(move |package| package.recipe.is_deb() == deb).map(|one| &one.file);
    let mut lintian = Command::new("lintian");
    lintian.args(["--allow-root", "--display-info", "--fail-on=error,warning,info", "--tag-display-limit=0"]);
    tally.check("lintian", said_nothing(lintian.args(files(true))), again);
    let mut rpmlint = Command::new("rpmlint");
    rpmlint.arg("--config").arg(tree.join("packaging/rpmlint.toml")).arg("--strict");
    tally.check("rpmlint", said_nothing(rpmlint.args(files(false))), again);
}

/// shellcheck has nothing to say of any script, as it is in the package.
fn scripts(packages: &[Package], tree: &Path, scratch: &Path) -> Result<String, String> {
    let templates = Templates::read(&tree.join("packaging")).map_err(|error| error.to_string())?;
    let mut files = Vec::new();
    for package in packages {
        let rendered = package.recipe.render(&templates).map_err(|error| error.to_string())?;
        for (name, text) in rendered.into_iter().filter(|(_, text)| is_script(text)) {
            let file = scratch.join(format!("{}-{}", package.recipe.file_name(), name.replace('/', "-")));
            std::fs::write(&file, text).map_err(|error| error.to_string())?;
            files.push(file);
        }
    }
    said_nothing(Command::new("shellcheck").args(&files)).map(|_| format!("{} scripts", files.len()))
}

fn said_nothing(command: &mut Command) -> Result<String, String> {
    let output = command.output().map_err(|error| format!("{:?}: {error}", command.get_program()))?;
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text).trim().to_string();
    if output.status.success() { Ok("no complaint".into()) } else { Err(text) }
}
