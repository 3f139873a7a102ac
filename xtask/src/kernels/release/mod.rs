// SPDX-License-Identifier: GPL-2.0-only
//! Which distribution, release, service pack and flavour a kernel is of, by its release as `uname -r` prints it.
//!
//! The names of each family are a grammar and a table of what that family has published; what is in neither is an error.

mod command;
mod debian;
mod red_hat;
mod suse;
mod ubuntu;

#[cfg(test)]
mod tests;

pub use command::ReleaseCommand;
pub use ubuntu::FLAVOURS as UBUNTU_FLAVOURS;

use crate::error::{Error, Result};
use serde::Serialize;

/// Characters that the kernel itself allows: `__NEW_UTS_LEN`.
const LONGEST: usize = 64;

/// Who made a kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Family {
    Debian,
    Ubuntu,
    Sles,
    OpensuseLeap,
    OpensuseTumbleweed,
    /// Red Hat Enterprise Linux, and the rebuilds that keep its names: Alma, Rocky, Oracle's compatible kernel.
    Rhel,
    CentosStream,
    /// Oracle Linux with the Unbreakable Enterprise Kernel.
    Oracle,
    Amazon,
    AzureLinux,
}

/// What a kernel release says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Release {
    /// Who made it.
    pub distro: Family,
    /// The distribution's release: `12`, `sid`, `22.04`, `15-sp5`, `9.2`. For kernels that several releases of Ubuntu
    /// have, the LTS that keeps them; for SUSE, Leap has those of the service pack of the same number.
    pub release: String,
    /// SLES: the service pack, 0 for the first release.
    pub service_pack: Option<u32>,
    /// `cloud-amd64`, `azure`, `rt`; `default` where the name has none.
    pub flavour: String,
}

/// Reads a kernel release. A name that no family gives is an input error that says which part is not known.
pub fn parse(text: &str) -> Result<Release> {
    let parsed = if text.is_empty() || text.len() > LONGEST {
        Err(format!("a release has 1 to {LONGEST} characters, this has {}", text.len()))
    } else if let Some(strange) = text.chars().find(|c| !c.is_ascii_alphanumeric() && !"-._+".contains(*c)) {
        Err(format!("{strange:?} is in no release"))
    } else {
        by_ending(text)
    };
    parsed.map_err(|why| {
        Error::input(format!("kernel release {text:?}: {why}"))
            .note("the names that are known are in xtask/src/kernels/release/; a new family or series is a line there")
    })
}

/// Every family's names end in something that only it has, or that only it has together with its versions.
fn by_ending(text: &str) -> Parsed {
    let (version, rest) = text.split_once('-').ok_or("it has no `-`, as the kernel of every distribution has")?;
    let version = numbers(version.split_once('+').map_or(version, |(version, _)| version))?;
    if ["amd64", "arm64"].iter().any(|arch| rest.ends_with(arch)) {
        return debian::parse(text, &version, rest);
    }
    if let Some(tag) = red_hat::tag(rest) {
        return red_hat::parse(&version, tag);
    }
    let (build, flavour) = rest.split_once('-').ok_or("its ending is that of no known family")?;
    if text.contains('+') {
        return Err("a `+` is not in the names of Ubuntu or SUSE".into());
    }
    if ubuntu::FLAVOURS.contains(&flavour) && !build.contains('.') && ubuntu::lts(&version).is_some() {
        return ubuntu::parse(&version, build, flavour);
    }
    suse::parse(&version, build, flavour)
}

/// A release, or why there is none.
type Parsed = Result<Release, String>;

/// `5.14.21` and the like: numbers of at most 32 bits, written as the kernel writes them.
fn numbers(text: &str) -> Result<Vec<u32>, String> {
    text.split('.').map(number).collect()
}

fn number(text: &str) -> Result<u32, String> {
    let plain = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    if !plain {
        return Err(format!("{text:?} is not a number"));
    }
    text.parse().map_err(|_| format!("{text} is too large a number"))
}

/// A version as it is written.
fn dotted(numbers: &[u32]) -> String {
    numbers.iter().map(u32::to_string).collect::<Vec<_>>().join(".")
}
