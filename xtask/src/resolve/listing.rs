// SPDX-License-Identifier: GPL-2.0-only
//! `cargo xtask matrix`: shows what would be built.

use super::{MatrixArgs, gone, matrix};
use crate::display::{self, Format};
use crate::error::{AtPath, Error, Result};
use crate::event::Listener;
use crate::executor::{Kubernetes, MOST_SHARDS, github_matrix};
use crate::kernels::FAMILIES;
use crate::lock::{LockedKernel, Platform};
use crate::store::{GONE, Store};
use clap::ValueEnum;
use serde::Serialize;
use std::io::Write;
use std::num::NonZero;
use xshell::Shell;

/// Shows what would be built, without building it.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  cargo xtask matrix
  cargo xtask matrix --locked
  cargo xtask matrix --select group:debian-all --select '!rt-amd64' --format json
  cargo xtask matrix --select 'group:debian-all platform=rfl'
  cargo xtask matrix --locked --format github --chunk 200
  cargo xtask matrix --locked --format kubernetes --image registry.example/involflt-farm | kubectl apply --filename -
  cargo xtask matrix --all                  every family of distributions, and what access it needs

With --locked the table says which kernels of kernels.lock have left their archive; with --offline as well, as the
indices that were read last know it.")]
pub struct Matrix {
    #[command(flatten)]
    matrix: MatrixArgs,
    /// How it is shown
    #[arg(long, value_enum, default_value_t = Output::Table)]
    format: Output,
    /// Show the families of distributions that are declared, not the kernels: archive, packages, access, image
    #[arg(long, conflicts_with_all = ["select", "locked", "offline"])]
    all: bool,
    /// With --format github or kubernetes: shards that the kernels are split into, at most
    #[arg(long, value_name = "N", default_value_t = MOST_SHARDS)]
    chunk: NonZero<usize>,
    #[command(flatten)]
    kubernetes: Kubernetes,
}

/// Forms of the listing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Output {
    /// Columns, a row for each kernel
    Table,
    /// An object with a list `kernels`: the fields of kernels.lock, `id` and `state`
    Json,
    /// The matrix of a GitHub workflow, in one line: a job for each shard
    Github,
    /// An Indexed Job, in YAML for kubectl: a pod for each shard
    Kubernetes,
}

/// A kernel and what is to be said of it.
#[derive(Serialize)]
struct Entry {
    id: String,
    /// Why it cannot be built, where that is known.
    state: Option<&'static str>,
    #[serde(flatten)]
    kernel: LockedKernel,
}

impl Matrix {
    /// Prints the listing.
    pub fn run(self, _: &Shell) -> Result<()> {
        if self.all {
            let text = match self.format {
                Output::Table => families_table(),
                Output::Json => families_json(),
                Output::Github | Output::Kubernetes => {
                    return Err(Error::input("--all has the forms table and json: families are no jobs"));
                }
            };
            return std::io::stdout().write_all(text.as_bytes()).at_path("standard output");
        }
        let store = Store::open(self.matrix.store.as_deref())?;
        let listener = display::open(Some(Format::Plain));
        let kernels = matrix(&self.matrix, &store, &*listener)?;
        let text = match self.format {
            Output::Table => table(&self.entries(kernels, &store, &*listener)?),
            Output::Json => json(&self.entries(kernels, &store, &*listener)?),
            Output::Github => github_matrix(&kernels, self.chunk),
            Output::Kubernetes => self.kubernetes.job(&kernels, self.chunk)?,
        };
        std::io::stdout().write_all(text.as_bytes()).at_path("standard output")
    }

    fn entries(&self, kernels: Vec<LockedKernel>, store: &Store, listener: &dyn Listener) -> Result<Vec<Entry>> {
        let gone = match self.matrix.locked {
            true => gone(&kernels, &self.matrix, store, listener)?,
            false => vec![false; kernels.len()],
        };
        let entry =
            |(kernel, gone): (LockedKernel, bool)| Entry { id: kernel.id(), state: gone.then_some(GONE), kernel };
        Ok(kernels.into_iter().zip(gone).map(entry).collect())
    }
}

fn families_json() -> String {
    let entries = FAMILIES.iter().map(|family| {
        let mut value = serde_json::to_value(family).expect("a family is plain data");
        value["releases"] = family.releases().collect();
        value["index"] = family.distro().index().into();
        value["trust"] = family.distro().trust().into();
        value
    });
    let listing = serde_json::json!({ "families": entries.collect::<Vec<_>>() });
    serde_json::to_string_pretty(&listing).expect("a listing is plain data") + "\n"
}

fn families_table() -> String {
    let mut text = String::new();
    for family in FAMILIES {
        text += &format!("{}\n", family.name);
        text += &format!("  releases  {}\n", family.releases().collect::<Vec<_>>().join(" "));
        text += &format!("  packages  {}, in {}\n", family.packages.join(", "), family.kdir);
        text += &format!("  access    {}\n", family.access);
        text += &format!("  trust     {}\n", family.distro().trust());
        text += &match family.images {
            [(_, image)] => format!("  image     {image}\n"),
            _ => {
                let image = |release| Some(format!("  image     {}, for {release}\n", family.image_of(release)?));
                family.releases().filter_map(image).collect()
            }
        };
    }
    text
}

fn json(entries: &[Entry]) -> String {
    let listing = serde_json::json!({ "kernels": entries });
    serde_json::to_string_pretty(&listing).expect("a listing is plain data") + "\n"
}

fn table(entries: &[Entry]) -> String {
    let head = ["DISTRO", "SUITE", "KERNEL", "FLAVOUR", "PLATFORM", "COMPILER", "RUST", "MODVERSIONS", ""];
    let mut rows = vec![head.map(String::from)];
    rows.extend(entries.iter().map(row));
    let widths: Vec<usize> = (0..head.len()).map(|i| rows.iter().map(|row| row[i].len()).max().unwrap_or(0)).collect();
    let mut text: String = rows.iter().map(|row| line(row, &widths)).collect();
    text += &format!("{} kernels\n", entries.len());
    text
}

fn row(entry: &Entry) -> [String; 9] {
    let Entry { kernel, state, .. } = entry;
    let platform = match kernel.platform {
        Platform::Rfl => "rfl",
        Platform::Cglue => "cglue",
    };
    let rustc = kernel.rustc.as_deref().and_then(|text| text.split(' ').nth(1)).unwrap_or("-");
    [
        kernel.distro.as_str(),
        &kernel.suite,
        &kernel.kernel,
        &kernel.flavour,
        platform,
        &kernel.compiler,
        rustc,
        if kernel.modversions { "yes" } else { "no" },
        state.unwrap_or(""),
    ]
    .map(str::to_owned)
}

fn line(row: &[String; 9], widths: &[usize]) -> String {
    let cells: Vec<String> = row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
    format!("{}\n", cells.join("  ").trim_end())
}
