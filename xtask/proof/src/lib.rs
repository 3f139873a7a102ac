// SPDX-License-Identifier: GPL-2.0-only
//! The driver's own code where ordinary tests do not reach: every order of threads (loom), and requests that nobody would
//! think of (libFuzzer, in `src/bin`). `cargo xtask test --only proof` runs them.

#[cfg(all(test, loom))]
mod loom;
