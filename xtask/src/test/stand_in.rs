// SPDX-License-Identifier: GPL-2.0-only
//! Stand-ins for the kernel packages of SUSE and Red Hat: real symbols of real Debian kernels, named and provided as
//! those distributions do, because their own archives cannot be had here. The kernel's image is not in them.

use crate::package::{Family, RpmKernel};
use crate::store::remove;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A kernel package to be made.
pub struct StandIn<'a> {
    /// Names and versions.
    pub kernel: RpmKernel<'a>,
    /// Release of the package.
    pub release: &'a str,
    /// `Module.symvers` of the kernel.
    pub symvers: &'a str,
}

impl StandIn<'_> {
    /// Makes the package below `work`; where it is.
    pub fn make(&self, work: &Path) -> Result<PathBuf, String> {
        let name = format!("{}-{}-{}", self.kernel.package, self.kernel.version, self.release);
        build(work, &name, &self.spec(), |root| {
            let modules = root.join("lib/modules").join(self.kernel.release);
            fs::create_dir_all(modules.join("kernel"))?;
            ["modules.builtin", "modules.order"].iter().try_for_each(|empty| fs::write(modules.join(empty), ""))
        })
    }

    fn spec(&self) -> String {
        let kernel = &self.kernel;
        let (multi, open) = match kernel.family {
            Family::Suse => ("multiversion(kernel)", format!("ksym({}:", kernel.flavour)),
            Family::Rhel => ("installonlypkg(kernel)", "kernel(".to_string()),
        };
        let prefix = if kernel.family == Family::Rhel { "0x" } else { "" };
        let mut spec = format!(
            "Name: {}\nVersion: {}\nRelease: {}\nSummary: Stand-in for a kernel in tests\nLicense: GPL-2.0-only\n\
             AutoReqProv: no\nProvides: kernel = {}-{}\nProvides: {multi}\n",
            kernel.package, kernel.version, self.release, kernel.version, self.release
        );
        for (symbol, crc) in symbols(self.symvers) {
            // Writing to a string cannot fail.
            let _ = writeln!(spec, "Provides: {open}{symbol}) = {prefix}{crc}");
        }
        let _ = writeln!(spec, "%description\nA stand-in.\n%files\n/lib/modules/{}", kernel.release);
        spec
    }
}

/// What a module package's scripts need of a distribution: a shell and depmod, both busybox.
pub fn base(work: &Path) -> Result<PathBuf, String> {
    const APPLETS: [&str; 6] = ["bin/sh", "bin/mkdir", "bin/rm", "bin/cat", "bin/uname", "sbin/depmod"];
    let files: String = APPLETS.iter().map(|applet| format!("/{applet}\n")).collect();
    let spec = format!(
        "Name: base\nVersion: 1\nRelease: 1\nSummary: Stand-in for a distribution in tests\nLicense: GPL-2.0-only\n\
         AutoReqProv: no\n%description\nA stand-in.\n%files\n/bin/busybox\n{files}"
    );
    build(work, "base-1-1", &spec, |root| {
        for applet in APPLETS {
            let path = root.join(applet);
            fs::create_dir_all(path.parent().unwrap_or(root))?;
            std::os::unix::fs::symlink("/bin/busybox", path)?;
        }
        fs::copy("/bin/busybox", root.join("bin/busybox")).map(drop)
    })
}

/// Where [`weak_modules`] notes what it was called with, in a root.
pub const WEAK_MODULES_LOG: &str = "var/log/weak-modules";

/// What makes a module known to the other kernels that it fits, `weak-modules2` of SUSE and `weak-modules` of Red Hat: this one
/// notes how it was called, a line a call, with the modules that it was told.
pub fn weak_modules(work: &Path) -> Result<PathBuf, String> {
    const PROGRAMS: [&str; 2] = ["usr/lib/module-init-tools/weak-modules2", "usr/sbin/weak-modules"];
    let script = format!(
        "#!/bin/sh\ncase $1 in\n--add-kmp) echo \"$*\" ;;\n*) echo \"$*\" \"$(cat)\" ;;\nesac >>/{WEAK_MODULES_LOG}\n"
    );
    let files: String = PROGRAMS.iter().map(|program| format!("%attr(755,root,root) /{program}\n")).collect();
    let spec = format!(
        "Name: weak-modules\nVersion: 1\nRelease: 1\nSummary: Stand-in for a distribution's tools in tests\n\
         License: GPL-2.0-only\nAutoReqProv: no\n%description\nA stand-in.\n%files\n%attr(755,root,root) /bin/bash\n\
         %dir /var/log\n{files}"
    );
    build(work, "weak-modules-1-1", &spec, |root| {
        fs::create_dir_all(root.join("var/log"))?;
        let bash = ("bin/bash", "#!/bin/sh\nexec /bin/sh \"$@\"\n");
        for (path, text) in PROGRAMS.iter().map(|program| (*program, script.as_str())).chain([bash]) {
            let path = root.join(path);
            fs::create_dir_all(path.parent().unwrap_or(root))?;
            fs::write(path, text)?;
        }
        Ok(())
    })
}

/// Builds one package from a specification and the files that `fill` puts into its root.
pub fn build(
    work: &Path,
    name: &str,
    spec: &str,
    fill: impl FnOnce(&Path) -> std::io::Result<()>,
) -> Result<PathBuf, String> {
    let top = work.join(format!("stand-in-{name}"));
    let (root, spec_file) = (top.join("root"), top.join("package.spec"));
    let text = |error: std::io::Error| format!("{}: {error}", top.display());
    fs::create_dir_all(&root).map_err(text)?;
    fill(&root).map_err(text)?;
    fs::write(&spec_file, spec).map_err(text)?;
    let mut command = Command::new("rpmbuild");
    command.args(["-bb", "--quiet", "--target", "x86_64"]).arg("--buildroot").arg(&root);
    for define in [format!("_topdir {}", top.display()), "__os_install_post %{nil}".into()] {
        command.args(["--define", &define]);
    }
    command.args(["--define", &format!("_rpmdir {}", top.display())]).arg(&spec_file);
    let output = command.output().map_err(|error| format!("rpmbuild: {error}"))?;
    if !output.status.success() {
        return Err(format!("rpmbuild: {}", String::from_utf8_lossy(&output.stderr).trim()));
    }
    let file = format!("{name}.x86_64.rpm");
    let place = work.join(&file);
    fs::rename(top.join("x86_64").join(&file), &place).map_err(text)?;
    remove(&top).map_err(|error| error.to_string())?;
    Ok(place)
}

/// Symbols with their checksums as eight hexadecimal digits.
fn symbols(symvers: &str) -> impl Iterator<Item = (&str, &str)> {
    symvers.lines().filter_map(|line| {
        let mut fields = line.split('\t');
        let crc = fields.next()?.strip_prefix("0x")?;
        Some((fields.next()?, crc)).filter(|_| crc != "00000000")
    })
}
