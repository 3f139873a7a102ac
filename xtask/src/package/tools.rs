// SPDX-License-Identifier: GPL-2.0-only
//! cargo-deb and cargo-generate-rpm, in the versions that the packages are made with, built once into the store.

use crate::error::{AtPath, Error, Result};
use crate::store::{Store, remove};
use std::path::{Path, PathBuf};
use std::process::Command;

/// A program of crates.io.
struct Crate {
    name: &'static str,
    version: &'static str,
    /// Arguments of `cargo install` beside name and version.
    arguments: &'static [&'static str],
    /// The crates below it that are compiled with optimisation.
    optimised: &'static [&'static str],
}

/// Without its own liblzma: it runs the system's xz.
const CARGO_DEB: Crate =
    Crate { name: "cargo-deb", version: "3.8.0", arguments: &["--no-default-features"], optimised: &[] };
/// Nearly all of its time goes into compressing the payload and its digests.
const CARGO_GENERATE_RPM: Crate =
    Crate { name: "cargo-generate-rpm", version: "0.21.1", arguments: &[], optimised: &["keccak", "sha2", "zstd-sys"] };

/// They pack a few files each: how long they take to compile matters more than how fast they are,
/// but for the crates that are named as optimised.
const PROFILE: [(&str, &str); 4] = [
    ("CARGO_PROFILE_RELEASE_OPT_LEVEL", "0"),
    ("CARGO_PROFILE_RELEASE_LTO", "off"),
    ("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16"),
    ("CARGO_PROFILE_RELEASE_DEBUG", "0"),
];

/// Where the programs are.
#[derive(Debug, Clone)]
pub struct Tools {
    /// cargo-deb.
    pub cargo_deb: PathBuf,
    /// cargo-generate-rpm.
    pub cargo_generate_rpm: PathBuf,
}

impl Tools {
    /// The programs, built where the store has none; `stage` is told when one is.
    pub fn get(store: &Store, offline: bool, stage: &dyn Fn(&str)) -> Result<Tools> {
        let get = |program: &Crate| program.get(store, offline, stage);
        Ok(Tools { cargo_deb: get(&CARGO_DEB)?, cargo_generate_rpm: get(&CARGO_GENERATE_RPM)? })
    }

    /// Changes whenever one of the programs does.
    pub fn key() -> String {
        format!("{} {} {} {}", CARGO_DEB.name, CARGO_DEB.version, CARGO_GENERATE_RPM.name, CARGO_GENERATE_RPM.version)
    }
}

impl Crate {
    fn get(&self, store: &Store, offline: bool, stage: &dyn Fn(&str)) -> Result<PathBuf> {
        let id = format!("{}-{}", self.name, self.version);
        let entry = [&[id.as_str()], self.optimised].concat().join("-");
        let dir = store.entry("tools", &entry, |partial| {
            if offline {
                return Err(Error::infra(format!("{id} is not in the store, and --offline was given"))
                    .note("run the same command without --offline once"));
            }
            stage(&format!("cargo install {id}"));
            self.install(partial)
        })?;
        Ok(dir.join("bin").join(self.name))
    }

    fn install(&self, to: &Path) -> Result<()> {
        let target = to.with_extension("target");
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let output = Command::new(cargo)
            .args(["install", "--quiet", "--locked", "--no-track", "--version", self.version, self.name])
            .args(self.arguments)
            .args(self.optimised.iter().map(|name| format!("--config=profile.release.package.{name}.opt-level=2")))
            .arg("--root")
            .arg(to)
            .envs(PROFILE)
            .env("CARGO_TARGET_DIR", &target)
            .env_remove("RUSTFLAGS")
            .current_dir("/")
            .output()
            .at_path("cargo")?;
        remove(&target)?;
        if output.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&output.stderr).trim().to_string();
        Err(Error::infra(format!("cargo install {} {}: {said}", self.name, self.version))
            .note("crates.io must be reachable once; the result is kept in the store"))
    }
}
