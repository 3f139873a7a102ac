// SPDX-License-Identifier: GPL-2.0-only
//! Whole Debian machines: a root made by mmdebstrap, changed with the distribution's own tools, and booted with systemd.
//!
//! ```text
//! let spec = Spec::of("bookworm", &kernels)?.with_kernel(kernel);  // kernels: of the lock; they name the archives
//! let mut root = spec.root(store, offline)?;          // a working copy; what is common comes from the store
//! root.bind(dist.join("apt"), "/repo");               // from now on /repo is there in each run, read-only
//! root.add_repository("involflt", "file:/repo", "bookworm", &keyring)?;
//! root.apt_get(&["update"])?.ok()?;
//! root.apt_get(&["install", "involflt-kmod"])?.ok()?;
//! root.run("modinfo -k 6.1.0-56-amd64 involflt")?.ok()?;
//!
//! let machine = Machine::of(&root, store)?;           // the root as it is now, on a disk
//! let booted = machine.boot(&Boot {
//!     kernel: "6.1.0-56-amd64",
//!     arguments: "module.sig_enforce=1",
//!     owner_key: Some(&certificate_der),              // Secure Boot on, with this key enrolled; None: off
//!     commands: &["modprobe involflt", "involfltctl doctor"],
//!     log: &dist.join("machines/bookworm.log"),
//! })?;
//! booted.results[0].clone().ok()?;
//! root.apt_get(&["purge", "involflt-kmod"])?.ok()?;   // the root lives on; boot it anew with Machine::of
//! ```
//!
//! A command's own failure is no error of `run` and `boot`: [`Said::ok`] makes it one, [`Said::refused`] wants one. A
//! boot fails where not every command came to its end. A root takes 1 s where the store has it, `Machine::of` 5 s, and a
//! boot, with its firmware, 30 to 40 s of one processor.

mod boot;
mod guest;
mod layers;
mod nvram;
mod root;
mod said;
mod spec;

pub use boot::{Boot, Booted, DISK_SIZE, Machine};
pub use root::Root;
pub use said::Said;
pub use spec::Spec;
