// SPDX-License-Identifier: GPL-2.0-only
//! Ubuntu: `5.15.0-138-generic`, `6.8.0-1027-azure`.

use super::{Family, Parsed, Release, number};

/// Flavours that are built from Ubuntu's main source: their ABI numbers are below 1000, those of the others above.
const MAIN: [&str; 3] = ["generic", "generic-64k", "lowlatency"];

/// Every flavour.
pub const FLAVOURS: [&str; 10] =
    ["generic", "generic-64k", "lowlatency", "azure", "azure-fde", "aws", "gcp", "oracle", "ibm", "kvm"];

/// The LTS that has a series as its own or as a hardware enablement kernel (interim releases have the latter too).
const LTS: &[([u32; 2], &str)] = &[
    ([4, 4], "16.04"),
    ([4, 15], "18.04"),
    ([4, 18], "18.04"),
    ([5, 0], "18.04"),
    ([5, 3], "18.04"),
    ([5, 4], "20.04"),
    ([5, 8], "20.04"),
    ([5, 11], "20.04"),
    ([5, 13], "20.04"),
    ([5, 15], "22.04"),
    ([5, 19], "22.04"),
    ([6, 2], "22.04"),
    ([6, 5], "22.04"),
    ([6, 8], "24.04"),
    ([6, 11], "24.04"),
    ([6, 14], "24.04"),
    ([6, 17], "24.04"),
    ([7, 0], "26.04"),
];

/// The LTS of a version, which is `X.Y.0`.
pub fn lts(version: &[u32]) -> Option<&'static str> {
    let [major, minor, 0] = *version else { return None };
    LTS.iter().find(|(series, _)| *series == [major, minor]).map(|(_, lts)| *lts)
}

/// `build` is the ABI number.
pub fn parse(version: &[u32], build: &str, flavour: &str) -> Parsed {
    let release = lts(version).ok_or("Ubuntu has no such series")?;
    let abi = number(build)?;
    if abi == 0 || (abi < 1000) != MAIN.contains(&flavour) {
        return Err(format!("{abi} is not an ABI number of Ubuntu's {flavour}"));
    }
    Ok(Release { distro: Family::Ubuntu, release: release.into(), service_pack: None, flavour: flavour.into() })
}
