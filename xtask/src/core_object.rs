// SPDX-License-Identifier: GPL-2.0-only
//! The one Rust object for all kernels without Rust: `core` and the driver, prelinked, its symbols localised.
//!
//! It depends on the architecture and the mitigation profile, and on no kernel.

use crate::build::Farm;
use crate::container::{Job, Mount};
use crate::error::{AtPath, Error, Result};
use crate::inputs::Inputs;
use crate::kdir::make_open_dir;
use crate::module_source::Part;
use crate::root::Root;
use crate::store::remove;
use std::fs;
use std::path::{Path, PathBuf};

/// What the object is called where it is made.
const NAME: &str = "involflt_core.o_shipped";

/// Whether a module records what becomes of tags: `docs/telemetry.md`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Telemetry {
    /// It is not compiled in.
    #[default]
    No,
    /// It is.
    Yes,
}

impl From<bool> for Telemetry {
    fn from(telemetry: bool) -> Self {
        if telemetry { Telemetry::Yes } else { Telemetry::No }
    }
}

impl Telemetry {
    /// As involflt.mak is told.
    pub fn word(self) -> &'static str {
        match self {
            Telemetry::No => "no",
            Telemetry::Yes => "yes",
        }
    }

    /// What the object with it, or without, is called in a module's build directory.
    pub fn object(self) -> &'static str {
        match self {
            Telemetry::No => NAME,
            Telemetry::Yes => "involflt_core_telemetry.o_shipped",
        }
    }
}

/// What the object may want of a kernel: string functions, thunks, and the glue. Anything else would be a link error
/// on one kernel or another, or worse, a symbol that only some of them export.
const ALLOWED: &[&str] = &["memcpy", "memmove", "memset", "memcmp", "bcmp", "__x86_return_thunk"];
const ALLOWED_PREFIXES: &[&str] = &["__x86_indirect_thunk_", "inv_"];

/// The object, made where the store has none.
pub fn get(farm: &Farm<'_>, telemetry: Telemetry, root: &Root, started: impl FnOnce()) -> Result<PathBuf> {
    let mut inputs = Inputs::of(farm.source.hashes(Part::Rust));
    inputs.add("telemetry", telemetry.word());
    inputs.add("the build root", &root.tool_chain);
    let dir = farm.store.shared_entry("core", &inputs.key(), |partial| {
        started();
        make(farm, telemetry, root, partial)
    })?;
    Ok(dir.join(NAME))
}

fn make(farm: &Farm<'_>, telemetry: Telemetry, root: &Root, to: &Path) -> Result<()> {
    let log = farm.store.kind("logs")?.join("core-object.log");
    remove(&log)?;
    let tree = to.join("source");
    let build = to.join("build");
    make_open_dir(&build)?;
    make_open_dir(&tree)?;
    farm.source.write(&tree)?;
    let job = Job {
        root: &root.path,
        mounts: vec![Mount::read_only(&tree, "/source"), Mount::writable(&build, "/build")],
        directory: "/build",
        command: ["env", &format!("TELEMETRY={}", telemetry.word()), "sh", "/source/core-object.sh", "/build"]
            .map(String::from)
            .to_vec(),
        log: &log,
    };
    if !farm.run(&job)? {
        return Err(Error::kernel(format!("the Rust object could not be made: {}", first_error(&log)))
            .note(format!("the log is {}", log.display())));
    }
    let undefined = fs::read_to_string(build.join("undefined")).at_path(&build)?;
    check_undefined(&undefined)?;
    fs::copy(build.join(NAME), to.join(NAME)).at_path(to)?;
    remove(&build)?;
    remove(&tree)
}

/// The first line of a log that names an error; the last line where none does.
pub fn first_error(log: &Path) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    let names_error = |line: &&str| {
        let line = line.to_ascii_lowercase();
        line.contains("error:") || line.contains("error[") || line.starts_with("make") && line.contains("error")
    };
    let line = text.lines().find(names_error).or(text.lines().last()).unwrap_or("no output");
    line.trim().to_string()
}

fn check_undefined(names: &str) -> Result<()> {
    let allowed =
        |name: &&str| ALLOWED.contains(name) || ALLOWED_PREFIXES.iter().any(|prefix| name.starts_with(prefix));
    let strange: Vec<&str> = names.lines().filter(|name| !allowed(name)).collect();
    if strange.is_empty() {
        return Ok(());
    }
    Err(Error::kernel(format!("the Rust object wants what not every kernel has: {}", strange.join(", ")))
        .note("128-bit arithmetic and floating point bring such names in; do without them in module/src"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_every_kernel_has_may_be_undefined() {
        assert!(check_undefined("memcpy\n__x86_indirect_thunk_r11\ninv_lock\n").is_ok());
        let error = check_undefined("memcpy\n__udivti3\n").unwrap_err();
        assert!(error.message.contains("__udivti3"));
    }

    #[test]
    fn the_first_error_of_a_log_is_its_cause() {
        let log = std::env::temp_dir().join(format!("involflt-first-error-{}", std::process::id()));
        fs::write(&log, "  CC x.o\nx.c:1: error: no\nmake: *** Error 2\n").unwrap();
        assert_eq!(first_error(&log), "x.c:1: error: no");
        remove(&log).unwrap();
    }
}
