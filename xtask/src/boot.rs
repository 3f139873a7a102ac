// SPDX-License-Identifier: GPL-2.0-only
//! The boot of a built module, as `build-matrix` does it: once for the same module, kernel image and programs.

use crate::error::{AtPath, Error, Result};
use crate::event::Listener;
use crate::lock::{LockedKernel, Role};
use crate::result::DiskVerdict;
use crate::store::{Store, key, sha256_file};
use crate::vm;
use std::fs;
use std::path::Path;

/// What a boot found.
#[derive(Debug, Clone)]
pub struct Boot {
    /// One for each disk; no block was missed.
    pub disks: Vec<DiskVerdict>,
    /// Time of the VM run in milliseconds; 0 when the verdict came from the store.
    pub millis: u64,
}

/// What boots share.
pub struct Booter<'a> {
    /// The store, which keeps good verdicts and never bad ones.
    pub store: &'a Store,
    /// Whether the network is out of bounds.
    pub offline: bool,
    /// The programs of the VM.
    pub programs: &'a vm::Programs,
}

impl Booter<'_> {
    /// Boots the kernel with the module, or takes the verdict of an equal boot. `log` gets the console.
    ///
    /// Fails as that kernel's own failure with the first thing that was wrong.
    pub fn boot(&self, kernel: &LockedKernel, module: &Path, log: &Path, listener: &dyn Listener) -> Result<Boot> {
        let key = self.key(kernel, module)?;
        let mut millis = 0;
        let kept = self.store.shared_entry("boots", &key, |partial| {
            fs::create_dir_all(partial).at_path(partial)?;
            let outcome = self.run(kernel, module, partial, listener)?;
            fs::copy(&outcome.log, log).at_path(log)?;
            if let Some(error) = outcome.error() {
                return Err(Error::kernel(error).note(format!("the console is in {}", log.display())));
            }
            millis = outcome.millis;
            fs::rename(&outcome.log, partial.join("vm.log")).at_path(&outcome.log)?;
            let disks = serde_json::to_vec(&outcome.disks).map_err(|error| Error::infra(error.to_string()))?;
            fs::write(partial.join("disks.json"), disks).at_path(partial)
        })?;
        fs::copy(kept.join("vm.log"), log).at_path(log)?;
        let path = kept.join("disks.json");
        let disks = serde_json::from_slice(&fs::read(&path).at_path(&path)?)
            .map_err(|error| Error::infra(format!("{}: {error}", path.display())))?;
        Ok(Boot { disks, millis })
    }

    fn key(&self, kernel: &LockedKernel, module: &Path) -> Result<String> {
        let image = kernel.packages.iter().filter(|package| package.role == Role::Image);
        let files = [module].into_iter().chain(self.programs.paths().map(|path| path.as_path()));
        let hashes = files.map(sha256_file).collect::<Result<Vec<_>>>()?;
        Ok(key(hashes.iter().map(String::as_str).chain(image.map(|package| package.sha256.as_str()))))
    }

    fn run(&self, kernel: &LockedKernel, module: &Path, out: &Path, listener: &dyn Listener) -> Result<vm::VmOutcome> {
        let request = vm::Request {
            kernel,
            store: self.store,
            offline: self.offline,
            module,
            programs: self.programs,
            out_dir: out,
            scenarios: &[],
        };
        vm::run(&request, listener)
    }
}
