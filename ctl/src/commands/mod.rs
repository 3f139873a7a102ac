// SPDX-License-Identifier: GPL-2.0-only
//! The commands, one a file: each is a type with `run(self)`, and a function that does its work on any driver.

pub mod apply;
pub mod attr;
pub mod barrier;
pub mod bitmap;
pub mod completions;
pub mod configured;
pub mod doctor;
pub mod drain;
pub mod freeze;
pub mod generate;
pub mod journal;
pub mod list;
pub mod many;
mod progress;
pub mod replicate;
pub mod serve;
mod signals;
pub mod start;
pub mod stats;
pub mod status;
pub mod stop;
pub mod tag;
pub mod verify;
