// SPDX-License-Identifier: GPL-2.0-only
//! Which root is wanted; how it is made, once, and kept in the store.

use super::layers::Layers;
use super::root::Root;
use crate::container::privileged;
use crate::error::{AtPath, Error, Result};
use crate::lock::LockedKernel;
use crate::root::host_apt_options;
use crate::store::{self, Store};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

/// Part of the entries' keys: count it up when [`PREPARE`] or the way of making them changes.
const FORMAT: &str = "2";
/// A machine that boots, without a kernel: the kernel is installed as administrators do it.
const PACKAGES: [&str; 9] =
    ["apt", "ca-certificates", "gpg", "gpgv", "initramfs-tools", "kmod", "systemd-sysv", "udev", "zstd"];
/// Left out, since a test machine is read by nobody: it halves the base. Not in force for later packages.
const LEFT_OUT: [&str; 3] = ["/usr/share/doc/*", "/usr/share/locale/*", "/usr/share/man/*"];
/// Starts no services, boots as Secure Boot does (the signed files alone: their packages want an ESP to write to), has an initramfs of what the VM's disk needs (quick to make and to boot), and no timers.
const PREPARE: &str = r#"
rm -f /etc/dpkg/dpkg.cfg.d/99mmdebstrap
printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d
chmod 755 /usr/sbin/policy-rc.d
echo MODULES=list >/etc/initramfs-tools/conf.d/involflt-machine
printf '%s\n' virtio_pci virtio_blk ext4 >>/etc/initramfs-tools/modules
echo involflt-machine >/etc/hostname
printf '127.0.0.1 localhost involflt-machine\n' >/etc/hosts
: >/etc/machine-id
systemctl --quiet mask e2scrub_reap.service getty.target getty-static.service \
    apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer fstrim.timer \
    systemd-pcrphase.service systemd-pcrphase-sysinit.service
cd /tmp
apt-get -q update
apt-get -q download shim-signed grub-efi-amd64-signed
for package in ./*.deb; do dpkg-deb -x "$package" /tmp/boot; done
mkdir -p /usr/lib/shim /usr/lib/grub
cp -a /tmp/boot/usr/lib/shim/. /usr/lib/shim
cp -a /tmp/boot/usr/lib/grub/. /usr/lib/grub
rm -rf /tmp/boot ./*.deb /var/lib/apt/lists/*
"#;

/// A root to be had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spec {
    release: String,
    mirror: String,
    /// Lines of sources.list.
    sources: BTreeSet<String>,
    packages: BTreeSet<String>,
    /// The suite that packages and what they need come from, where it is not apt's own choice.
    target: Option<String>,
}

impl Spec {
    /// The root of a release, with the archives that the release's `kernels` came from as its apt sources.
    ///
    /// Fails (bad input) where there is no kernel of that release.
    pub fn of(release: &str, kernels: &[LockedKernel]) -> Result<Spec> {
        let own: Vec<_> = kernels.iter().filter(|kernel| kernel.release == release).collect();
        let first = own.first().ok_or_else(|| Error::input(format!("no kernel of {release} is selected")))?;
        // A security archive holds updates only; its main archive stands beside it.
        let mirror = first.archive.trim_end_matches('/').trim_end_matches("-security").to_string();
        let line = |archive: &str, suite: &str| format!("deb {} {suite} main", archive.trim_end_matches('/'));
        let suites = own.iter().map(|kernel| line(&kernel.archive, &kernel.suite));
        let sources = suites.chain([line(&mirror, release)]).collect();
        Ok(Spec { release: release.to_string(), mirror, sources, packages: BTreeSet::new(), target: None })
    }

    /// The same root with more packages, installed with the distribution's own apt.
    pub fn with<'a>(mut self, packages: impl IntoIterator<Item = &'a str>) -> Spec {
        self.packages.extend(packages.into_iter().map(str::to_string));
        self
    }

    /// The same root with a kernel. One of backports needs more than itself from there, which nobody gets unasked.
    pub fn with_kernel(mut self, kernel: &LockedKernel) -> Spec {
        self.packages.insert(format!("linux-image-{}", kernel.kernel));
        self.target = self.target.or(kernel.suite.ends_with("-backports").then(|| kernel.suite.clone()));
        self
    }

    /// A working copy. What it begins with is made where the store has none of it, and costs nothing where it has.
    pub fn root(&self, store: &Store, offline: bool) -> Result<Root> {
        let base = self.base(store, offline)?;
        let mut lower = vec![base.clone()];
        if !self.packages.is_empty() {
            lower.push(self.packages_layer(&base, store, offline)?);
        }
        let dir = scratch(store)?;
        let log = store.kind("logs")?.join(format!("machine-{}.log", self.release));
        Ok(Root::new(Layers::new(dir, lower)?, log))
    }

    fn base(&self, store: &Store, offline: bool) -> Result<PathBuf> {
        let sources: Vec<&str> = self.sources.iter().map(String::as_str).collect();
        let parts = [FORMAT, PREPARE].into_iter().chain(PACKAGES).chain(sources);
        let id = format!("{}-{}", self.release, store::key(parts));
        store.entry("machines", &id, |partial| {
            self.online(offline)?;
            self.make(partial, &store.kind("logs")?.join(format!("machine-{id}.log")))
        })
    }

    fn online(&self, offline: bool) -> Result<()> {
        if !offline {
            return Ok(());
        }
        Err(Error::infra(format!(
            "the machine's root of {} is not in the store, and --offline was given",
            self.release
        ))
        .note("run the same command without --offline once"))
    }

    fn make(&self, to: &Path, log: &Path) -> Result<()> {
        let mut command = privileged("mmdebstrap");
        command.args(["--mode=root", "--quiet", "--variant=minbase"]);
        command.args(host_apt_options()?.iter().map(|option| format!("--aptopt={option}")));
        command.args(LEFT_OUT.iter().map(|path| format!("--dpkgopt=path-exclude={path}")));
        command.arg(format!("--include={}", PACKAGES.join(",")));
        command.arg(format!("--customize-hook=chroot \"$1\" sh -ec '{}'", PREPARE.replace('\'', "'\\''")));
        command.arg(&self.release).arg(to).args(&self.sources);
        let output = command.output().at_path("mmdebstrap")?;
        std::fs::write(log, [output.stdout, output.stderr].concat()).at_path(log)?;
        if output.status.success() {
            return Ok(());
        }
        Err(Error::infra(format!("the machine's root of {} could not be made from {}", self.release, self.mirror))
            .note(format!("mmdebstrap's words are in {}", log.display())))
    }

    /// The packages, as a layer of their own on the base.
    fn packages_layer(&self, base: &Path, store: &Store, offline: bool) -> Result<PathBuf> {
        let base_id = base.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let names: Vec<String> = self.packages.iter().cloned().collect();
        let target = self.target.iter().map(|suite| format!("--target-release={suite}"));
        let arguments: Vec<String> = target.chain(["install".to_string()]).chain(names).collect();
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let id = format!("{base_id}-{}", store::key(arguments.iter().copied()));
        store.entry("machines", &id, |partial| {
            self.online(offline)?;
            let log = store.kind("logs")?.join(format!("machine-{id}.log"));
            let root = Root::new(Layers::new(scratch(store)?, vec![base.to_path_buf()])?, log);
            root.apt_get(&["update"])?.ok()?;
            root.apt_get(&arguments)?.ok()?;
            root.apt_get(&["clean"])?.ok()?;
            root.into_layers().keep(partial)
        })
    }
}

/// A new directory for a working copy.
pub(super) fn scratch(store: &Store) -> Result<PathBuf> {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    Ok(store.kind("machine-runs")?.join(format!("{}-{count}", std::process::id())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lock::Platform;

    fn kernel(release: &str, suite: &str, archive: &str) -> LockedKernel {
        LockedKernel {
            distro: "debian".into(),
            release: release.into(),
            suite: suite.into(),
            arch: "amd64".into(),
            flavour: "amd64".into(),
            kernel: "6.12.1-amd64".into(),
            archive: archive.into(),
            build_root: None,
            keyring: None,
            service_pack: None,
            compiler: "gcc-14".into(),
            compiler_version: String::new(),
            rustc: None,
            modversions: true,
            platform: Platform::Cglue,
            packages: vec![],
        }
    }

    #[test]
    fn the_sources_are_those_of_the_releases_kernels_and_its_main_archive() {
        let kernels = [
            kernel("trixie", "trixie-security", "http://mirror/debian-security"),
            kernel("trixie", "trixie-backports", "http://mirror/debian/"),
            kernel("sid", "sid", "http://mirror/debian"),
        ];
        let spec = Spec::of("trixie", &kernels).unwrap();
        let expected = [
            "deb http://mirror/debian trixie main",
            "deb http://mirror/debian trixie-backports main",
            "deb http://mirror/debian-security trixie-security main",
        ];
        assert_eq!(spec.sources.iter().collect::<Vec<_>>(), expected);
        assert_eq!(spec.clone().with_kernel(&kernels[0]).target, None);
        assert_eq!(spec.with_kernel(&kernels[1]).target.as_deref(), Some("trixie-backports"));
        assert_eq!(Spec::of("bookworm", &kernels).unwrap_err().kind.exit_code(), 2);
    }
}
