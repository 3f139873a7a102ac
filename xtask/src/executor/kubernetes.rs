// SPDX-License-Identifier: GPL-2.0-only
//! Kubernetes: an Indexed Job, a pod for each shard, for `kubectl apply`.

use crate::error::{Error, Result};
use crate::lock::LockedKernel;
use crate::shard::Shard;
use serde_json::json;
use std::num::NonZero;

/// What the rendered Job needs to know of its cluster.
#[derive(Debug, clap::Args)]
pub struct Kubernetes {
    /// With --format kubernetes: the image of the pods; it has Rust, and what `build-matrix --setup` installs
    #[arg(long, value_name = "IMAGE")]
    image: Option<String>,
    /// With --format kubernetes: a volume claim that all pods share; it has the repository in `involflt`, and gets the
    /// store in `store` and the results in `shards`
    #[arg(long, value_name = "CLAIM", default_value = "involflt")]
    claim: String,
    /// With --format kubernetes: pods at once
    #[arg(long, value_name = "N", default_value = "10")]
    pods: NonZero<usize>,
}

/// Where the claim is in a pod.
const VOLUME: &str = "/farm";

/// A pod's work. `$1` is the number of shards; a pod's index begins with 0.
const SCRIPT: &str = "number=$((JOB_COMPLETION_INDEX + 1))
exec cargo xtask build-matrix --locked --store /farm/store --shard \"$number/$1\" --dist \"/farm/shards/$number\"
";

impl Kubernetes {
    /// The Job in YAML. Its pods are privileged: they run containers of their own.
    ///
    /// Fails as bad input where no image is named.
    pub fn job(&self, kernels: &[LockedKernel], most: NonZero<usize>) -> Result<String> {
        let image = self.image.as_deref().ok_or_else(|| {
            Error::input("--format kubernetes needs --image").note("an image with Rust and this project's tools in it")
        })?;
        let count = Shard::all(kernels.len(), most).count();
        let container = json!({
            "name": "shard",
            "image": image,
            "workingDir": format!("{VOLUME}/involflt"),
            "command": ["sh", "-c", SCRIPT, "shard", count.to_string()],
            "securityContext": { "privileged": true },
            "volumeMounts": [{ "name": "farm", "mountPath": VOLUME }],
        });
        let job = json!({
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": { "name": "involflt-matrix" },
            "spec": {
                "completionMode": "Indexed",
                "completions": count,
                "parallelism": count.min(self.pods.get()),
                // A kernel that fails will fail again; a pod or a node that is lost is another matter.
                "backoffLimitPerIndex": 2,
                "podFailurePolicy": { "rules": [{
                    "action": "FailIndex",
                    "onExitCodes": { "containerName": "shard", "operator": "In", "values": [1, 2] },
                }] },
                "template": { "spec": {
                    "restartPolicy": "Never",
                    "containers": [container],
                    "volumes": [{ "name": "farm", "persistentVolumeClaim": { "claimName": self.claim } }],
                } },
            },
        });
        serde_yaml::to_string(&job).map_err(|error| Error::infra(error.to_string()))
    }
}
