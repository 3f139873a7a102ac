// SPDX-License-Identifier: GPL-2.0-only
//! `involfltctl`.

use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    involfltctl::cli::Cli::parse().run()
}
