// SPDX-License-Identifier: GPL-2.0-only
//! Debian: `6.1.0-56-cloud-amd64`, `6.5.0-0.deb12.4-amd64` (backports), `6.12.117+deb13-amd64`, `7.3-amd64` (experimental).

use super::{Family, Parsed, Release, dotted, number};

/// Releases whose kernels have an ABI number and no release in their name, by the kernel's series.
const BY_SERIES: &[([u32; 2], &str)] = &[([4, 19], "10"), ([5, 10], "11"), ([5, 17], "12"), ([6, 1], "12")];

/// The release in preparation: its kernels are sid's.
const NEXT: u32 = 14;

/// The oldest release that has this scheme.
const OLDEST: u32 = 10;

const VARIANTS: [&str; 2] = ["cloud", "rt"];

/// `version` is what stands before `+deb…`, `rest` is what stands behind the first `-`.
pub fn parse(text: &str, version: &[u32], rest: &str) -> Parsed {
    let (build, flavour) = split_flavour(rest);
    if let [variant, _] = flavour.split('-').collect::<Vec<_>>()[..]
        && !VARIANTS.contains(&variant)
    {
        return Err(format!("Debian has no flavour {flavour}"));
    }
    if !matches!(flavour.split('-').next_back(), Some("amd64" | "arm64")) {
        return Err(format!("Debian has no flavour {flavour}"));
    }
    let suffix = text.split_once('-').and_then(|(head, _)| head.split_once('+')).map(|(_, suffix)| suffix);
    let release = match (suffix, build) {
        (Some(suffix), None) if version.len() == 3 => named(suffix)?,
        (Some(_), _) => return Err("a Debian release in the version goes with X.Y.Z and no ABI number".into()),
        (None, None) => experimental(version)?,
        (None, Some(build)) => with_build(version, build)?,
    };
    Ok(Release { distro: Family::Debian, release, service_pack: None, flavour: flavour.into() })
}

/// The part before the flavour, where there is one: `56` of `56-cloud-amd64`.
fn split_flavour(rest: &str) -> (Option<&str>, &str) {
    match rest.split_once('-') {
        Some((build, flavour)) if build.starts_with(|c: char| c.is_ascii_digit()) || build.starts_with("rc") => {
            (Some(build), flavour)
        }
        _ => (None, rest),
    }
}

fn with_build(version: &[u32], build: &str) -> Result<String, String> {
    if let Some(candidate) = build.strip_prefix("rc") {
        number(candidate)?;
        return experimental(version);
    }
    let [major, minor, 0] = *version else {
        return Err(format!("Debian's versions with an ABI number are X.Y.0, not {}", dotted(version)));
    };
    if let Some(backport) = build.strip_prefix("0.") {
        return named(backport);
    }
    number(build)?;
    let found = BY_SERIES.iter().find(|(series, _)| *series == [major, minor]);
    found.map(|(_, release)| (*release).to_string()).ok_or(format!("Debian has no {major}.{minor} with an ABI number"))
}

/// `deb13` or `deb13.1`.
fn named(suffix: &str) -> Result<String, String> {
    let numbers = suffix.strip_prefix("deb").ok_or(format!("{suffix:?} is not a Debian release such as deb13"))?;
    match super::numbers(numbers)?[..] {
        [release] | [release, _] if (OLDEST..NEXT).contains(&release) => Ok(release.to_string()),
        [NEXT] | [NEXT, _] => Ok("sid".into()),
        _ => Err(format!("{suffix:?} is not a Debian release from deb{OLDEST} to deb{NEXT}")),
    }
}

/// Only the first uploads of a series, which go to experimental, have two numbers and nothing else.
fn experimental(version: &[u32]) -> Result<String, String> {
    match version {
        [major, _] if *major >= 6 => Ok("experimental".into()),
        _ => Err(format!("Debian's {} has neither an ABI number nor a release such as +deb13", dotted(version))),
    }
}
