// SPDX-License-Identifier: GPL-2.0-only
//! A bucket of S3, or of what speaks as it does, by rclone.

use super::generations::DIR;
use super::remote::{Remote, done, list};
use crate::error::Result;
use std::path::Path;
use std::process::Command;

/// `BUCKET[/PREFIX]`. Endpoint, region and credentials are rclone's own affair: `RCLONE_S3_*` and `AWS_*`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct S3(String);

impl S3 {
    /// The place of that bucket and prefix.
    pub fn new(bucket: &str) -> Self {
        S3(bucket.to_string())
    }

    fn top(&self) -> String {
        // A remote that needs no configuration file.
        format!(":s3,env_auth,no_check_bucket:{}", self.0)
    }

    fn copy(&self, from: &Path, files: &[String], work: &Path, order: &[&str]) -> Result<()> {
        let names = work.join("files");
        list(files.iter().cloned(), &names)?;
        let mut copy = rclone("copy");
        copy.args(["--checksum", "--no-traverse", "--files-from-raw"]).arg(&names).args(order);
        done(copy.arg(from).arg(self.top()), "rclone")
    }
}

fn rclone(command: &str) -> Command {
    let mut rclone = Command::new("rclone");
    rclone.args([command, "--config=/dev/null", "--log-level=ERROR", "--retries=3"]);
    // rclone's library refuses this one beside rclone's own transport.
    if let Some(bundle) = std::env::var_os("AWS_CA_BUNDLE") {
        rclone.env_remove("AWS_CA_BUNDLE").arg("--ca-cert").arg(bundle);
    }
    rclone
}

impl Remote for S3 {
    fn fetch(&self, to: &Path) -> Result<()> {
        // Of a bucket with nothing in it, too: a directory of S3 is there only as long as there are objects in it.
        let mut copy = rclone("copy");
        copy.arg("--include").arg(format!("/{DIR}/**")).arg(self.top()).arg(to);
        done(&mut copy, "rclone")
    }

    fn put(&self, from: &Path, files: &[String], work: &Path) -> Result<()> {
        self.copy(from, files, work, &[])
    }

    /// One right after the other by their names, as repomd.xml and repomd.xml.asc are neighbours.
    fn put_together(&self, from: &Path, files: &[String], work: &Path) -> Result<()> {
        self.copy(from, files, work, &["--transfers=1", "--check-first", "--order-by=name"])
    }

    fn remove(&self, files: &[String], work: &Path) -> Result<()> {
        if files.is_empty() {
            return Ok(());
        }
        let names = work.join("removed");
        list(files.iter().cloned(), &names)?;
        done(rclone("delete").arg("--files-from-raw").arg(&names).arg(self.top()), "rclone")
    }
}
