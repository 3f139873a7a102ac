// SPDX-License-Identifier: GPL-2.0-only
//! What the guest program and its host agree on: the messages, the disks, and the set of extents.

pub mod extents;
pub mod layout;
pub mod protocol;
