// SPDX-License-Identifier: GPL-2.0-only
//! Change tracking for block devices: all behaviour of the involflt driver, as a library for the host.
//!
//! The same modules make the kernel module, by way of two other crate roots: `cglue_main.rs` for kernels without
//! Rust and `rfl_main.rs` for kernels with it. `docs/design.md` has the whole picture.

pub mod abi;
pub mod control;
pub mod engine;
pub mod persist;
pub mod platform;
pub mod sync;
#[cfg(feature = "telemetry")]
pub mod telemetry;

#[path = "platform/host/mod.rs"]
pub mod host;
