// SPDX-License-Identifier: GPL-2.0-only
//! `cargo xtask publish`: the repositories of `dist/` brought to where clients get them, so that none of them ever sees
//! half.
//!
//! Packages, and indices that others name, have their hash in their path: they are added and never changed. What
//! clients begin from is replaced last, and what the last generations had stays.

mod directory;
mod generations;
mod place;
mod plan;
mod remote;
mod rsync;
mod s3;

use crate::error::{AtPath, Error, Result};
use crate::parallel;
use crate::store::{remove, sha256_file};
use generations::SIGNATURE;
pub use generations::{Files, SUMS, sums_of};
use place::Place;
use plan::Plan;
use serde_json::{Value, json};
use std::fs;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use xshell::Shell;

/// Publishes the repositories of dist/: to a directory, a host that ssh reaches, an rsync daemon or a bucket of S3.
///
/// Clients see the old state or the new one, and those that hold the indices of one of the last generations still get
/// every file of it. Broken off at any moment, the same command goes on where it stopped. Nothing is signed here: what
/// SHA256SUMS lists is published, and each file must have the hash that it says.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  cargo xtask publish /srv/involflt                    serve /srv/involflt/current
  cargo xtask publish rsync://host/involflt --dry-run  what would be done
  cargo xtask publish user@host:/srv/involflt          by rsync over ssh, which must be able to log in
  cargo xtask publish s3://bucket/involflt --keep 10   by rclone: AWS_* and RCLONE_S3_* say how
  cargo xtask publish /srv/involflt --format json | jq .remove

Exit codes: 0 published, now or before; 2 not a whole dist/, or a repository would be lost; 69 the place or its tool.")]
pub struct Publish {
    /// DIR, [USER@]HOST:DIR, rsync://HOST/MODULE[/PATH] or s3://BUCKET[/PATH].
    #[arg(value_name = "PLACE")]
    place: Place,
    /// What `build-matrix` or `gather` made.
    #[arg(long, value_name = "DIR", default_value = "dist")]
    dist: PathBuf,
    /// Generations whose files stay, the new one counted.
    #[arg(long, value_name = "N", default_value = "5")]
    keep: NonZero<usize>,
    /// Publish although repositories are not there that were before; they go with the last generation that has them.
    #[arg(long)]
    drop_missing: bool,
    /// Print what would be done, and do nothing.
    #[arg(long)]
    dry_run: bool,
    /// How it is printed.
    #[arg(long, value_enum, default_value_t = Output::Text)]
    format: Output,
}

/// Forms of what is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Output {
    /// A line for each file that comes or goes, and one for all
    Text,
    /// An object with the paths in `add`, `replace` and `remove`, `bytes` that are sent, `generation`, `kept`,
    /// `dropped`
    Json,
}

impl Publish {
    /// Publishes, and prints what was done.
    pub fn run(self, _: &Shell) -> Result<()> {
        let files = whole(&self.dist)?;
        let work = std::env::temp_dir().join(format!("involflt-publish-{}", std::process::id()));
        remove(&work)?;
        fs::create_dir(&work).at_path(&work)?;
        let outcome = self.publish(&files, &work);
        remove(&work)?;
        let plan = outcome?;
        match (self.format, plan) {
            (Output::Text, None) => println!("it is published already"),
            (Output::Text, Some(plan)) => print!("{}", text(&plan, &self.dist, self.dry_run)?),
            (Output::Json, plan) => println!("{:#}", json(plan.as_ref(), &self.dist, self.dry_run)?),
        }
        Ok(())
    }

    fn publish(&self, files: &Files, work: &Path) -> Result<Option<Plan>> {
        let published = self.place.published(work)?;
        let plan = Plan::new(files, &published, self.keep, self.drop_missing)?;
        if let Some(plan) = plan.as_ref().filter(|_| !self.dry_run) {
            self.place.publish(plan, &self.dist, work)?;
        }
        Ok(plan)
    }
}

/// What is to be published: the files of SHA256SUMS, which are there and have the hashes that it says.
fn whole(dist: &Path) -> Result<Files> {
    let not_whole = |cause: String| {
        Error::input(format!("{}: {cause}", dist.display()))
            .note("`cargo xtask build-matrix` makes it whole; `cargo xtask verify` says all that is wrong with it")
    };
    for name in [SUMS, SIGNATURE] {
        if !dist.join(name).is_file() {
            return Err(not_whole(format!("there is no {name}")));
        }
    }
    let files = sums_of(&dist.join(SUMS))?;
    let list: Vec<(&String, &String)> = files.iter().collect();
    let differs = |(path, sha256): &(&String, &String)| match sha256_file(&dist.join(path)) {
        Ok(found) if found == **sha256 => None,
        Ok(_) => Some(format!("{path} does not have the hash that {SUMS} says")),
        Err(error) => Some(error.message),
    };
    match parallel::map(&list, parallel::processors(), differs).into_iter().flatten().next() {
        None => Ok(files),
        Some(cause) => Err(not_whole(cause)),
    }
}

/// How many bytes are sent at most.
fn bytes(plan: &Plan, dist: &Path) -> Result<u64> {
    let size = |file: &String| fs::metadata(dist.join(file)).map(|meta| meta.len()).at_path(file);
    plan.add.iter().chain(&plan.replace).map(size).sum()
}

fn text(plan: &Plan, dist: &Path, dry_run: bool) -> Result<String> {
    let signs = [('+', &plan.add), ('~', &plan.replace), ('-', &plan.remove)];
    let lines: String =
        signs.iter().flat_map(|(sign, files)| files.iter().map(move |file| format!("{sign} {file}\n"))).collect();
    let (would, count) = (if dry_run { "would be published" } else { "published" }, plan.kept.len() + 1);
    Ok(format!(
        "{lines}generation {} {would}: {} files added, {} replaced, {} removed, {} bytes; generations kept: {count}\n",
        plan.number,
        plan.add.len(),
        plan.replace.len(),
        plan.remove.len(),
        bytes(plan, dist)?,
    ))
}

/// `generation` is null where nothing is to be done.
fn json(plan: Option<&Plan>, dist: &Path, dry_run: bool) -> Result<Value> {
    Ok(match plan {
        None => json!({ "generation": null, "dry_run": dry_run }),
        Some(plan) => json!({
            "generation": plan.number,
            "dry_run": dry_run,
            "kept": plan.kept,
            "dropped": plan.dropped,
            "add": plan.add,
            "replace": plan.replace,
            "remove": plan.remove,
            "bytes": bytes(plan, dist)?,
        }),
    })
}
