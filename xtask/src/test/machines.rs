// SPDX-License-Identifier: GPL-2.0-only
//! Whole Debian machines: a root of each release with one of its kernels, installed by apt.

use super::{Context, Tally};
use crate::error::Result;
use crate::lock::LockedKernel;
use crate::machine::Spec;
use crate::resolve::{self, MatrixArgs};

/// Releases whose administrators are promised packages. Older ones get modules only.
const RELEASES: [&str; 3] = ["bookworm", "trixie", "sid"];

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

/// A root with its kernel, which apt's own hooks have made an initramfs for.
fn machine(context: &Context<'_>, kernels: &[LockedKernel], kernel: &LockedKernel) -> Result<String> {
    let image = format!("linux-image-{}", kernel.kernel);
    let root =
        Spec::of(&kernel.release, kernels)?.with([image.as_str()]).root(context.store, context.matrix.offline)?;
    root.run(&format!(
        "cd /boot; test -s vmlinuz-{0}; lsinitramfs initrd.img-{0} | grep -q virtio_blk",
        kernel.kernel
    ))?
    .ok()?;
    Ok(format!("{} and its initramfs are in /boot", image))
}
