// SPDX-License-Identifier: GPL-2.0-only
//! SUSE: `4.12.14-16.200-azure`, `5.14.21-150500.55.88-default`, `5.3.18-lp152.106-default`, `6.11.8-1-default`.

use super::{Family, Parsed, Release, dotted, number, numbers};

const FLAVOURS: [&str; 6] = ["default", "azure", "rt", "64kb", "debug", "vanilla"];

/// Versions of the service packs, which are also a part of the build from SLES 15 SP4 on (`150500`, and in LTSS before).
const PACKS: &[(u32, u32, &[u32])] = &[
    (12, 4, &[4, 12, 14]),
    (12, 5, &[4, 12, 14]),
    (15, 0, &[4, 12, 14]),
    (15, 1, &[4, 12, 14]),
    (15, 2, &[5, 3, 18]),
    (15, 3, &[5, 3, 18]),
    (15, 4, &[5, 14, 21]),
    (15, 5, &[5, 14, 21]),
    (15, 6, &[6, 4, 0]),
    (15, 7, &[6, 4, 0]),
    (16, 0, &[6, 12, 0]),
];

/// Version, first numbers of its builds, flavour, release, pack.
type Early = (&'static [u32], &'static [u32], &'static str, u32, u32);

/// Packs from before that scheme.
const EARLY: &[Early] = &[
    (&[4, 12, 14], &[94, 95], "default", 12, 4),
    (&[4, 12, 14], &[6], "azure", 12, 4),
    (&[4, 12, 14], &[8], "rt", 12, 4),
    (&[4, 12, 14], &[120, 122], "default", 12, 5),
    (&[4, 12, 14], &[16], "azure", 12, 5),
    (&[4, 12, 14], &[10], "rt", 12, 5),
    (&[4, 12, 14], &[23, 25, 150], "default", 15, 0),
    (&[4, 12, 14], &[5], "azure", 15, 0),
    (&[4, 12, 14], &[195, 197], "default", 15, 1),
    (&[4, 12, 14], &[8], "azure", 15, 1),
    (&[4, 12, 14], &[14], "rt", 15, 1),
    (&[5, 3, 18], &[22, 24], "default", 15, 2),
    (&[5, 3, 18], &[18], "azure", 15, 2),
    (&[5, 3, 18], &[13, 16, 19, 22, 25, 33, 57], "rt", 15, 2),
    (&[5, 3, 18], &[57, 59], "default", 15, 3),
    (&[5, 3, 18], &[36, 38], "azure", 15, 3),
    (&[5, 3, 18], &[8], "rt", 15, 3),
];

/// `build` is what stands between the version and the flavour.
pub fn parse(version: &[u32], build: &str, flavour: &str) -> Parsed {
    if !FLAVOURS.contains(&flavour) {
        return Err(format!("no family has a kernel {} with the flavour {flavour:?}", dotted(version)));
    }
    if let Some(leap) = build.strip_prefix("lp") {
        return leap_alone(version, leap, flavour);
    }
    let build = numbers(build)?;
    if let Some((release, pack)) = pack(version, &build, flavour) {
        return Ok(sles(release, pack, flavour));
    }
    let belongs_to_sles = version.starts_with(&[4, 4]) || PACKS.iter().any(|(_, _, known)| *known == version);
    match (version, &build[..]) {
        ([6 | 7, _, _], [1..=99]) if !belongs_to_sles && ["default", "vanilla", "debug"].contains(&flavour) => {
            Ok(Release {
                distro: Family::OpensuseTumbleweed,
                release: "tumbleweed".into(),
                service_pack: None,
                flavour: flavour.into(),
            })
        }
        _ => Err(format!("{}-{} is a {flavour} kernel of no service pack", dotted(version), dotted(&build))),
    }
}

/// The service pack of a build.
fn pack(version: &[u32], build: &[u32], flavour: &str) -> Option<(u32, u32)> {
    let first = *build.first()?;
    if let ([4, 4, _], [4, _, ..], "azure")
    | ([4, 4, _], [3, _, ..], "rt")
    | ([4, 4, 73], [5, ..], "default")
    | ([4, 4, _], [6 | 94, _, ..], "default") = (version, build, flavour)
        && build.len() <= 3
    {
        return Some((12, 3));
    }
    let known = PACKS
        .iter()
        .find(|(release, pack, known)| *known == version && *release >= 15 && first == release * 10_000 + pack * 100);
    // 150500.55.88, and 150500.55 at a pack's first release.
    if let Some((release, pack, _)) = known.filter(|_| matches!(build.len(), 2..=4)) {
        return Some((*release, *pack));
    }
    let early =
        EARLY.iter().find(|(known, builds, of, ..)| *known == version && builds.contains(&first) && *of == flavour);
    early.filter(|_| build.len() <= 3).map(|(.., release, pack)| (*release, *pack))
}

fn sles(release: u32, pack: u32, flavour: &str) -> Release {
    let name = match (release, pack) {
        (16.., minor) => format!("{release}.{minor}"),
        (_, 0) => release.to_string(),
        (_, pack) => format!("{release}-sp{pack}"),
    };
    Release { distro: Family::Sles, release: name, service_pack: Some(pack), flavour: flavour.into() }
}

/// Leap before 15.3 had kernels of its own: `lp152.106`.
fn leap_alone(version: &[u32], build: &str, flavour: &str) -> Parsed {
    let (leap, build) = build.split_once('.').ok_or("Leap's builds are lpNNN.N")?;
    numbers(build)?;
    let release = match (number(leap)?, version) {
        (151, [4, 12, 14]) => "15.1",
        (152, [5, 3, 18]) => "15.2",
        _ => return Err(format!("Leap {leap} has no kernel {}", dotted(version))),
    };
    Ok(Release { distro: Family::OpensuseLeap, release: release.into(), service_pack: None, flavour: flavour.into() })
}
