// SPDX-License-Identifier: GPL-2.0-only
//! Whole Debian machines: a root made by mmdebstrap, changed with the distribution's own tools, and booted with systemd.
//!
//! ```text
//! let spec = Spec::of("bookworm", &kernels)?.with(["linux-image-6.1.0-56-amd64"]);
//! let mut root = spec.root(store, offline)?;        // a working copy; what is common is in the store
//! root.bind(dist.join("apt"), "/repo");             // from now on /repo is there in each run
//! root.add_repository("involflt", "file:/repo", "bookworm", &keyring)?;
//! root.apt_get(&["update"])?.ok()?;
//! root.apt_get(&["install", "involflt-kmod"])?.ok()?;
//! root.run("modinfo -k 6.1.0-56-amd64 involflt")?.ok()?;
//! ```

mod boot;
mod guest;
mod layers;
mod nvram;
mod root;
mod said;
mod spec;

pub use boot::{Boot, Booted, Machine};
pub use root::Root;
pub use said::Said;
pub use spec::Spec;
