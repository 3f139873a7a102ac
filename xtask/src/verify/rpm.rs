// SPDX-License-Identifier: GPL-2.0-only
//! One RPM: header and payload signatures, its tags against its name, its contents.

use super::content::Package;
use super::{Checker, name};
use crate::error::Result;
use crate::rpm_signature;
use crate::unpack::ask;
use std::path::Path;
use std::process::Command;

/// The tags that are read, in this order, a line each.
const TAGS: &str = "%{NAME}\n%{VERSION}-%{RELEASE}\n%{ARCH}\n%{LICENSE}\n";

impl Checker<'_> {
    /// Checks a package below the checked directory.
    pub(super) fn rpm(&self, file: &Path) -> Result<()> {
        let path = self.dist.join(file);
        if let Err(cause) = rpm_signature::check(&path, &self.trust.rpm_database)? {
            self.found(file, cause);
        }
        let mut query = Command::new("rpm");
        query.arg("--dbpath").arg(&self.trust.rpm_database);
        // The signatures were looked at; a bad one must not keep the rest from being said.
        query.args(["--query", "--nosignature", "--nodigest", "--queryformat", TAGS, "--package"]);
        let tags = match ask(query.arg(&path))? {
            Ok(tags) => String::from_utf8_lossy(&tags).into_owned(),
            Err(said) => {
                self.found(file, said);
                return Ok(());
            }
        };
        let tag = |index: usize| tags.lines().nth(index).unwrap_or_default();
        let expected = format!("{}-{}.{}.rpm", tag(0), tag(1), tag(2));
        if name(file) != expected {
            self.found(file, format!("inside it is {expected}"));
        }
        let licence = (tag(3) != "GPL-2.0-only").then(|| format!("its licence is {}", tag(3)));
        self.contents(&Package { file, name: tag(0), version: tag(1) }, |_| licence)
    }
}
