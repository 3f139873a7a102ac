// SPDX-License-Identifier: GPL-2.0-only
//! RHEL and those who follow its way: `5.14.0-284.86.1.el9_2.x86_64+rt`, `5.15.0-200.131.27.el9uek.x86_64`,
//! `6.1.94-99.176.amzn2023.x86_64`, `6.6.57.1-6.azl3`.

use super::{Family, Parsed, Release, dotted, number, numbers};

/// RHEL's minors: major, minor, first number of the build.
const MINORS: &[(u32, u32, u32)] = &[
    (8, 0, 80),
    (8, 1, 147),
    (8, 2, 193),
    (8, 3, 240),
    (8, 4, 305),
    (8, 5, 348),
    (8, 6, 372),
    (8, 7, 425),
    (8, 8, 477),
    (8, 9, 513),
    (8, 10, 553),
    (9, 0, 70),
    (9, 1, 162),
    (9, 2, 284),
    (9, 3, 362),
    (9, 4, 427),
    (9, 5, 503),
    (9, 6, 570),
    (10, 0, 55),
];

/// The version that each major keeps.
const VERSIONS: &[(u32, [u32; 3])] = &[(8, [4, 18, 0]), (9, [5, 14, 0]), (10, [6, 12, 0])];

/// Oracle's kernels: major of Oracle Linux, version of UEK.
const UEK: &[(u32, [u32; 3])] =
    &[(7, [5, 4, 17]), (8, [5, 4, 17]), (8, [5, 15, 0]), (9, [5, 15, 0]), (9, [6, 12, 0]), (10, [6, 12, 0])];

/// Amazon's series.
const AMAZON: &[(&str, &[[u32; 2]])] = &[("2", &[[4, 14], [5, 4], [5, 10], [5, 15]]), ("2023", &[[6, 1], [6, 12]])];

const VARIANTS: [&str; 4] = ["rt", "debug", "64k", "rt-debug"];

/// The parts of `284.86.1.el9_2.x86_64+rt`.
pub struct Tagged<'a> {
    build: &'a str,
    kind: &'a str,
    tag: &'a str,
    tail: Option<&'a str>,
}

/// Finds the tag that says whose package it is; `None` where there is none.
pub fn tag(rest: &str) -> Option<Tagged<'_>> {
    ["el", "amzn", "azl", "cm"].into_iter().find_map(|kind| {
        let (build, tag) = rest.split_once(&format!(".{kind}"))?;
        let (tag, tail) = tag.split_once('.').map_or((tag, None), |(tag, tail)| (tag, Some(tail)));
        Some(Tagged { build, kind, tag, tail })
    })
}

/// Reads the rest of such a name.
pub fn parse(version: &[u32], tagged: Tagged<'_>) -> Parsed {
    let build = numbers(tagged.build)?;
    if matches!(tagged.kind, "azl" | "cm") {
        return azure_linux(version, &tagged);
    }
    let flavour = flavour(tagged.tail)?;
    let release = |distro, release: String| Release { distro, release, service_pack: None, flavour: flavour.into() };
    if tagged.kind == "amzn" {
        let known =
            AMAZON.iter().any(|(name, series)| *name == tagged.tag && series.iter().any(|s| version.starts_with(s)));
        return match known && version.len() == 3 {
            true => Ok(release(Family::Amazon, tagged.tag.into())),
            false => Err(format!("Amazon Linux {:?} has no kernel {}", tagged.tag, dotted(version))),
        };
    }
    if let Some(major) = tagged.tag.strip_suffix("uek") {
        let major = number(major)?;
        return match UEK.iter().any(|(of, known)| *of == major && known == version) && flavour == "default" {
            true => Ok(Release { flavour: "uek".into(), ..release(Family::Oracle, major.to_string()) }),
            false => Err(format!("Oracle Linux {major} has no UEK {} with the flavour {flavour}", dotted(version))),
        };
    }
    let (major, minor) = match tagged.tag.split_once('_') {
        Some((major, minor)) => (number(major)?, Some(number(minor)?)),
        None => (number(tagged.tag)?, None),
    };
    if !VERSIONS.iter().any(|(of, known)| *of == major && known == version) {
        return Err(format!("RHEL {major} has no kernel {}", dotted(version)));
    }
    match minor {
        Some(minor) => check_minor(major, minor, &build).map(|()| release(Family::Rhel, format!("{major}.{minor}"))),
        None if major >= 9 => Ok(release(Family::CentosStream, major.to_string())),
        None => Err("without a minor (el8_4) it can be RHEL 8's or CentOS Stream's".into()),
    }
}

/// A minor that is known has its own builds; a later one has later builds.
fn check_minor(major: u32, minor: u32, build: &[u32]) -> Result<(), String> {
    let first = build.first().copied().unwrap_or(0);
    let known = MINORS.iter().find(|(of, known, _)| (*of, *known) == (major, minor));
    let newest = MINORS.iter().filter(|(of, ..)| *of == major).map(|(.., build)| *build).max();
    let fits = known.map_or(newest.is_some_and(|newest| major > 8 && first > newest), |(.., base)| *base == first);
    fits.then_some(()).ok_or_else(|| format!("the build {first} is not one of RHEL {major}.{minor}"))
}

/// `x86_64`, `aarch64+64k`.
fn flavour(tail: Option<&str>) -> Result<&str, String> {
    let tail = tail.ok_or("it does not end in an architecture")?;
    let (arch, flavour) = tail.split_once('+').unwrap_or((tail, "default"));
    if !["x86_64", "aarch64"].contains(&arch) {
        return Err(format!("{arch:?} is not an architecture that is known"));
    }
    let known = flavour == "default" && arch == tail || VARIANTS.contains(&flavour);
    known.then_some(flavour).ok_or_else(|| format!("RHEL has no flavour {flavour:?}"))
}

/// Azure Linux has four numbers in a version and no architecture in a release.
fn azure_linux(version: &[u32], tagged: &Tagged<'_>) -> Parsed {
    let release = match (tagged.kind, tagged.tag, version, tagged.tail) {
        ("cm", "2", [5, 15, _, _], None) => "2",
        ("azl", "3", [6, 6, _, _], None) => "3",
        _ => {
            return Err(format!(
                "{}{} is no release of Azure Linux with a kernel {}",
                tagged.kind,
                tagged.tag,
                dotted(version)
            ));
        }
    };
    Ok(Release { distro: Family::AzureLinux, release: release.into(), service_pack: None, flavour: "default".into() })
}
