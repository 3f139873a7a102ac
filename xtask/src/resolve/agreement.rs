// SPDX-License-Identifier: GPL-2.0-only
//! Whether a kernel is what its selector asked for: by its name, and by what its KDIR says of itself.

use super::candidate::Candidate;
use super::facts::{Facts, Suse};
use crate::error::{Error, Result};
use crate::kernels::{Distro, parse_release};

/// Refuses a kernel whose name or KDIR says another release, service pack or flavour; the error names both.
pub fn check(distro: &str, candidate: &Candidate, facts: &Facts) -> Result<()> {
    let Candidate { suite, flavour, kernel, .. } = candidate;
    let asked = format!("the selector asks for {distro} {suite}, flavour {flavour}");
    let named = parse_release(kernel).map_err(|error| Error { kind: crate::error::Kind::Kernel, ..error })?;
    let release =
        Distro::find(distro).and_then(|distro| distro.release_of(suite)).map_or(suite.as_str(), |one| one.name);
    let same_release = match distro {
        // Rebuilds keep Red Hat's names, and a major is whatever minor it is at.
        "alma" | "rocky" | "oracle" => named.release == release || named.release.split('.').next() == Some(release),
        // Leap has the kernels of SLES.
        "opensuse-leap" => named.release.replace("-sp", ".") == release,
        _ => named.release == release,
    };
    if !same_release || named.flavour != *flavour {
        return Err(Error::kernel(format!(
            "{kernel}: {asked}, and its name is that of {} {}, flavour {}",
            display_family(&named),
            named.release,
            named.flavour
        )));
    }
    match (named.service_pack, facts.suse) {
        (Some(pack), Some(Suse { version, service_pack })) if pack != service_pack => Err(Error::kernel(format!(
            "{kernel}: {asked}, and its KDIR says PATCH_LEVEL {service_pack} of SLES {version} (CONFIG_SUSE_PATCHLEVEL)"
        ))),
        // Kernels before SLES 12 SP4 have no such option.
        (Some(_), None) if suite == "12-sp3" => Ok(()),
        (Some(_), None) => Err(Error::kernel(format!(
            "{kernel}: {asked}, and its KDIR says no PATCH_LEVEL at all (CONFIG_SUSE_PATCHLEVEL)"
        ))),
        _ if facts.release.as_deref().is_some_and(|release| release != kernel) => Err(Error::kernel(format!(
            "{kernel}: its package is that of {kernel}, and its KDIR that of {} (utsrelease.h)",
            facts.release.as_deref().unwrap_or_default()
        ))),
        _ => Ok(()),
    }
}

fn display_family(release: &impl serde::Serialize) -> String {
    let value = serde_json::to_value(release).unwrap_or_default();
    value["distro"].as_str().unwrap_or("another family").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(suite: &str, kernel: &str) -> Candidate {
        Candidate {
            suite: suite.into(),
            archive: String::new(),
            flavour: "default".into(),
            kernel: kernel.into(),
            version: String::new(),
            source_name: "linux".into(),
            packages: Vec::new(),
            source: None,
            compiler: None,
        }
    }

    fn facts(pack: Option<u32>, release: &str) -> Facts {
        let suse = pack.map(|service_pack| Suse { version: 15, service_pack });
        Facts { suse, release: Some(release.into()), ..Facts::default() }
    }

    #[test]
    fn a_service_pack_that_is_not_the_one_asked_for_is_refused_with_both() {
        const KERNEL: &str = "5.14.21-150500.55.88-default";
        let says = |suite: &str, facts: &Facts| check("sles", &candidate(suite, KERNEL), facts).map_err(|e| e.message);
        assert_eq!(says("15-sp5", &facts(Some(5), KERNEL)), Ok(()));
        let other = says("15-sp5", &facts(Some(4), KERNEL)).unwrap_err();
        assert!(other.contains("asks for sles 15-sp5") && other.contains("PATCH_LEVEL 4 of SLES 15"), "{other}");
        assert!(says("15-sp5", &facts(None, KERNEL)).unwrap_err().contains("no PATCH_LEVEL"));
        let name = says("15-sp4", &facts(Some(5), KERNEL)).unwrap_err();
        assert!(name.contains("sles 15-sp4") && name.contains("sles 15-sp5"), "{name}");
        assert!(says("15-sp5", &facts(Some(5), "6.1.0-56-amd64")).unwrap_err().contains("6.1.0-56-amd64"));
    }

    #[test]
    fn kernels_before_sles_12_sp4_say_no_service_pack() {
        let kernel = "4.4.180-94.164-default";
        assert!(check("sles", &candidate("12-sp3", kernel), &facts(None, kernel)).is_ok());
    }

    #[test]
    fn rebuilds_of_red_hat_have_its_minors() {
        let kernel = "5.14.0-503.40.1.el9_5.x86_64";
        assert!(check("alma", &candidate("9", kernel), &facts(None, kernel)).is_ok());
        assert!(check("rhel", &candidate("9.5", kernel), &facts(None, kernel)).is_ok());
        assert!(check("rhel", &candidate("9.4", kernel), &facts(None, kernel)).is_err());
    }
}
