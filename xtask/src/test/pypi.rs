// SPDX-License-Identifier: GPL-2.0-only
//! Python libraries that tests check with.

use crate::error::{AtPath, Error, Result};
use crate::store::{Store, key};
use crate::unpack::ask;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

/// The libraries of a requirements file, of PyPI, put into the store once under `name`; for `PYTHONPATH`.
pub fn libraries(name: &str, requirements: &str, store: &Store, offline: bool) -> Result<PathBuf> {
    store.entry("tools", &format!("{name}-{}", key([requirements])), |partial| {
        if offline {
            return Err(Error::infra(format!("{name} is not in the store, and --offline was given"))
                .note("run the same command without --offline once"));
        }
        let list = partial.with_extension("txt");
        fs::write(&list, requirements).at_path(&list)?;
        let mut pip = Command::new("python3");
        pip.args(["-m", "pip", "install", "--quiet", "--no-input", "--disable-pip-version-check", "--no-compile"]);
        pip.args(["--root-user-action=ignore", "--only-binary=:all:", "--target"]).arg(partial);
        let said = ask(pip.arg("--requirement").arg(&list))?;
        fs::remove_file(&list).at_path(&list)?;
        said.map(drop).map_err(|said| {
            Error::infra(format!("pip: {said}")).note("PyPI must be reachable once; the result is kept in the store")
        })
    })
}
