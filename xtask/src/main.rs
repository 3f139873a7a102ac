// SPDX-License-Identifier: GPL-2.0-only
//! `cargo xtask`: the involflt build farm.

mod error;
mod event;
mod lock;
mod result;

use clap::{Parser, Subcommand};
use std::process::ExitCode;
use xshell::Shell;

/// The involflt build farm: resolve a kernel matrix, build involflt.ko for it, boot it, report.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", version, max_term_width = 110)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

/// One type per command, each with `run(self, &Shell)`, in a file of its own.
#[derive(Subcommand)]
enum Command {}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let outcome: error::Result<()> = Shell::new().map_err(Into::into).and_then(|_shell| match cli.command {});
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(error.kind.exit_code())
        }
    }
}
