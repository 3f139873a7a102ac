// SPDX-License-Identifier: GPL-2.0-only
//! From the module as it was built to the one that is packed: debug information stripped, then signed.

use crate::build::{Built, Farm};
use crate::error::{AtPath, Error, Result};
use crate::sign::{ModuleKey, join, verify_module};
use crate::store::{key, remove, sha256_file};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The signed module, made where the store has none. Stripping comes first: it would cut a signature off.
pub fn signed(farm: &Farm<'_>, built: &Built, module_key: &ModuleKey) -> Result<PathBuf> {
    let hash = hash(&built.kdir.host)?;
    let id = key([sha256_file(&built.module)?.as_str(), &module_key.id(), &hash]);
    let dir = farm.store.entry("signed-modules", &id, |partial| {
        let work = partial.with_extension("work");
        remove(&work)?;
        fs::create_dir_all(&work).at_path(&work)?;
        let made = sign(&built.module, module_key, &hash, &work);
        made.and_then(|()| {
            fs::create_dir_all(partial).at_path(partial)?;
            fs::copy(work.join("signed"), partial.join("involflt.ko")).map(drop).at_path(&work)
        })?;
        remove(&work)
    })?;
    Ok(dir.join("involflt.ko"))
}

fn sign(built: &Path, module_key: &ModuleKey, hash: &str, work: &Path) -> Result<()> {
    let [module, signature, signed] = ["module", "signature", "signed"].map(|name| work.join(name));
    strip(built, &module)?;
    module_key.pkcs7(hash, &module, &signature)?;
    let joined = join(&fs::read(&module).at_path(&module)?, &fs::read(&signature).at_path(&signature)?);
    fs::write(&signed, joined).at_path(&signed)?;
    verify_module(&signed, module_key.certificate(), work)
}

/// What Kbuild's `INSTALL_MOD_STRIP=1` does.
fn strip(module: &Path, to: &Path) -> Result<()> {
    let output = Command::new("strip").arg("--strip-debug").arg("-o").arg(to).arg(module).output().at_path("strip")?;
    if output.status.success() {
        return Ok(());
    }
    Err(Error::infra(format!("strip {}: {}", module.display(), String::from_utf8_lossy(&output.stderr).trim())))
}

/// The hash that the kernel's own modules are signed with.
fn hash(kdir: &Path) -> Result<String> {
    let path = kdir.join(".config");
    let config = fs::read_to_string(&path).at_path(&path)?;
    let value = config.lines().find_map(|line| line.strip_prefix("CONFIG_MODULE_SIG_HASH="));
    // A kernel that knows no signatures ignores one; sha256 is what every other one knows.
    Ok(value.map_or("sha256", |value| value.trim_matches('"')).to_string())
}
