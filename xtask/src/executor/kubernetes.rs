// SPDX-License-Identifier: GPL-2.0-only
//! Kubernetes: an Indexed Job, a pod for each shard, for `kubectl apply`.

use crate::error::{Error, Result};
use crate::lock::LockedKernel;
use crate::shard::Shard;
use crate::store::SharedPlace;
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
    /// With --format kubernetes: where the pods share what they built: oci://HOST/REPOSITORY, or a directory below /farm, where
    /// their claim is
    #[arg(long, value_name = "PLACE")]
    shared_store: Option<SharedPlace>,
}

/// Where the claim is in a pod.
const VOLUME: &str = "/farm";

/// A pod's work. `$1` is the number of shards, what follows are more options; a pod's index begins with 0.
const SCRIPT: &str = "number=$((JOB_COMPLETION_INDEX + 1)) shards=$1
shift
exec cargo xtask build-matrix --locked --store /farm/store --shard \"$number/$shards\" --dist \"/farm/shards/$number\" \"$@\"
";

impl Kubernetes {
    /// The Job in YAML. Its pods are privileged: they run containers of their own.
    ///
    /// Fails as bad input where no image is named, and where the shared store is a directory that pods do not have.
    pub fn job(&self, kernels: &[LockedKernel], most: NonZero<usize>) -> Result<String> {
        let image = self.image.as_deref().ok_or_else(|| {
            Error::input("--format kubernetes needs --image").note("an image with Rust and this project's tools in it")
        })?;
        let count = Shard::all(kernels.len(), most).count();
        let mut command = vec!["sh".to_string(), "-c".into(), SCRIPT.into(), "shard".into(), count.to_string()];
        if let Some(place) = &self.shared_store {
            if matches!(place, SharedPlace::Directory(dir) if !dir.starts_with(VOLUME)) {
                return Err(Error::input(format!("--shared-store {place}: pods have no such directory"))
                    .note(format!("name one below {VOLUME}, where their claim is, or oci://HOST/REPOSITORY")));
            }
            command.push(format!("--shared-store={place}"));
        }
        let container = json!({
            "name": "shard",
            "image": image,
            "workingDir": format!("{VOLUME}/involflt"),
            "command": command,
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

#[cfg(test)]
mod tests {
    use super::*;

    fn job(shared_store: &str) -> Result<String> {
        let shared_store = Some(shared_store.parse().unwrap());
        let pods = NonZero::new(1).unwrap();
        let kubernetes = Kubernetes { image: Some("image".into()), claim: "claim".into(), pods, shared_store };
        kubernetes.job(&[], pods)
    }

    #[test]
    fn pods_are_told_of_the_shared_store() {
        assert!(job("oci://registry.example/farm").unwrap().contains("- --shared-store=oci://registry.example/farm\n"));
        assert!(job("/farm/shared").unwrap().contains("- --shared-store=/farm/shared\n"));
        let error = job("/mnt/farm").unwrap_err();
        assert_eq!(error.kind.exit_code(), 2);
        assert!(error.message.contains("/mnt/farm: pods have no such directory"), "{error}");
    }
}
