// SPDX-License-Identifier: GPL-2.0-only
//! Where shards are worked on: this machine, or an engine that has queues, retries and placement of its own.

mod github;
mod kubernetes;
mod slurm;

pub use kubernetes::Kubernetes;

use crate::build::{Built, Farm};
use crate::error::Result;
use crate::event::Listener;
use crate::gather::gather;
use crate::lock::LockedKernel;
use crate::plan::{Outcome, Plan};
use crate::resolve::{MatrixArgs, Resolution};
use crate::result::Row;
use crate::shard::Shard;
use crate::store::Store;
use std::collections::BTreeMap;
use std::num::NonZero;

pub use github::matrix as github_matrix;

/// The engines that `build-matrix` itself can hand its work to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
enum Engine {
    /// This machine.
    #[default]
    Local,
    /// Slurm: a job array, submitted with sbatch.
    Slurm,
}

/// Where the work is done.
#[derive(Debug, clap::Args)]
pub struct Executor {
    /// Where the kernels are worked on; `slurm` needs a file system that its nodes share with this machine
    #[arg(long, value_enum, default_value_t = Engine::Local, conflicts_with = "shard")]
    executor: Engine,
    /// Parts that the work is split into at most, for another executor than `local` [default: 200]
    #[arg(long, value_name = "N")]
    shards: Option<NonZero<usize>>,
    /// An option for sbatch, such as `--sbatch=--partition=build`; may be given more than once
    #[arg(long, value_name = "OPTION", allow_hyphen_values = true)]
    sbatch: Vec<String>,
    /// Only this part of the kernels, such as 2/5; makes no packages: `cargo xtask gather` does
    #[arg(long, value_name = "NUMBER/COUNT", conflicts_with = "release")]
    pub shard: Option<Shard>,
}

/// Parts of a matrix where nothing else is asked for: what GitHub and Slurm take without being configured for more.
pub const MOST_SHARDS: NonZero<usize> = NonZero::new(200).expect("is not 0");

impl Executor {
    /// Works through the kernels, wherever that is; the outcome is the same.
    pub fn run(
        &self,
        plan: &Plan,
        resolution: Resolution,
        args: &MatrixArgs,
        store: &Store,
        listener: &dyn Listener,
    ) -> Result<(Outcome, Resolution)> {
        match self.executor {
            Engine::Local => {
                let kernels = match self.shard {
                    Some(shard) => shard.of(resolution.kernels),
                    None => resolution.kernels,
                };
                let resolution = Resolution { kernels, ..resolution };
                Ok((plan.run(&resolution, store, listener)?, resolution))
            }
            Engine::Slurm => {
                let shards = plan.dist.join("shards");
                let array =
                    slurm::Array { shards: &shards, most: self.shards.unwrap_or(MOST_SHARDS), options: &self.sbatch };
                let farm = Farm::new(store, &plan.source, plan.offline);
                let kept =
                    resolution.kernels.iter().map(|kernel| Some((kernel.id(), plan.keep(kernel, &farm, listener)?)));
                let kept: BTreeMap<String, (Row, Built)> = kept.flatten().collect();
                let is_wanted = |kernel: &&LockedKernel| !kept.contains_key(&kernel.id());
                let wanted: Vec<LockedKernel> = resolution.kernels.iter().filter(is_wanted).cloned().collect();
                array.run(plan, &wanted, args, store, listener)?;
                Ok((gather(&shards, plan, &resolution, kept, store, listener)?, resolution))
            }
        }
    }
}
