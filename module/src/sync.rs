// SPDX-License-Identifier: GPL-2.0-only
//! Atomics of the hot path; `cargo xtask test` puts loom's in their place to try every order of what threads do.

#[cfg(not(loom))]
pub use core::sync::atomic::{fence, AtomicI64, AtomicU64, AtomicU8, Ordering};
#[cfg(loom)]
pub use loom::sync::atomic::{fence, AtomicI64, AtomicU64, AtomicU8, Ordering};
