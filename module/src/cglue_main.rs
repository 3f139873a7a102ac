// SPDX-License-Identifier: GPL-2.0-only
//! The driver as one object for kernels without Rust: `core` and this crate, linked into any number of them.

#![no_std]

pub mod abi;
pub mod control;
pub mod engine;
pub mod persist;
pub mod platform;
pub mod sync;
#[cfg(feature = "telemetry")]
pub mod telemetry;

#[path = "platform/bindings.rs"]
pub mod bindings;
#[path = "platform/cglue/mod.rs"]
pub mod cglue;
#[path = "platform/data.rs"]
pub mod data;
#[path = "platform/entry.rs"]
pub mod entry;
#[path = "platform/file.rs"]
pub mod file;
#[path = "platform/hooks.rs"]
pub mod hooks;
#[path = "platform/pin.rs"]
pub mod pin;
#[path = "platform/point.rs"]
pub mod point;
#[path = "platform/spin.rs"]
pub mod spin;
#[path = "platform/wait.rs"]
pub mod wait;
use cglue::Cglue as ThisPlatform;
