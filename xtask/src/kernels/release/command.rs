// SPDX-License-Identifier: GPL-2.0-only
//! `cargo xtask release`: explains a kernel release.

use super::parse;
use crate::error::{Error, Result};
use clap::Args;
use xshell::Shell;

/// Says which distribution, release, service pack and flavour a kernel is of, by what `uname -r` prints.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  cargo xtask release \"$(uname -r)\"
  cargo xtask release 5.14.21-150500.55.88-default
  cargo xtask release 5.14.0-284.86.1.el9_2.x86_64 --json

Exit codes: 0 known, 2 not the name of any known family's kernel.")]
pub struct ReleaseCommand {
    /// A kernel release, as `uname -r` prints it.
    #[arg(value_name = "RELEASE")]
    release: String,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

impl ReleaseCommand {
    /// Prints the parts; an error of exit code 2 for a name that is not known.
    pub fn run(self, _: &Shell) -> Result<()> {
        let release = parse(&self.release)?;
        let value = serde_json::to_value(&release).map_err(|error| Error::infra(format!("JSON: {error}")))?;
        if self.json {
            println!("{value:#}");
            return Ok(());
        }
        for key in ["distro", "release", "service_pack", "flavour"] {
            match &value[key] {
                serde_json::Value::Null => {}
                serde_json::Value::String(text) => println!("{:13} {text}", key.replace('_', " ")),
                other => println!("{:13} {other}", key.replace('_', " ")),
            }
        }
        Ok(())
    }
}
