// SPDX-License-Identifier: GPL-2.0-only
//! `involfltctl completions`.

use crate::cli::{Cli, Report};
use crate::error::Result;
use clap::CommandFactory;
use clap_complete::Shell;
use serde_json::json;

/// Prints a completion script for a shell.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  source <(involfltctl completions bash)
  involfltctl completions fish > ~/.config/fish/completions/involfltctl.fish")]
pub struct Completions {
    /// The shell to complete in.
    #[arg(value_name = "SHELL")]
    shell: Shell,
}

impl Completions {
    /// Makes the script.
    pub fn run(self) -> Result<Report> {
        let script = script(self.shell);
        let json = json!({ "shell": self.shell.to_string(), "script": script });
        Ok(Report::done(script, &json))
    }
}

/// The script for a shell.
pub fn script(shell: Shell) -> String {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "involfltctl", &mut script);
    String::from_utf8_lossy(&script).into_owned()
}
