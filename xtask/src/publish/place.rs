// SPDX-License-Identifier: GPL-2.0-only
//! Where repositories are published.

use super::directory::Directory;
use super::generations::{self, Generation};
use super::plan::Plan;
use super::remote::{self, Remote};
use super::rsync::Rsync;
use super::s3::S3;
use crate::error::{Error, Result};
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// A place by its kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A directory of this machine, whose `current` is served.
    Directory(Directory),
    /// A module of an rsync daemon, or a directory below one; a directory of a host that ssh reaches.
    Rsync(Rsync),
    /// A bucket, or what begins alike in one.
    S3(S3),
}

impl FromStr for Place {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wants = |rest: &str, what: &str| match rest.trim_matches('/') {
            "" => Err(format!("{text}: {what} is missing")),
            _ => Ok(()),
        };
        if let Some(rest) = text.strip_prefix("rsync://") {
            let (server, below) = rest.split_once('/').unwrap_or((rest, ""));
            wants(below, "the module of rsync://HOST/MODULE")?;
            let (module, path) = below.split_once('/').unwrap_or((below, ""));
            return Ok(Place::Rsync(Rsync::new(server, module, path)));
        }
        if let Some(rest) = text.strip_prefix("s3://") {
            wants(rest, "the bucket of s3://BUCKET")?;
            return Ok(Place::S3(S3::new(rest.trim_matches('/'))));
        }
        match text.split_once("://") {
            Some((scheme, _)) => Err(format!("{scheme}: a directory, HOST:DIR, rsync:// and s3:// are known")),
            None => match text.split_once(':').filter(|(host, _)| !host.contains('/')) {
                Some((host, path)) => by_ssh(text, host, path),
                None => Ok(Place::Directory(Directory::new(PathBuf::from(text)))),
            },
        }
    }
}

/// As rsync and scp have it: what has a colon before any slash is on another host.
fn by_ssh(text: &str, host: &str, path: &str) -> Result<Place, String> {
    if host.trim_end_matches('@').is_empty() || host.starts_with('-') {
        return Err(format!("{text}: the host of HOST:DIR is missing; a directory of this machine is ./{text}"));
    }
    match path.trim_matches('/') {
        "" => Err(format!("{text}: the directory of HOST:DIR is missing")),
        _ => Ok(Place::Rsync(Rsync::by_ssh(host, path))),
    }
}

impl Place {
    /// What is published there, the oldest first. `work` is a directory that may be written to.
    pub fn published(&self, work: &Path) -> Result<Vec<Generation>> {
        match self {
            Place::Directory(directory) => return generations::read(&directory.current().join(generations::DIR)),
            Place::Rsync(rsync) => rsync.fetch(work)?,
            Place::S3(s3) => s3.fetch(work)?,
        }
        generations::read(&work.join(generations::DIR))
    }

    /// Does what the plan says with the files of `dist`.
    pub fn publish(&self, plan: &Plan, dist: &Path, work: &Path) -> Result<()> {
        let outcome = match self {
            Place::Directory(directory) => return directory.publish(plan, dist),
            Place::Rsync(rsync) => remote::publish(rsync, plan, dist, work),
            Place::S3(s3) => remote::publish(s3, plan, dist, work),
        };
        outcome.map_err(|error: Error| {
            error.note("clients go on with what they have; the same command again goes on where this one stopped")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_known_by_their_scheme() {
        assert!(matches!("/srv/involflt".parse(), Ok(Place::Directory(_))));
        assert!(matches!("srv".parse(), Ok(Place::Directory(_))));
        assert!(matches!("rsync://host:873/involflt/".parse(), Ok(Place::Rsync(_))));
        assert!(matches!("s3://bucket/involflt".parse(), Ok(Place::S3(_))));
        assert_eq!("me@host:/srv/x/".parse(), Ok(Place::Rsync(Rsync::by_ssh("me@host", "/srv/x"))));
        assert_eq!("host:srv".parse(), Ok(Place::Rsync(Rsync::by_ssh("host", "srv"))));
        assert!(matches!("./a:b".parse(), Ok(Place::Directory(_))));
        for wrong in [
            "rsync://host",
            "rsync://host/",
            "s3://",
            "ftp://host/x",
            "host:",
            "host:/",
            ":dir",
            "@:dir",
            "-oProxyCommand=x:dir",
        ] {
            assert!(wrong.parse::<Place>().is_err(), "{wrong}");
        }
    }
}
