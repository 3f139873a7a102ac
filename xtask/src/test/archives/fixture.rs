// SPDX-License-Identifier: GPL-2.0-only
//! Stand-ins for the headers packages of rpm distributions, with their real names and layouts: the KDIR of a Debian
//! kernel, under another release. Each says in its summary that it is a stand-in.

use crate::kdir::Kdir;
use crate::package::DATE;
use crate::sign::ArchiveKey;
use crate::store::remove;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A kernel of SLES that stands in.
pub struct SlesKernel<'a> {
    /// `5.14.21`.
    pub version: &'a str,
    /// `150500.55.88`, without the count of rebuilds.
    pub build: &'a str,
    /// What the KDIR says of itself.
    pub service_pack: u32,
    /// Whether one of its symbols has another checksum than those of other kernels of the pack.
    pub breaks_promise: bool,
}

impl SlesKernel<'_> {
    /// As `uname -r` would print it.
    pub fn release(&self) -> String {
        format!("{}-{}-default", self.version, self.build)
    }

    /// `kernel-default-devel` and `kernel-devel` in a directory; the second is empty where nothing is built with it.
    pub fn packages(&self, kdir: &Kdir, is_built: bool, work: &Path, to: &Path) -> Result<(), String> {
        let top = format!("usr/src/linux-{}-{}", self.version, self.build);
        let devel = rpm_root(work)?;
        let place = devel.join(format!("{top}-obj/x86_64/default"));
        copy(&kdir.host, &place, &["scripts", "tools", ".kernelvariables"])?;
        let programs = programs(kdir)?;
        for dir in ["scripts", "tools"] {
            copy(&programs.join(dir), &place.join(dir), &[])?;
        }
        write(&place.join("Makefile"), &format!("include /{top}/Makefile\n"))?;
        rename_kernel(&place, &self.release())?;
        if self.breaks_promise {
            let symvers = place.join("Module.symvers");
            write(&symvers, &with_other_kfree(&fs::read_to_string(&symvers).map_err(|error| error.to_string())?))?;
        }
        let suse = [
            ("CONFIG_SUSE_KERNEL", "y".to_string()),
            ("CONFIG_SUSE_VERSION", "15".to_string()),
            ("CONFIG_SUSE_PATCHLEVEL", self.service_pack.to_string()),
        ];
        for (name, value) in suse {
            append(&place.join(".config"), &format!("{name}={value}\n"))?;
            append(&place.join("include/config/auto.conf"), &format!("{name}={value}\n"))?;
        }
        self.rpm("kernel-default-devel", "x86_64", &devel, work, to)?;
        let root = rpm_root(work)?;
        if is_built {
            copy(&shared_headers(kdir)?, &root.join(&top), &["scripts", "tools"])?;
            for dir in ["scripts", "tools"] {
                copy(&programs.join(dir), &root.join(&top).join(dir), &[])?;
            }
        } else {
            fs::create_dir_all(root.join(&top)).map_err(|error| error.to_string())?;
        }
        self.rpm("kernel-devel", "noarch", &root, work, to)
    }

    fn rpm(&self, name: &str, arch: &str, root: &Path, work: &Path, to: &Path) -> Result<(), String> {
        let provides = format!("Provides: {name} = {}-{}\nProvides: multiversion(kernel)\n", self.version, self.build);
        rpm(&Rpm { name, version: self.version, release: &format!("{}.1", self.build), arch, provides }, root, work, to)
    }
}

/// A kernel of RHEL that stands in.
pub struct RhelKernel<'a> {
    /// `5.14.0`.
    pub version: &'a str,
    /// `284.86.1.el9_2`.
    pub build: &'a str,
}

impl RhelKernel<'_> {
    /// As `uname -r` would print it.
    pub fn release(&self) -> String {
        format!("{}-{}.x86_64", self.version, self.build)
    }

    /// `kernel-devel` in a directory: everything in one tree.
    pub fn package(&self, kdir: &Kdir, work: &Path, to: &Path) -> Result<(), String> {
        let root = rpm_root(work)?;
        let place = root.join("usr/src/kernels").join(self.release());
        copy(&kdir.host, &place, &["scripts", "tools", ".kernelvariables"])?;
        copy(&shared_headers(kdir)?, &place, &["scripts", "tools"])?;
        let programs = programs(kdir)?;
        for dir in ["scripts", "tools"] {
            copy(&programs.join(dir), &place.join(dir), &[])?;
        }
        rename_kernel(&place, &self.release())?;
        let provides =
            format!("Provides: kernel-devel-uname-r = {}\nProvides: installonlypkg(kernel)\n", self.release());
        let (version, release) = (self.version, self.build);
        rpm(&Rpm { name: "kernel-devel", version, release, arch: "x86_64", provides }, &root, work, to)
    }
}

/// A `Module.symvers` with another checksum of `kfree`.
pub fn with_other_kfree(symvers: &str) -> String {
    let other = |line: &str| match line.split_once("\tkfree\t") {
        Some((_, rest)) => format!("0x00000001\tkfree\t{rest}\n"),
        None => format!("{line}\n"),
    };
    symvers.lines().map(other).collect()
}

/// The release under which a KDIR builds, in the three places that say it.
pub fn rename_kernel(kdir: &Path, release: &str) -> Result<(), String> {
    write(&kdir.join("include/generated/utsrelease.h"), &format!("#define UTS_RELEASE \"{release}\"\n"))?;
    write(&kdir.join("include/config/kernel.release"), &format!("{release}\n"))
}

/// `linux-headers-*-common` of a Debian KDIR.
pub fn shared_headers(kdir: &Kdir) -> Result<PathBuf, String> {
    let mount = kdir.mounts.iter().find(|mount| mount.inside.ends_with("-common"));
    mount.map(|mount| mount.host.clone()).ok_or_else(|| "the KDIR has no common headers".into())
}

/// `linux-kbuild-*` of a Debian KDIR.
pub fn programs(kdir: &Kdir) -> Result<PathBuf, String> {
    let mount = kdir.mounts.iter().find(|mount| mount.inside.starts_with("/usr/lib/linux-kbuild-"));
    mount.map(|mount| mount.host.clone()).ok_or_else(|| "the KDIR has no linux-kbuild".into())
}

struct Rpm<'a> {
    name: &'a str,
    version: &'a str,
    release: &'a str,
    arch: &'a str,
    provides: String,
}

fn rpm_root(work: &Path) -> Result<PathBuf, String> {
    let root = work.join("rpm-root");
    remove(&root).map_err(|error| error.to_string())?;
    fs::create_dir_all(&root).map_err(|error| error.to_string())?;
    Ok(root)
}

fn rpm(package: &Rpm<'_>, root: &Path, work: &Path, to: &Path) -> Result<(), String> {
    let Rpm { name, version, release, arch, provides } = package;
    let spec = format!(
        "Name: {name}\nVersion: {version}\nRelease: {release}\nSummary: Stand-in for {name} in tests, from a Debian kernel\n\
         License: GPL-2.0-only\nBuildArch: {arch}\nAutoReqProv: no\n{provides}%description\nA stand-in.\n%files\n/usr/src/*\n"
    );
    let file = work.join("package.spec");
    write(&file, &spec)?;
    let mut command = Command::new("rpmbuild");
    command.args(["-bb", "--quiet", "--target", arch, "--buildroot"]).arg(root);
    let dir = work.join("rpmbuild");
    for define in [
        format!("_topdir {}", dir.display()),
        format!("_rpmdir {}", to.display()),
        "__os_install_post %{nil}".into(),
        "_binary_payload w1.zstdio".into(),
        // The programs of Kbuild are beside the headers here, as Debian has them.
        "_binaries_in_noarch_packages_terminate_build 0".into(),
        // The same bytes at every run, so that the store has each KDIR and module once.
        "_buildhost stand-in".into(),
        "use_source_date_epoch_as_buildtime 1".into(),
        "clamp_mtime_to_source_date_epoch 1".into(),
    ] {
        command.args(["--define", &define]);
    }
    done(command.env("SOURCE_DATE_EPOCH", DATE.to_string()).arg(&file))?;
    remove(root).map_err(|error| error.to_string())
}

/// Adds a directory's files to another's, without links and files that are not wanted there.
pub fn copy(from: &Path, to: &Path, without: &[&str]) -> Result<(), String> {
    fs::create_dir_all(to).map_err(|error| format!("{}: {error}", to.display()))?;
    done(Command::new("cp").arg("--archive").arg("--no-target-directory").arg(from).arg(to))?;
    let arch = to.join("arch");
    // The other architectures' headers are most of them, and nothing of this test.
    let others = fs::read_dir(&arch).into_iter().flatten().flatten().filter(|entry| entry.file_name() != "x86");
    let unwanted = without.iter().map(|name| to.join(name));
    for path in others.map(|entry| entry.path()).chain(unwanted) {
        remove(&path).map_err(|error| error.to_string())?;
    }
    Ok(())
}

/// Signs a directory's rpms and makes it a repository, as vendors do that sign no index.
pub fn index(dir: &Path, key: &ArchiveKey, compression: &str) -> Result<(), String> {
    for rpm in rpms(dir)? {
        key.rpm_sign_alike(&rpm).map_err(|error| error.to_string())?;
    }
    reindex(dir, compression)
}

/// Makes a directory a repository, with its rpms as they are.
pub fn reindex(dir: &Path, compression: &str) -> Result<(), String> {
    let general = format!("--general-compress-type={compression}");
    done(Command::new("createrepo_c").args(["--quiet", "--no-database", &general]).arg(dir))
}

/// The same as [`index`], with a signed index.
pub fn signed_index(dir: &Path, key: &ArchiveKey, compression: &str) -> Result<(), String> {
    index(dir, key, compression)?;
    sign(dir, key)
}

/// The rpms below a repository: rpmbuild makes a directory for each architecture.
pub fn rpms(dir: &Path) -> Result<Vec<PathBuf>, String> {
    let mut rpms = Vec::new();
    for entry in fs::read_dir(dir).map_err(|error| format!("{}: {error}", dir.display()))? {
        let path = entry.map_err(|error| error.to_string())?.path();
        if path.is_dir() {
            rpms.extend(self::rpms(&path)?);
        } else if path.extension().is_some_and(|ending| ending == "rpm") {
            rpms.push(path);
        }
    }
    Ok(rpms)
}

/// Signs what `repomd.xml` is now.
pub fn sign(dir: &Path, key: &ArchiveKey) -> Result<(), String> {
    let index = dir.join("repodata/repomd.xml");
    key.detach_sign(&index, &dir.join("repodata/repomd.xml.asc")).map_err(|error| error.to_string())
}

/// Writes a file; the error names it.
pub fn write(path: &Path, text: &str) -> Result<(), String> {
    fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))
}

fn append(path: &Path, text: &str) -> Result<(), String> {
    let before = fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    write(path, &(before + text))
}

/// Runs a command; what it said is the error where it fails.
pub fn done(command: &mut Command) -> Result<(), String> {
    let output = command.output().map_err(|error| format!("{:?}: {error}", command.get_program()))?;
    match output.status.success() {
        true => Ok(()),
        false => Err(format!("{command:?}: {}", String::from_utf8_lossy(&output.stderr).trim())),
    }
}
