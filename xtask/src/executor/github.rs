// SPDX-License-Identifier: GPL-2.0-only
//! GitHub Actions: the `strategy.matrix` of a workflow, a job for each shard.

use crate::lock::LockedKernel;
use crate::shard::Shard;
use std::num::NonZero;

/// One line of JSON for `$GITHUB_OUTPUT`, read in a workflow with `fromJSON`: `shard` is what `build-matrix --shard` takes,
/// `kernels` names what is in it.
///
/// GitHub runs at most 256 jobs of one matrix (docs.github.com, "usage limits").
pub fn matrix(kernels: &[LockedKernel], most: NonZero<usize>) -> String {
    let ids: Vec<String> = kernels.iter().map(LockedKernel::id).collect();
    let jobs = Shard::all(kernels.len(), most)
        .map(|shard| serde_json::json!({ "shard": shard.to_string(), "kernels": shard.of(ids.clone()).join(" ") }));
    serde_json::json!({ "include": jobs.collect::<Vec<_>>() }).to_string() + "\n"
}
