// SPDX-License-Identifier: GPL-2.0-only
//! `involfltctl`.

use std::process::ExitCode;

fn main() -> ExitCode {
    involfltctl::cli::run()
}
