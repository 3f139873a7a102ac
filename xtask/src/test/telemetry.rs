// SPDX-License-Identifier: GPL-2.0-only
//! A module with telemetry on a real kernel, and that one without has none of its code.

use super::Context;
use crate::build::Farm;
use crate::core_object::Telemetry;
use crate::error::{AtPath, Error, Result};
use crate::lock::LockedKernel;
use crate::module_source::ModuleSource;
use crate::vm;
use std::fs;
use std::path::Path;

/// The scenario that reads the records; without telemetry it is run with all others.
const SCENARIO: &str = "telemetry";
/// In a module that can write records.
const CODE: &[u8] = b"involflt_telemetry_completed";

/// Builds and boots the module with telemetry for `kernel`; `without` is its module without.
pub fn boot(context: &Context<'_>, kernel: &LockedKernel, without: &Path, programs: &vm::Programs) -> Result<String> {
    let out_dir = context.tree.join("dist/vm/telemetry");
    fs::create_dir_all(&out_dir).at_path(&out_dir)?;
    let source = ModuleSource::read(&context.tree.join("module"))?;
    let farm = Farm::new(context.store, &source, context.matrix.offline).with(Telemetry::Yes);
    let built = farm.build(kernel, &out_dir.join("build.log"), &|_| ())?;
    for (module, wanted) in [(built.module.as_path(), true), (without, false)] {
        if has_code(module)? != wanted {
            let what = if wanted { "lacks" } else { "has" };
            return Err(Error::kernel(format!("the module {what} the code of telemetry")).at(module.display()));
        }
    }
    let request = vm::Request {
        kernel,
        store: context.store,
        offline: context.matrix.offline,
        module: &built.module,
        programs,
        out_dir: &out_dir,
        scenarios: &[SCENARIO.to_string()],
    };
    let outcome = vm::run(&request, context.listener)?;
    if let Some(error) = outcome.error() {
        return Err(Error::kernel(error).at(outcome.log.display()));
    }
    let scenario = outcome.scenarios.iter().find(|scenario| scenario.name == SCENARIO);
    // The scenario passes on a module without telemetry too; then it has counted no records.
    let said = scenario.map(|scenario| scenario.detail.clone()).unwrap_or_default();
    match said.ends_with(" records") {
        true => Ok(said),
        false => Err(Error::kernel(format!("no records: {said}")).at(outcome.log.display())),
    }
}

fn has_code(module: &Path) -> Result<bool> {
    let bytes = fs::read(module).at_path(module)?;
    Ok(bytes.windows(CODE.len()).any(|window| window == CODE))
}
