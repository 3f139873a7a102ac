// SPDX-License-Identifier: GPL-2.0-only
//! Stand-ins for headers that no open archive has: those of a real kernel, changed to what a vendor's are taken to be.
//! The module is compiled against them, and never booted.

use super::Context;
use crate::build::Farm;
use crate::container::Mount;
use crate::error::{AtPath, Error, Result};
use crate::kdir::{self, Kdir};
use crate::lock::LockedKernel;
use crate::module_source::ModuleSource;
use crate::store::remove;
use std::fs;
use std::path::{Path, PathBuf};

/// RHEL 8 has a block layer of about Linux 5.10 and kept its kernel's interface of 4.18: bios by a function of their queue.
const HEADER: &str = "include/linux/blkdev.h";
const CHANGES: [(&str, &str); 2] = [
    (
        "struct request_queue {\n",
        "typedef blk_qc_t (make_request_fn)(struct request_queue *q, struct bio *bio);\n\
         struct request_queue {\n\tmake_request_fn\t\t*make_request_fn;\n",
    ),
    ("\tblk_qc_t (*submit_bio) (struct bio *bio);\n", ""),
];
/// In a module that takes bios by that function.
const OLD_HOOK: &[u8] = b"inv_make_request";

/// Builds the module for `kernel`, a 5.10, with those headers in place of its own.
pub fn build(context: &Context<'_>, kernel: &LockedKernel) -> Result<String> {
    let source = ModuleSource::read(&context.tree.join("module"))?;
    let farm = Farm::new(context.store, &source, context.matrix.offline);
    let work = context.tree.join("dist/stand-in-headers");
    remove(&work)?;
    fs::create_dir_all(&work).at_path(&work)?;
    let kdir = changed(kdir::headers(kernel, context.store, context.matrix.offline, &|_| ())?, &work)?;
    let module = farm.build_against(kernel, &kdir, &work)?;
    let bytes = fs::read(&module).at_path(&module)?;
    remove(&work)?;
    match bytes.windows(OLD_HOOK.len()).any(|window| window == OLD_HOOK) {
        true => Ok(format!("{}, bios by make_request_fn", kernel.kernel)),
        false => Err(Error::kernel("the module does not take bios by make_request_fn")),
    }
}

/// The KDIR with the changed header mounted above its own.
fn changed(mut kdir: Kdir, work: &Path) -> Result<Kdir> {
    let (host, inside) = kdir
        .mounts
        .iter()
        .map(|mount| (mount.host.join(HEADER), format!("{}/{HEADER}", mount.inside)))
        .find(|(host, _)| host.exists())
        .ok_or_else(|| Error::infra(format!("the headers have no {HEADER}")))?;
    let mut text = fs::read_to_string(&host).at_path(&host)?;
    for (from, to) in CHANGES {
        if !text.contains(from) {
            return Err(Error::kernel(format!("{}: has no {from:?}: is this a 5.10?", host.display())));
        }
        text = text.replacen(from, to, 1);
    }
    let header: PathBuf = work.join("blkdev.h");
    fs::write(&header, text).at_path(&header)?;
    kdir.mounts.push(Mount::read_only(header, inside));
    Ok(kdir)
}
