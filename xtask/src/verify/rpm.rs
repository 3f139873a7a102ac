// SPDX-License-Identifier: GPL-2.0-only
//! One RPM: header and payload signatures, its tags against its name, its contents.

use super::content::Package;
use super::{Checker, name};
use crate::error::Result;
use crate::unpack::ask;
use std::path::Path;
use std::process::Command;

/// The tags that are read, in this order, a line each.
const TAGS: &str = "%{NAME}\n%{VERSION}-%{RELEASE}\n%{ARCH}\n%{LICENSE}\n";

impl Checker<'_> {
    /// Checks a package below the checked directory.
    pub(super) fn rpm(&self, file: &Path) -> Result<()> {
        let path = self.dist.join(file);
        let checked = ask(self.rpm_tool("rpmkeys").arg("--checksig").arg(&path))?;
        if let Some(cause) = refusal(&checked) {
            self.found(file, cause);
        }
        let mut query = self.rpm_tool("rpm");
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

    fn rpm_tool(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.arg("--dbpath").arg(&self.trust.rpm_database);
        command
    }
}

/// rpmkeys finds nothing wrong with a package that nobody signed: it just does not say "signatures" then.
fn refusal(checked: &crate::unpack::Said) -> Option<String> {
    let words = |said: &[u8]| String::from_utf8_lossy(said).trim().rsplit(": ").next().unwrap_or_default().to_string();
    match checked {
        Ok(said) if words(said) == "digests signatures OK" => None,
        Ok(said) => Some(format!("no signature of header and payload: {}", words(said))),
        Err(_) => Some("header or payload is not what was signed, or signed with a key that is not trusted".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_that_nobody_signed_is_refused() {
        assert_eq!(refusal(&Ok(b"a-1.rpm: digests signatures OK\n".to_vec())), None);
        assert!(refusal(&Ok(b"a-1.rpm: digests OK\n".to_vec())).is_some());
        assert!(refusal(&Err("rpmkeys: ".into())).is_some());
    }
}
