// SPDX-License-Identifier: GPL-2.0-only
//! Selectors by service packs and minors: `sles: {release: "15", service_packs: [4, 5, 6]}`, in place of `distro` and
//! `suites`.

use super::{Constraint, Selector, Series, default_arch, default_pockets};
use serde::Deserialize;

/// A selector as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Written {
    #[serde(default)]
    distro: Option<String>,
    #[serde(default)]
    suites: Option<Vec<String>>,
    #[serde(default)]
    sles: Option<ServicePacks>,
    #[serde(default)]
    rhel: Option<Minors>,
    #[serde(default = "default_pockets")]
    pockets: Vec<String>,
    #[serde(default = "default_arch")]
    arch: String,
    flavours: Vec<String>,
    newest: Option<usize>,
    #[serde(default)]
    series: Series,
    #[serde(default)]
    version: Option<Constraint>,
}

/// Service packs of one SLES.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ServicePacks {
    release: String,
    service_packs: Vec<u32>,
}

/// Minors of one RHEL.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Minors {
    release: String,
    minors: Vec<u32>,
}

impl ServicePacks {
    fn suites(&self) -> Vec<String> {
        let suite = |pack: &u32| match (self.release.as_str(), pack) {
            ("16", minor) => format!("16.{minor}"),
            (release, 0) => release.to_string(),
            (release, pack) => format!("{release}-sp{pack}"),
        };
        self.service_packs.iter().map(suite).collect()
    }
}

impl TryFrom<Written> for Selector {
    type Error = String;

    fn try_from(written: Written) -> Result<Selector, String> {
        let Written { distro, suites, sles, rhel, pockets, arch, flavours, newest, series, version } = written;
        let (distro, suites) = match (distro, suites, sles, rhel) {
            (Some(distro), Some(suites), None, None) => (distro, suites),
            (None, None, Some(sles), None) => ("sles".to_string(), sles.suites()),
            (None, None, None, Some(rhel)) => {
                let suites = rhel.minors.iter().map(|minor| format!("{}.{minor}", rhel.release));
                ("rhel".to_string(), suites.collect())
            }
            (Some(_), None, None, None) => return Err("missing key `suites`".into()),
            (None, _, None, None) => return Err("missing key `distro`".into()),
            _ => return Err("`distro` with `suites`, `sles` and `rhel` are three ways to say one thing".into()),
        };
        Ok(Selector { distro, suites, pockets, arch, flavours, newest, series, version })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn service_packs_and_minors_are_suites() {
        let read = |text: &str| serde_yaml::from_str::<Selector>(text);
        let sles = read("{sles: {release: '15', service_packs: [0, 4]}, flavours: [default]}").unwrap();
        assert_eq!((sles.distro.as_str(), sles.suites), ("sles", vec!["15".to_string(), "15-sp4".into()]));
        let rhel = read("{rhel: {release: '9', minors: [2]}, flavours: [default]}").unwrap();
        assert_eq!((rhel.distro.as_str(), rhel.suites), ("rhel", vec!["9.2".to_string()]));
        let both = read("{distro: debian, suites: [sid], rhel: {release: '9', minors: [2]}, flavours: [amd64]}");
        assert!(both.unwrap_err().to_string().contains("three ways"));
        assert!(read("{suites: [sid], flavours: [amd64]}").unwrap_err().to_string().contains("missing key `distro`"));
    }
}
