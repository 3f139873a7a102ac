// SPDX-License-Identifier: GPL-2.0-only
//! The driver as a module of a kernel that has Rust.

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
#[path = "platform/data.rs"]
pub mod data;
#[path = "platform/entry.rs"]
pub mod entry;
#[path = "platform/file.rs"]
pub mod file;
#[path = "platform/hooks.rs"]
pub mod hooks;
#[path = "platform/rfl/mod.rs"]
pub mod rfl;
#[path = "platform/pin.rs"]
pub mod pin;
#[path = "platform/point.rs"]
pub mod point;
#[path = "platform/spin.rs"]
pub mod spin;
#[path = "platform/wait.rs"]
pub mod wait;
use rfl::Rfl as ThisPlatform;
