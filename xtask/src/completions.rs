// SPDX-License-Identifier: GPL-2.0-only
//! `cargo xtask completions`: shell completion of the xtask commands.

use crate::error::{AtPath, Result};
use clap::{Args, CommandFactory};
use clap_complete::Shell as Language;
use std::io::Write;
use xshell::Shell;

/// Prints a completion script for a shell, which completes the program `xtask`.
#[derive(Args)]
#[command(after_help = "Examples:
  source <(cargo xtask completions bash)
  cargo xtask completions fish > ~/.config/fish/completions/xtask.fish")]
pub struct Completions {
    /// The shell to complete in.
    #[arg(value_name = "SHELL")]
    shell: Language,
}

impl Completions {
    /// Prints the script for the command line that `Cli` describes.
    pub fn run<Cli: CommandFactory>(self, _: &Shell) -> Result<()> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "xtask", &mut script);
        std::io::stdout().write_all(&script).at_path("standard output")
    }
}
