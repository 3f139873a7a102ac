// SPDX-License-Identifier: GPL-2.0-only
//! Whole Debian machines: a root of each release with one of its kernels, installed by apt.

use super::{Context, Tally};
use crate::error::{AtPath, Error, Result};
use crate::lock::LockedKernel;
use crate::machine::{Boot, Machine, Said, Spec};
use crate::resolve::{self, MatrixArgs};
use std::fs;

/// Releases whose administrators are promised packages. Older ones get modules only.
const RELEASES: [&str; 3] = ["bookworm", "trixie", "sid"];

/// `running`, or the units that failed.
const RUNNING: &str = "systemctl is-system-running --wait || { systemctl list-units --failed --plain; false; }";

/// Runs the stage.
pub fn run(context: &Context<'_>, tally: &mut Tally) {
    let again = "cargo xtask test --only machines";
    let locked = MatrixArgs { locked: context.matrix.select.is_empty(), ..context.matrix.clone() };
    let kernels = match resolve::matrix(&locked, context.store, context.listener) {
        Ok(kernels) => kernels,
        Err(error) => return tally.check("the kernel matrix", Err(error.to_string()), again),
    };
    for release in RELEASES {
        // The release's own kernel comes after that of its backports.
        if let Some(kernel) = kernels.iter().rfind(|kernel| kernel.release == release && kernel.flavour == "amd64") {
            let outcome = machine(context, &kernels, kernel).map_err(|error| error.to_string());
            tally.check(&format!("machine {release}"), outcome, again);
        }
    }
}

/// A root with its kernel, which apt's own hooks have made an initramfs for, up with systemd.
fn machine(context: &Context<'_>, kernels: &[LockedKernel], kernel: &LockedKernel) -> Result<String> {
    let image = format!("linux-image-{}", kernel.kernel);
    let root =
        Spec::of(&kernel.release, kernels)?.with([image.as_str()]).root(context.store, context.matrix.offline)?;
    let out = context.tree.join("dist/machines");
    fs::create_dir_all(&out).at_path(&out)?;
    let booted = Machine::of(&root, context.store)?.boot(&Boot {
        kernel: &kernel.kernel,
        arguments: "module.sig_enforce=1",
        commands: &[RUNNING, "uname -r"],
        log: &out.join(format!("{}.log", kernel.release)),
    })?;
    if let Some(complaint) = booted.complaint {
        return Err(Error::kernel(complaint));
    }
    let said = booted.results.into_iter().map(Said::ok).collect::<Result<Vec<_>>>()?;
    Ok(format!("{} is {} after {} s", said[1].trim(), said[0].trim(), booted.millis / 1000))
}
