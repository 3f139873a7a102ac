// SPDX-License-Identifier: GPL-2.0-only
//! Build roots: one small Debian per release and compiler, begun from a registry's base image where one is reachable,
//! and completed from the distribution's own archive.

use crate::container::privileged;
use crate::error::{AtPath, Error, Result};
use crate::kernels::{Distro, FAMILIES, is_pro};
use crate::lock::{LockedKernel, Platform};
use crate::registry;
use crate::store::{Store, key, remove, sha256_file};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The release whose rustc and rust-src make the Rust object for kernels without Rust.
pub const CORE_RELEASE: &str = "trixie";
/// The compiler of that release.
const CORE_COMPILER: &str = "gcc-14";

/// Whose releases roots are of where a kernel's own distribution does not say.
const DEBIAN: &str = "debian";

/// What every kernel module build needs; libelf is objtool's.
const BASE: &[&str] = &["binutils", "libelf-dev", "make"];
/// From the release after this one on, Debian has kernels whose headers have what a module's BTF is made from: pahole makes it.
const BEFORE_BTF: &str = "bullseye";
/// What making a kernel's Rust metadata needs on top.
const RUST: &[&str] = &[
    "bc",
    "bindgen",
    "bison",
    "clang",
    "flex",
    "kmod",
    "libssl-dev",
    "pahole",
    "python3",
    "rust-src",
    "rustc",
    "xz-utils",
];

/// A build root to be had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RootSpec {
    /// Whose release it is.
    distro: &'static str,
    release: String,
    mirror: String,
    packages: Vec<String>,
    /// The distribution's own image, which has its compilers, where apt cannot make one.
    image: Option<String>,
    /// A registries.conf(5) in place of the engine's own.
    registries: Option<PathBuf>,
}

/// A build root that is there.
#[derive(Debug, Clone)]
pub struct Root {
    /// Its directory.
    pub path: PathBuf,
    /// Changes whenever any package in it has another version.
    pub tool_chain: String,
}

impl RootSpec {
    /// The root that a kernel is built in.
    pub fn for_kernel(kernel: &LockedKernel) -> Self {
        if rpm_distro(kernel).is_some() && kernel.build_root.is_none() {
            return Self::of_image(kernel);
        }
        let release = kernel.build_root.as_ref().unwrap_or(&kernel.release);
        let rust = kernel.platform == Platform::Rfl || release == CORE_RELEASE;
        let (distro, archive) = match kernel.build_root {
            None => own_archive(kernel),
            Some(_) => (DEBIAN, debian_archive(kernel)),
        };
        Self::new(distro, release, &archive, &kernel.compiler, rust)
    }

    /// The root that the Rust object for kernels without Rust is built in.
    pub fn for_core(any: &LockedKernel) -> Self {
        Self::new(DEBIAN, CORE_RELEASE, &debian_archive(any), CORE_COMPILER, true)
    }

    /// The image that the vendor publishes for building modules.
    fn of_image(kernel: &LockedKernel) -> Self {
        let family = FAMILIES.iter().find(|family| family.name == kernel.distro);
        let image = family.and_then(|family| family.image_of(&kernel.release));
        let release = format!("{}-{}", kernel.distro, kernel.release);
        RootSpec { distro: DEBIAN, release, mirror: String::new(), packages: Vec::new(), image, registries: None }
    }

    fn new(distro: &'static str, release: &str, archive: &str, compiler: &str, rust: bool) -> Self {
        let compiler = compiler.strip_prefix("x86_64-linux-gnu-").unwrap_or(compiler);
        let mut packages: Vec<String> = BASE.iter().map(|package| package.to_string()).collect();
        packages.push(compiler.to_string());
        packages.extend((distro == DEBIAN && release != BEFORE_BTF).then(|| "pahole".to_string()));
        packages.extend(RUST.iter().filter(|_| rust).map(|package| package.to_string()));
        packages.sort();
        packages.dedup();
        // A security archive holds updates only; its main archive stands beside it.
        let mirror = archive.trim_end_matches('/').trim_end_matches("-security").to_string();
        RootSpec { distro, release: release.to_string(), mirror, packages, image: None, registries: None }
    }

    /// The same, with images from where a registries.conf(5) says.
    pub fn through(self, registries: &Path) -> Self {
        RootSpec { registries: Some(registries.to_path_buf()), ..self }
    }

    /// The root, made where the store has none. `started` is called only when it has to be made.
    pub fn get(&self, store: &Store, offline: bool, started: impl FnOnce()) -> Result<Root> {
        let updates = self.suites().skip(1);
        let parts = [self.packages.join(" ")].into_iter().chain(self.image.clone()).chain(updates).collect::<Vec<_>>();
        // Names of releases are one distribution's own: Debian and Ubuntu share none.
        let id = format!("{}-{}", self.release, key(parts.iter().map(String::as_str)));
        let path = store.entry("roots", &id, |partial| {
            if offline {
                return Err(Error::infra(format!(
                    "the build root of {} is not in the store, and --offline was given",
                    self.release
                ))
                .note("run the same command without --offline once"));
            }
            started();
            self.make(partial, &store.kind("logs")?.join(format!("{id}.log")))
        })?;
        let status = match self.image {
            None => path.join("var/lib/dpkg/status"),
            Some(_) => path.join(IMAGE_ID),
        };
        let tool_chain = key([std::fs::read_to_string(&status).at_path(&status)?.as_str()]);
        Ok(Root { path, tool_chain })
    }

    /// mmdebstrap installs the packages either way: into the registry's image, or into a root of its own making.
    fn make(&self, to: &Path, log: &Path) -> Result<()> {
        let image = to.with_extension("tar");
        if let Some(name) = &self.image {
            return pulled(name, &image, to, self.registries.as_deref(), log);
        }
        let variant = match registry::export(&self.image(), &image, self.registries.as_deref())? {
            true => {
                vec!["--variant=custom".to_string(), format!("--setup-hook=tar -C \"$1\" -xf '{}'", image.display())]
            }
            false => vec!["--variant=minbase".to_string()],
        };
        let made = self.install(&variant, to, log);
        remove(&image)?;
        made
    }

    /// Where its packages come from. Ubuntu's later kernels are built with compilers that came after the release; Debian's
    /// point releases bring them into the release itself.
    fn suites(&self) -> impl Iterator<Item = String> {
        let pockets: &[&str] = if self.distro == DEBIAN { &[""] } else { &["", "-updates"] };
        pockets.iter().map(|pocket| format!("{}{pocket}", self.release))
    }

    /// The release's image among Docker's official ones, which the engine's configuration may take from elsewhere.
    fn image(&self) -> String {
        let slim = if self.distro == DEBIAN { "-slim" } else { "" };
        format!("docker.io/library/{}:{}{slim}", self.distro, self.release)
    }

    fn install(&self, variant: &[String], to: &Path, log: &Path) -> Result<()> {
        let mut command = privileged("mmdebstrap");
        command.args(["--mode=root", "--quiet"]).args(variant);
        command.args((self.release == "xenial").then_some(PAM_BEFORE_SYSTEMD));
        command.args(host_apt_options()?.iter().map(|option| format!("--aptopt={option}")));
        command.args(Distro::find(self.distro).map(|distro| format!("--keyring={}", distro.keyring)));
        command.arg(format!("--include={}", self.packages.join(","))).arg(&self.release).arg(to);
        command.args(self.suites().map(|suite| format!("deb {} {suite} main", self.mirror)));
        let output = command.output().at_path("mmdebstrap")?;
        std::fs::write(log, [output.stdout, output.stderr].concat()).at_path(log)?;
        if output.status.success() {
            return Ok(());
        }
        Err(Error::infra(format!("the build root of {} could not be made from {}", self.release, self.mirror))
            .note(format!("mmdebstrap's words are in {}", log.display())))
    }
}

/// Where mmdebstrap makes a xenial, systemd is configured before PAM and makes its users by way of it.
const PAM_BEFORE_SYSTEMD: &str = "--setup-hook=mkdir -p \"$1/etc/pam.d\"; \
    for kind in account auth password session; do echo \"$kind sufficient pam_permit.so\" >\"$1/etc/pam.d/common-$kind\"; done";

/// In the root of an image: the hash of the image's files.
const IMAGE_ID: &str = "involflt-image";

/// What there is in place of a vendor's image.
const ELSEWHERE: &str = "or build with a Debian's compilers: `build-root: bookworm` under `distros:` in kernels.yaml";

/// Installs what a module's build needs into the image in `$1`, with the image's own package manager and archives, and
/// adds the packages that are there then to the image's hash. Half an hour is enough for the slowest mirror.
const COMPLETE: &str = r#"cd "$1"
mkdir -p proc dev etc
mount -t proc proc proc
mount --rbind /dev dev
[ ! -e /etc/resolv.conf ] || { rm -f etc/resolv.conf; cat /etc/resolv.conf >etc/resolv.conf; }
timeout 1800 chroot . sh -ec '
packages="binutils diffutils findutils gawk gcc make"
for manager in dnf microdnf tdnf yum; do
    ! command -v $manager >/dev/null || { $manager install -y $packages elfutils-libelf; exit; }
done
! command -v zypper >/dev/null || { zypper --non-interactive install --no-recommends $packages libelf1; exit; }
echo "it has no package manager that is known: dnf, microdnf, tdnf, yum or zypper"
exit 1'
chroot . sh -c '! command -v rpm >/dev/null || rpm --query --all' | sort >>involflt-image
"#;

/// A vendor's image as a root. Unlike a Debian it cannot be made in any other way.
fn pulled(name: &str, tar: &Path, to: &Path, registries: Option<&Path>, log: &Path) -> Result<()> {
    if !registry::export(name, tar, registries)? {
        return Err(Error::infra(format!("the image {name} cannot be pulled"))
            .note("registries, mirrors and credentials are the container engine's own configuration")
            .note(ELSEWHERE));
    }
    std::fs::create_dir_all(to).at_path(to)?;
    let output = privileged("tar").arg("-xf").arg(tar).arg("-C").arg(to).output().at_path("tar")?;
    let id = sha256_file(tar)?;
    remove(tar)?;
    if !output.status.success() {
        return Err(Error::infra(format!("the image {name}: {}", String::from_utf8_lossy(&output.stderr).trim())));
    }
    std::fs::write(to.join(IMAGE_ID), id + "\n").at_path(to)?;
    if TOOLS.iter().any(|tool| !in_root(to, tool)) {
        complete(name, to, log)?;
    }
    Ok(())
}

/// What no module is built without.
const TOOLS: [&str; 2] = ["gcc", "make"];

/// Most images have no compiler.
fn complete(name: &str, to: &Path, log: &Path) -> Result<()> {
    let mut command = privileged("unshare");
    command.args(["--mount", "--pid", "--fork", "--kill-child", "sh", "-ec", COMPLETE, "sh"]).arg(to);
    let output = command.output().at_path("unshare")?;
    let text = [output.stdout, output.stderr].concat();
    std::fs::write(log, &text).at_path(log)?;
    let lacks = TOOLS.into_iter().find(|tool| !in_root(to, tool));
    if output.status.success() && lacks.is_none() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&text);
    let said = text.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("nothing was said").trim();
    let lacks = lacks.map_or_else(|| "lacks something".to_string(), |tool| format!("has no /usr/bin/{tool}"));
    Err(Error::infra(format!("the image {name} {lacks}, and it could not be installed there: {said}"))
        .note(format!("all that was said is in {}", log.display()))
        .note("push an image that has them to where the container engine looks for this one")
        .note(ELSEWHERE))
}

/// Whether a root has a program, perhaps as a link, which leads nowhere from outside.
fn in_root(root: &Path, program: &str) -> bool {
    root.join("usr/bin").join(program).symlink_metadata().is_ok()
}

fn rpm_distro(kernel: &LockedKernel) -> Option<&'static Distro> {
    Distro::find(&kernel.distro).filter(|distro| distro.layout().is_some())
}

/// The kernel's distribution, and the archive of it that a root can be made from.
fn own_archive(kernel: &LockedKernel) -> (&'static str, String) {
    match Distro::find(&kernel.distro) {
        // That of Ubuntu Pro has what came after the release only.
        Some(distro) if is_pro(&kernel.suite) => (distro.name, distro.mirror.to_string()),
        Some(distro) => (distro.name, kernel.archive.clone()),
        None => (DEBIAN, kernel.archive.clone()),
    }
}

/// The Debian archive that a root's packages come from: the kernel's own, where it is Debian's.
fn debian_archive(kernel: &LockedKernel) -> String {
    let debian = Distro::find(DEBIAN).expect("is in the table");
    if kernel.distro == DEBIAN { kernel.archive.clone() } else { debian.mirror.to_string() }
}

/// The host's own proxies, retries and dates' rules, which the roots' apt must follow too.
pub fn host_apt_options() -> Result<Vec<String>> {
    let output = Command::new("apt-config").arg("dump").output().at_path("apt-config")?;
    let dump = String::from_utf8_lossy(&output.stdout);
    Ok(dump.lines().filter(|line| is_transport(line)).map(|line| line.trim_end_matches(';').to_string()).collect())
}

fn is_transport(line: &str) -> bool {
    const KEPT: [&str; 5] =
        ["Acquire::http", "Acquire::https", "Acquire::Check-Valid-Until", "Acquire::Check-Date", "Acquire::Retries"];
    KEPT.iter().any(|kept| line.starts_with(kept)) && !line.ends_with(" \"\";")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_security_archive_leads_to_the_main_one() {
        let spec = RootSpec::new(DEBIAN, "bookworm", "http://mirror/debian-security", "gcc-12", false);
        assert_eq!(spec.mirror, "http://mirror/debian");
        assert_eq!(spec.packages, ["binutils", "gcc-12", "libelf-dev", "make", "pahole"]);
    }

    #[test]
    fn proxies_and_dates_are_taken_over_and_nothing_else() {
        assert!(is_transport("Acquire::http::Proxy \"http://proxy:3128\";"));
        assert!(is_transport("Acquire::Check-Valid-Until \"false\";"));
        assert!(!is_transport("Acquire::http \"\";"));
        assert!(!is_transport("Acquire::IndexTargets::deb::Packages \"x\";"));
    }
}
