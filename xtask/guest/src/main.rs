// SPDX-License-Identifier: GPL-2.0-only
//! The program that a test VM runs as its init.

fn main() {}
