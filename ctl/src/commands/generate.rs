// SPDX-License-Identifier: GPL-2.0-only
//! `involfltctl generate`, which packaging calls.

use super::completions::script;
use crate::cli::{Cli, Report};
use crate::error::{Error, Result};
use clap::CommandFactory;
use clap_complete::Shell;
use serde_json::json;
use std::fs;
use std::path::{Path, PathBuf};

/// Writes the man pages (DIR/man) and completions (DIR/completions) of this program.
#[derive(clap::Args)]
#[command(hide = true)]
pub struct Generate {
    /// Directory to write to; made if it is not there.
    #[arg(value_name = "DIR")]
    dir: PathBuf,
}

/// Shells, and the file names that their completion directories want.
const SHELLS: [(Shell, &str); 3] =
    [(Shell::Bash, "involfltctl"), (Shell::Zsh, "_involfltctl"), (Shell::Fish, "involfltctl.fish")];

impl Generate {
    /// Writes the files; the same bytes whenever and wherever it runs.
    pub fn run(self) -> Result<Report> {
        let (man, completions) = (self.dir.join("man"), self.dir.join("completions"));
        [&man, &completions].into_iter().try_for_each(|dir| at(dir, fs::create_dir_all(dir)))?;
        at(&man, man_pages(&man))?;
        for (shell, name) in SHELLS {
            let path = completions.join(name);
            at(&path, fs::write(&path, script(shell)))?;
        }
        Ok(Report::done(String::new(), &json!({ "directory": self.dir })))
    }
}

fn at<T>(path: &Path, result: std::io::Result<T>) -> Result<T> {
    result.map_err(|error| Error::failed(format!("{}: {error}", path.display())))
}

/// One page for the program and one for each command that is not hidden; section 8.
fn man_pages(dir: &Path) -> std::io::Result<()> {
    let mut cli = Cli::command().disable_help_subcommand(true);
    cli.build();
    pages(&cli, "involfltctl", dir)
}

fn pages(command: &clap::Command, name: &str, dir: &Path) -> std::io::Result<()> {
    page(command, name, dir)?;
    let mut visible = command.get_subcommands().filter(|command| !command.is_hide_set());
    visible.try_for_each(|command| pages(command, &format!("{name}-{}", command.get_name()), dir))
}

fn page(command: &clap::Command, name: &str, dir: &Path) -> std::io::Result<()> {
    let (mut page, source) = (Vec::new(), concat!("involflt ", env!("CARGO_PKG_VERSION")));
    let man = clap_mangen::Man::new(command.clone()).section("8").manual("involflt").source(source);
    man.render(&mut page)?;
    // What follows the help are the examples, under the heading that manual pages have for them, and not reflowed. An
    // empty date has to be said.
    let page = String::from_utf8_lossy(&page)
        .replacen(".SH EXTRA\nExamples:\n", ".SH EXAMPLES\n.nf\n", 1)
        .replacen(" 8  ", " 8 \"\" ", 1);
    fs::write(dir.join(format!("{name}.8")), page)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_visible_command_has_a_page_with_examples_and_no_date() {
        let dir = std::env::temp_dir().join(format!("involfltctl-generate-{}", std::process::id()));
        Generate { dir: dir.clone() }.run().unwrap();
        let names = |sub: &str| {
            let entries = fs::read_dir(dir.join(sub)).unwrap().map(|entry| entry.unwrap().file_name());
            let mut names: Vec<_> = entries.map(|name| name.into_string().unwrap()).collect();
            names.sort();
            names
        };
        let pages = names("man");
        assert!(pages.contains(&"involfltctl.8".to_string()) && pages.contains(&"involfltctl-start.8".to_string()));
        assert!(pages.contains(&"involfltctl-attr-set.8".to_string()));
        assert!(!pages.iter().any(|page| page.contains("generate") || page.contains("configured")), "{pages:?}");
        for page in &pages {
            let text = fs::read_to_string(dir.join("man").join(page)).unwrap();
            assert!(text.contains(".SH EXAMPLES\n.nf\n"), "{page} has no examples");
            assert!(text.contains(&format!(".TH {} 8 \"\" \"involflt ", page.trim_end_matches(".8"))), "{page}");
            let named = text.split("(8)").filter_map(|before| before.rsplit([' ', '\n']).next());
            let absent = |name: &&str| !pages.contains(&format!("{}.8", name.replace("\\-", "-")));
            assert_eq!(named.filter(|name| name.starts_with("involfltctl")).find(absent), None, "{page}");
        }
        assert_eq!(names("completions"), ["_involfltctl", "involfltctl", "involfltctl.fish"]);
        fs::remove_dir_all(&dir).unwrap();
    }
}
