// SPDX-License-Identifier: GPL-2.0-only
//! What there is to know about the driver on a machine.

use super::certificate::Certificate;
use super::module_file::{ModuleFile, build_id_of_note};
use super::system::System;
use crate::config::{CONFIG, Config};
use crate::disk::{among, path_of};
use crate::driver::{DEVICE, Driver, Version};
use crate::error::{Error, Result};
use crate::request::Transport;
use crate::statistics::Statistics;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

/// Which family of distributions the machine is of: how packages are installed there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// apt.
    Debian,
    /// zypper.
    Suse,
    /// dnf.
    RedHat,
    /// None of these.
    Other,
}

/// Who put the module where it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// A package that has it ready-made.
    Prebuilt,
    /// DKMS made it on this machine.
    Dkms,
    /// A file that is in no place of a package.
    ByHand,
}

/// The module that `modprobe` would load.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Installed {
    /// Its file.
    pub path: String,
    /// Who put it there.
    pub origin: Origin,
    /// Whether `modprobe` knows of it.
    pub in_modules_dep: bool,
    /// What it says of itself, or why it cannot be read.
    pub file: Result<ModuleFile, Unread>,
    /// Who signed it, if it is signed.
    pub signer: Option<Signer>,
}

/// Why a module's file says nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unread {
    /// It is compressed, which is fine with the kernel.
    Compressed,
    /// Something is wrong with it; a sentence without its subject.
    Bad(String),
}

/// Who signed a module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Signer {
    /// A certificate that is on this machine.
    Known {
        /// The certificate's file.
        certificate: String,
        /// Whether the kernel has its key.
        enrolled: bool,
    },
    /// Somebody else.
    Unknown,
}

/// The module that is loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loaded {
    /// Whether it has finished loading.
    pub live: bool,
    /// Its build id, if the kernel tells.
    pub build_id: Option<Vec<u8>>,
    /// Whether the kernel took it without a good signature.
    pub unsigned: bool,
    /// Hooks and open files that keep it loaded.
    pub references: u64,
}

/// How strict the machine is with modules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Enforcement {
    /// Whether Secure Boot is on; `None` without UEFI.
    pub secure_boot: Option<bool>,
    /// The kernel's lockdown mode, `none` where there is none.
    pub lockdown: String,
    /// Whether the kernel was told to take signed modules only.
    pub signatures_only: bool,
}

impl Enforcement {
    /// Whether a module without a good signature is refused.
    pub fn is_on(&self) -> bool {
        self.signatures_only || self.lockdown != "none"
    }
}

/// The driver's device node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Node {
    /// There is none.
    Absent,
    /// Something else is in its place.
    NoCharacterDevice,
    /// It is there.
    Present {
        /// Its major number.
        major: u64,
        /// Permission bits.
        mode: u32,
        /// Whether its owner is root.
        roots: bool,
    },
}

/// What the driver answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Its version.
    pub version: Version,
    /// Every filtered disk, and its statistics.
    pub disks: Vec<(String, Result<Statistics>)>,
}

/// Everything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// `uname -r`.
    pub release: String,
    /// How packages are installed here.
    pub family: Family,
    /// The module on the disk.
    pub installed: Option<Installed>,
    /// The module in the kernel.
    pub loaded: Option<Loaded>,
    /// How strict the machine is.
    pub enforcement: Enforcement,
    /// Our own signing certificate, where it is installed, and whether the kernel has its key.
    pub certificate: Option<Signer>,
    /// The device node.
    pub node: Node,
    /// Major number of the driver in `/proc/devices`.
    pub major: Option<u64>,
    /// The driver's answer.
    pub answer: Result<Answer>,
    /// Configured disks that are there and not filtered; or what is wrong with the configuration.
    pub unfiltered: Result<Vec<String>>,
}

/// Certificates that may have signed the module: ours, DKMS's, and DKMS's on Ubuntu.
const CERTIFICATES: [&str; 3] = [OURS, "/var/lib/dkms/mok.pub", "/var/lib/shim-signed/mok/MOK.der"];
/// Our own certificate, from the package involflt-ueficert.
pub const OURS: &str = "/usr/share/involflt/involflt-module.der";

/// Folders below `/lib/modules/RELEASE` that packages put the module in.
const FOLDERS: [&str; 6] =
    ["updates/involflt", "updates/dkms", "extra/involflt", "weak-updates/involflt", "extra", "updates"];

/// `SecureBoot` of the UEFI global variables: four bytes of attributes, then 0 or 1.
const SECURE_BOOT: &str = "/sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c";

/// Gathers the facts of this machine.
pub fn here() -> Facts {
    let driver = Driver::open();
    gather(&System::at("/"), driver)
}

/// Gathers the facts of the machine whose files are below `system`'s root.
fn gather(system: &System, driver: Result<Driver<impl Transport>>) -> Facts {
    let release = system.text("/proc/sys/kernel/osrelease").unwrap_or_default();
    let keys = system.text("/proc/keys").unwrap_or_default();
    let answer = driver.and_then(|driver| answer(&driver));
    let filtered: Vec<_> = answer.iter().flat_map(|answer| &answer.disks).map(|(name, _)| name.clone()).collect();
    Facts {
        family: family(&system.text("/etc/os-release").unwrap_or_default()),
        installed: installed(system, &release, &keys),
        loaded: loaded(system),
        enforcement: enforcement(system),
        certificate: certificate(system, OURS).map(|known| signer(OURS, &known, &keys)),
        node: node(&system.path(DEVICE)),
        major: major(&system.text("/proc/devices").unwrap_or_default()),
        unfiltered: Config::read(&system.path(CONFIG)).map(|config| unfiltered(config, &filtered)),
        answer,
        release,
    }
}

fn family(os_release: &str) -> Family {
    let lines = os_release.lines().filter_map(|line| line.strip_prefix("ID=").or(line.strip_prefix("ID_LIKE=")));
    let ids: Vec<_> = lines.flat_map(|ids| ids.trim_matches('"').split(' ')).collect();
    let is = |id: &str| ids.contains(&id);
    match () {
        () if is("debian") || is("ubuntu") => Family::Debian,
        () if is("suse") || is("sles") || is("opensuse") => Family::Suse,
        () if is("rhel") || is("fedora") || is("centos") => Family::RedHat,
        () => Family::Other,
    }
}

fn installed(system: &System, release: &str, keys: &str) -> Option<Installed> {
    let folder = format!("/lib/modules/{release}");
    let known = in_modules_dep(&system.text(&format!("{folder}/modules.dep")).unwrap_or_default());
    let in_modules_dep = known.is_some();
    let known = known.map(|path| format!("{folder}/{path}"));
    let places = FOLDERS.iter().map(|place| format!("{folder}/{place}/involflt.ko"));
    let path = known.into_iter().chain(places).find(|path| system.has(path))?;
    let file = match system.bytes(&path) {
        Some(data) if path.ends_with(".ko") => ModuleFile::parse(&data).map_err(Unread::Bad),
        Some(_) => Err(Unread::Compressed),
        None => Err(Unread::Bad("cannot be read".to_string())),
    };
    let signature = file.as_ref().ok().and_then(|file| file.signature.as_deref());
    let signer = signature.map(|signature| signer_of(system, signature, keys));
    Some(Installed { origin: origin(system, &path, release), path, in_modules_dep, file, signer })
}

fn in_modules_dep(text: &str) -> Option<String> {
    let paths = text.lines().filter_map(|line| line.split(':').next());
    let is_ours = |path: &&str| {
        let name = path.rsplit('/').next().unwrap_or_default();
        name.strip_prefix("involflt.ko").is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    };
    paths.into_iter().find(is_ours).map(|path| path.trim_start_matches('/').to_string())
}

fn origin(system: &System, path: &str, release: &str) -> Origin {
    let target = system.path(path).canonicalize().map_or_else(|_| path.to_string(), |target| system.inside(&target));
    let machine =
        nix::sys::utsname::uname().map_or("x86_64".into(), |name| name.machine().to_string_lossy().into_owned());
    let dkms = format!("/var/lib/dkms/involflt/kernel-{release}-{machine}");
    let is_below = |folder: &str| target.contains(&format!("/{folder}/"));
    match () {
        () if is_below("dkms") || system.has(&dkms) => Origin::Dkms,
        () if ["lib/involflt/modules", "updates/involflt", "extra/involflt"].into_iter().any(is_below) => {
            Origin::Prebuilt
        }
        () => Origin::ByHand,
    }
}

fn certificate(system: &System, path: &str) -> Option<Certificate> {
    Certificate::parse(&system.bytes(path)?)
}

/// A key that the kernel has is a line of `/proc/keys` with its identifier.
fn signer(path: &str, certificate: &Certificate, keys: &str) -> Signer {
    let trusted = keys.lines().filter(|line| line.contains("asymmetri") && !line.contains(".blacklist"));
    let enrolled = trusted.into_iter().any(|line| line.contains(&certificate.key_id));
    Signer::Known { certificate: path.to_string(), enrolled }
}

fn signer_of(system: &System, signature: &[u8], keys: &str) -> Signer {
    let signed = |path: &&str| certificate(system, path).filter(|certificate| certificate.has_signed(signature));
    let found = CERTIFICATES.iter().find_map(|path| Some((path, signed(path)?)));
    found.map_or(Signer::Unknown, |(path, certificate)| signer(path, &certificate, keys))
}

fn loaded(system: &System) -> Option<Loaded> {
    let of = |name: &str| system.text(&format!("/sys/module/involflt/{name}"));
    let state = of("initstate")?;
    let note = system.bytes("/sys/module/involflt/notes/.note.gnu.build-id");
    Some(Loaded {
        live: state == "live",
        build_id: note.as_deref().and_then(build_id_of_note),
        unsigned: of("taint").is_some_and(|taint| taint.contains('E')),
        references: of("refcnt").and_then(|count| count.parse().ok()).unwrap_or_default(),
    })
}

fn enforcement(system: &System) -> Enforcement {
    let lockdown = system.text("/sys/kernel/security/lockdown").unwrap_or_default();
    let chosen = lockdown.split_once('[').and_then(|(_, rest)| rest.split_once(']'));
    Enforcement {
        secure_boot: system.bytes(SECURE_BOOT).map(|value| value.get(4) == Some(&1)),
        lockdown: chosen.map_or("none", |(mode, _)| mode).to_string(),
        signatures_only: system.text("/sys/module/module/parameters/sig_enforce").as_deref() == Some("Y"),
    }
}

fn node(path: &Path) -> Node {
    let Ok(status) = path.metadata() else { return Node::Absent };
    if !status.file_type().is_char_device() {
        return Node::NoCharacterDevice;
    }
    let major = nix::sys::stat::major(status.rdev());
    Node::Present { major, mode: status.mode() & 0o7777, roots: status.uid() == 0 }
}

/// A line of `/proc/devices` is a number and a name; block devices come after the character devices.
fn major(devices: &str) -> Option<u64> {
    let characters = devices.lines().take_while(|line| !line.starts_with("Block"));
    let mut numbers = characters.filter_map(|line| line.trim().strip_suffix(" involflt"));
    numbers.next()?.trim().parse().ok()
}

fn answer(driver: &Driver<impl Transport>) -> Result<Answer> {
    let version = driver.version()?;
    let disks = driver.protected()?.into_iter().map(|name| (name.clone(), driver.statistics(&name))).collect();
    Ok(Answer { version, disks })
}

fn unfiltered(config: Config, filtered: &[String]) -> Vec<String> {
    let there = config.disks.into_iter().filter(|disk| path_of(disk).exists());
    there.filter(|disk| among(filtered, disk).is_none()).collect()
}

/// An error that the driver is simply not there.
pub fn is_absent(error: &Error) -> bool {
    error.kind == crate::error::Kind::Unavailable
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;
    use std::fs::{self, File};
    use std::path::PathBuf;

    /// A machine's files in a directory of the test's own.
    struct Tree(PathBuf);

    impl Tree {
        fn new(name: &str, files: &[(&str, &[u8])]) -> Tree {
            let root = std::env::temp_dir().join(format!("involfltctl-{name}-{}", std::process::id()));
            for (path, contents) in files {
                let path = root.join(path.trim_start_matches('/'));
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, contents).unwrap();
            }
            Tree(root)
        }

        fn facts(&self) -> Facts {
            let absent: Result<Driver<File>> = Err(Error::unavailable("no driver"));
            gather(&System::at(&self.0), absent)
        }
    }

    impl Drop for Tree {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    const DER: &[u8] = include_bytes!("testdata/certificate.der");
    const KEY: &str = include_str!("testdata/key-id");

    #[test]
    fn a_machine_with_nothing_is_no_panic() {
        let facts = Tree::new("nothing", &[]).facts();
        assert_eq!((facts.release.as_str(), facts.family), ("", Family::Other));
        assert_eq!((facts.installed, facts.loaded, facts.certificate, facts.major), (None, None, None, None));
        assert_eq!(
            facts.enforcement,
            Enforcement { secure_boot: None, lockdown: "none".into(), signatures_only: false }
        );
        assert_eq!((facts.node, facts.unfiltered), (Node::Absent, Ok(vec![])));
        assert_eq!(facts.answer.unwrap_err().kind, Kind::Unavailable);
    }

    #[test]
    fn a_strict_machine_is_seen_as_such() {
        let key = format!("2a I------ 1 perm 1f030000 0 0 asymmetri involflt: {}: X509.rsa 1 []\n", KEY.trim());
        let tree = Tree::new(
            "strict",
            &[
                ("/proc/sys/kernel/osrelease", b"6.12.0-160000.5-default\n"),
                ("/etc/os-release", b"NAME=x\nID=\"sles\"\nID_LIKE=\"suse\"\n"),
                (SECURE_BOOT, &[6, 0, 0, 0, 1]),
                ("/sys/kernel/security/lockdown", b"none [integrity] confidentiality\n"),
                ("/sys/module/module/parameters/sig_enforce", b"Y\n"),
                ("/proc/keys", key.as_bytes()),
                (OURS, DER),
                ("/proc/devices", b"Character devices:\n  1 mem\n240 involflt\n\nBlock devices:\n  8 sd\n"),
                ("/sys/module/involflt/initstate", b"live\n"),
                ("/sys/module/involflt/taint", b"OE\n"),
                ("/sys/module/involflt/refcnt", b"3\n"),
                ("/etc/involflt/involflt.conf", b"disk = /dev/null\ndisk = /dev/missing\n"),
            ],
        );
        let facts = tree.facts();
        assert_eq!((facts.release.as_str(), facts.family), ("6.12.0-160000.5-default", Family::Suse));
        let strict = Enforcement { secure_boot: Some(true), lockdown: "integrity".into(), signatures_only: true };
        assert_eq!(facts.enforcement, strict);
        assert_eq!(facts.certificate, Some(Signer::Known { certificate: OURS.into(), enrolled: true }));
        assert_eq!((facts.major, facts.unfiltered), (Some(240), Ok(vec!["/dev/null".to_string()])));
        let loaded = Loaded { live: true, build_id: None, unsigned: true, references: 3 };
        assert_eq!(facts.loaded, Some(loaded));
    }

    #[test]
    fn a_revoked_key_is_not_an_enrolled_one() {
        let line = format!("2a I------ 1 perm 1f030000 0 0 blacklist tbs:{}\n", KEY.trim());
        let tree = Tree::new("revoked", &[("/proc/keys", line.as_bytes()), (OURS, DER)]);
        assert_eq!(tree.facts().certificate, Some(Signer::Known { certificate: OURS.into(), enrolled: false }));
    }

    #[test]
    fn the_module_is_the_one_that_modprobe_takes_and_its_origin_is_told() {
        let installed = |name: &str, path: &str, dep: &str, more: &str| {
            let (path, more) = (format!("/lib/modules/6.1/{path}"), more.to_string());
            let files: [(&str, &[u8]); 4] = [
                ("/proc/sys/kernel/osrelease", b"6.1"),
                (&path, b"junk"),
                ("/lib/modules/6.1/modules.dep", dep.as_bytes()),
                (&more, b""),
            ];
            let found = Tree::new(name, &files).facts().installed.unwrap();
            assert!(matches!(found.file, Err(Unread::Bad(_)) | Err(Unread::Compressed)));
            (found.path.trim_start_matches("/lib/modules/6.1/").to_string(), found.origin, found.in_modules_dep)
        };
        let ko = "updates/involflt/involflt.ko";
        assert_eq!(installed("a", ko, &format!("{ko}:\n"), "/x"), (ko.into(), Origin::Prebuilt, true));
        assert_eq!(installed("b", ko, "kernel/involflt.ko2:\n", "/x"), (ko.into(), Origin::Prebuilt, false));
        let dkms = "updates/dkms/involflt.ko.xz";
        assert_eq!(installed("c", dkms, &format!("{dkms}:\n"), "/x"), (dkms.into(), Origin::Dkms, true));
        let extra = "extra/involflt.ko.xz";
        let kernel = "/var/lib/dkms/involflt/kernel-6.1-x86_64/x";
        assert_eq!(installed("d", extra, &format!("{extra}:\n"), kernel), (extra.into(), Origin::Dkms, true));
        assert_eq!(installed("e", extra, &format!("{extra}:\n"), "/x"), (extra.into(), Origin::ByHand, true));
    }
}
