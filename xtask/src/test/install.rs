// SPDX-License-Identifier: GPL-2.0-only
//! Our packages in real Debian roots, by apt alone; then that very root boots.

use super::hostile::Hostile;
use super::stranger::Stranger;
use super::{Context, Tally, older};
use crate::assemble::Assembler;
use crate::build::Farm;
use crate::error::{AtPath, Error, Result};
use crate::lock::LockedKernel;
use crate::machine::{Boot, Booted, Machine, Root, Spec};
use crate::module_source::ModuleSource;
use crate::parallel;
use crate::sign::{KeyOptions, Keys};
use crate::store::remove;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Releases whose administrators are promised packages. Older ones get modules only.
const RELEASES: [&str; 3] = ["bookworm", "trixie", "sid"];
/// The release that a kernel outside of the repository is tried on, which costs a compiler and a build.
const WITH_DKMS: &str = "bookworm";
/// Everything of ours.
const PACKAGES: [&str; 4] = ["involflt-kmod", "involflt-utils", "involflt-ueficert", "involflt-keyring"];
/// Every file and directory, but for what apt, dpkg and the kernels' own tools write down at each of their runs, and the
/// machine's own key, which dkms makes and keeps.
const FILES: &str = "find / -xdev \\( -path /proc -o -path /sys -o -path /dev -o -path /run -o -path /tmp \
    -o -path /repo -o -path /older -o -path /rpm -o -path /var/lib/apt -o -path /var/cache -o -path /var/log -o -path /var/lib/dpkg -o -path /var/lib/dkms \\) -prune \
    -o -print | LC_ALL=C sort";

/// Whatever was only installed for something that is gone.
const AUTOREMOVE: [&str; 4] = [
    "autoremove",
    "--purge",
    "-oAPT::AutoRemove::RecommendsImportant=false",
    "-oAPT::AutoRemove::SuggestsImportant=false",
];

/// What is asked of the machine, and the words of a refusal that is expected.
const COMMANDS: [(&str, Option<&str>); 8] = [
    ("systemctl is-system-running --wait || { systemctl list-units --failed --plain; false; }", None),
    ("cat /sys/kernel/security/lockdown; ! grep -q '\\[none\\]' /sys/kernel/security/lockdown", None),
    // Without the 28 bytes of its last line a signature is none.
    (
        "head -c -28 $(modinfo -F filename involflt) >/tmp/unsigned.ko; insmod /tmp/unsigned.ko",
        Some("Key was rejected by service"),
    ),
    ("insmod /root/foreign-$(uname -r).ko", Some("Key was rejected by service")),
    ("modprobe involflt", None),
    ("involfltctl doctor", None),
    ("involfltctl list", None),
    ("modprobe -r involflt", None),
];

/// Runs the stage.
pub fn run(context: &Context<'_>, tally: &mut Tally) {
    let dist = context.tree.join("dist/test-install");
    let again = context.again("install");
    let published = match Published::new(context, &dist) {
        Ok(published) => published,
        Err(error) => return tally.check("packages to install", Err(error.to_string()), &again),
    };
    let stranger = match Stranger::new(&dist.join("stranger")) {
        Ok(stranger) => stranger,
        Err(error) => return tally.check("a stranger's keys", Err(error.to_string()), &again),
    };
    let own = |release| published.kernels.iter().filter(|kernel| kernel.release == release).collect::<Vec<_>>();
    let releases: Vec<_> =
        RELEASES.iter().map(|release| (release, own(*release))).filter(|(_, own)| !own.is_empty()).collect();
    // A VM under emulation keeps about one processor busy.
    let outcomes = parallel::map(&releases, 2, |(_, own)| {
        Install { context, dist: &dist, own, published: &published, stranger: &stranger }.run()
    });
    for ((release, _), outcome) in releases.iter().zip(outcomes) {
        let name = format!("apt install involflt-kmod on {release}");
        match outcome {
            Err(error) => tally.check(&name, Err(error.to_string()), &again),
            Ok(steps) => {
                steps.into_iter().for_each(|(step, said)| tally.check(&format!("{name}: {step}"), Ok(said), &again))
            }
        }
    }
    drop(stranger);
    if let Err(error) = remove(&dist) {
        tally.check("the test's repository", Err(error.to_string()), &again);
    }
}

/// A repository, and what it was made from.
struct Published {
    kernels: Vec<LockedKernel>,
    keys: Keys,
    /// Signed modules by the kernel's id.
    modules: BTreeMap<String, PathBuf>,
}

impl Published {
    fn new(context: &Context<'_>, dist: &Path) -> Result<Published> {
        let kernels = context.kernels()?;
        let keys = Keys::open(&KeyOptions::default(), context.listener)?;
        let source = ModuleSource::read(&context.tree.join("module"))?;
        let farm = Farm::new(context.store, &source, context.matrix.offline);
        let log = context.store.kind("logs")?.join("test-install.log");
        let built = kernels.iter().map(|kernel| Ok((kernel, farm.build(kernel, &log, &|_| ())?)));
        let assembler = Assembler { farm: &farm, keys: &keys, listener: context.listener };
        let signed = assembler.modules(&built.collect::<Result<Vec<_>>>()?)?;
        fs::create_dir_all(dist).at_path(dist)?;
        assembler.run(&signed, dist)?;
        let modules = signed.into_iter().map(|one| (one.kernel.id(), one.module)).collect();
        Ok(Published { kernels, keys, modules })
    }
}

/// One release's test.
struct Install<'a> {
    context: &'a Context<'a>,
    dist: &'a Path,
    /// The release's kernels, in the lock's order.
    own: &'a [&'a LockedKernel],
    published: &'a Published,
    stranger: &'a Stranger,
}

/// What was done, and what came of it.
type Steps = Vec<(&'static str, String)>;

impl Install<'_> {
    /// From a root that knows nothing of us, and back to it.
    fn run(&self) -> Result<Steps> {
        let first = self.own[0];
        let spec = Spec::of(&first.release, &self.published.kernels)?.with_kernel(first);
        let mut root = spec.root(self.context.store, self.context.matrix.offline)?;
        let work = self.dist.join(format!("hostile-{}", first.release));
        fs::create_dir_all(&work).at_path(&work)?;
        root.bind(self.dist.join("apt"), "/repo");
        root.bind(&work, "/hostile");
        root.bind(self.dist.join(format!("rpm/debian-{}", first.release)), "/rpm");
        let second = self.second();
        if let Some(second) = second {
            let key = &self.published.keys.archive;
            root.bind(older::publish(&self.dist.join("apt"), first, second, key, &work)?, "/older");
        }
        // So that a later upgrade has packages of ours alone to upgrade.
        root.apt_get(&["update"])?.ok()?;
        root.apt_get(&["upgrade"])?.ok()?;
        let before = root.run(FILES)?.ok()?;
        let mut steps = vec![("tampered repositories", self.hostile(&root, &work)?.join("; "))];
        let keyring = self.dist.join("keys/involflt-archive-keyring.gpg");
        root.add_repository("involflt", "file:/repo", &first.release, &keyring)?;
        root.apt_get(&["update"])?.ok()?;
        match second {
            None => root.apt_get(&["install", "involflt-kmod"])?.ok().map(drop)?,
            Some(second) => {
                root.add_repository("involflt-older", "file:/older", &first.release, &keyring)?;
                root.apt_get(&["update"])?.ok()?;
                steps.push(("upgrade, downgrade", upgrade(&root, first, second)?));
            }
        }
        steps.push(("module", ours(&root, first)?));
        root.apt_get(&[&["install"], &PACKAGES[1..]].concat())?.ok()?;
        let kernels: Vec<&LockedKernel> = [first].into_iter().chain(second).collect();
        steps.push(("Secure Boot", self.boots(&root, &kernels)?.join("; ")));
        if let Some(second) = second {
            steps.push(("a kernel that goes", gone(&root, second)?));
        }
        if first.release == WITH_DKMS {
            steps.push(("a kernel that is not in the repository", older(&root, first)?));
        }
        root.apt_get(&[&["purge"], &PACKAGES[..]].concat())?.ok()?;
        // What came with ours goes with ours.
        root.apt_get(&AUTOREMOVE)?.ok()?;
        root.run("rm /etc/apt/sources.list.d/involflt*.sources /usr/share/keyrings/involflt*.gpg")?.ok()?;
        same(&before, &root.run(FILES)?.ok()?)?;
        steps.push(("purge", "nothing is left".into()));
        Ok(steps)
    }

    /// A kernel of another flavour than the first, and of another suite where there is one.
    fn second(&self) -> Option<&LockedKernel> {
        self.own.iter().rev().find(|kernel| kernel.flavour != self.own[0].flavour).copied()
    }

    fn hostile(&self, root: &Root, work: &Path) -> Result<Vec<String>> {
        Hostile {
            apt: &self.dist.join("apt"),
            keyring: &self.dist.join("keys/involflt-archive-keyring.gpg"),
            key: &self.published.keys.archive,
            stranger: self.stranger,
            suite: &self.own[0].release,
            work,
        }
        .all(root)
    }

    /// That root with each of its kernels: Secure Boot, our certificate enrolled, and systemd.
    fn boots(&self, root: &Root, kernels: &[&LockedKernel]) -> Result<Vec<String>> {
        let out = self.context.tree.join("dist/machines");
        fs::create_dir_all(&out).at_path(&out)?;
        let certificate = self.dist.join("keys/involflt-module.der");
        let certificate = fs::read(&certificate).at_path(&certificate)?;
        for kernel in kernels {
            let foreign = self.stranger.sign_module(&self.published.modules[&kernel.id()])?;
            root.write(&format!("/root/foreign-{}.ko", kernel.kernel), 0o644, &foreign)?;
        }
        let machine = Machine::of(root, self.context.store)?;
        root.run("rm /root/foreign-*.ko")?.ok()?;
        let boot = |kernel: &&LockedKernel| {
            let booted = machine.boot(&Boot {
                kernel: &kernel.kernel,
                arguments: "module.sig_enforce=1",
                owner_key: Some(&certificate),
                commands: &COMMANDS.map(|(command, _)| command),
                log: &out.join(format!("{}.log", kernel.id())),
            })?;
            as_expected(booted).map(|said| format!("{}: {said}", kernel.kernel))
        };
        kernels.iter().map(boot).collect()
    }
}

/// Every command did what it was to do, and the kernel had no complaint.
fn as_expected(booted: Booted) -> Result<String> {
    for ((_, refusal), said) in COMMANDS.iter().zip(booted.results) {
        match refusal {
            None => said.ok()?,
            Some(words) => said.refused(words)?,
        };
    }
    let refused = COMMANDS.iter().filter(|(_, refusal)| refusal.is_some()).count();
    match booted.complaint {
        Some(line) => Err(Error::kernel(line)),
        None => {
            Ok(format!("signed module loaded, {refused} others refused, doctor content; {} s", booted.millis / 1000))
        }
    }
}

/// The kernel's module is ours, for it, and the one that modprobe takes.
fn ours(root: &Root, kernel: &LockedKernel) -> Result<String> {
    let release = &kernel.kernel;
    let found =
        root.run(&format!("modinfo -k {release} -F filename involflt; modinfo -k {release} -F vermagic involflt"))?;
    let found = found.ok()?;
    let good = found.contains("/updates/involflt/involflt.ko") && found.contains(&format!("\n{release} "));
    if good {
        Ok(release.clone())
    } else {
        Err(Error::kernel(format!("modinfo -k {release} involflt: {}", found.trim())))
    }
}

/// From an older `involflt-kmod` that knows the first kernel only to the one that is published, back, and there again.
fn upgrade(root: &Root, first: &LockedKernel, second: &LockedKernel) -> Result<String> {
    let older = format!("involflt-kmod={}", older::VERSION);
    root.apt_get(&["install", &older])?.ok()?;
    root.apt_get(&["install", &format!("linux-image-{}", second.kernel)])?.ok()?;
    ours(root, first)?;
    // The older module has lost its signature.
    let unsigned = format!("[ -z \"$(modinfo -k {} -F sig_id involflt)\" ]", first.kernel);
    root.run(&unsigned)?.ok()?;
    root.run(&format!("! modinfo -k {} involflt", second.kernel))?.ok()?;
    root.apt_get(&["upgrade"])?.ok()?;
    published(root, &[first, second])?;
    root.apt_get(&["install", "--allow-downgrades", &older])?.ok()?;
    root.run(&unsigned)?.ok()?;
    ours(root, second)?;
    root.apt_get(&["upgrade"])?.ok()?;
    published(root, &[first, second])?;
    Ok(format!("{} got its module by the upgrade, and kept it at the downgrade", second.kernel))
}

/// The modules beside the kernels are those of the installed `involflt-kmod`, with their signatures.
fn published(root: &Root, kernels: &[&LockedKernel]) -> Result<()> {
    for kernel in kernels {
        ours(root, kernel)?;
        root.run(&format!("[ -n \"$(modinfo -k {} -F sig_id involflt)\" ]", kernel.kernel))?.ok()?;
    }
    Ok(())
}

/// A kernel that is removed takes its module away with it.
fn gone(root: &Root, kernel: &LockedKernel) -> Result<String> {
    root.apt_get(&["purge", &format!("linux-image-{}", kernel.kernel)])?.ok()?;
    // From Linux 7 on, the modules are in a package of their own.
    root.apt_get(&AUTOREMOVE)?.ok()?;
    root.run(&format!("! find /lib/modules/{} 2>/dev/null | grep .", kernel.kernel))?.ok()?;
    Ok(format!("{} took its module with it", kernel.kernel))
}

/// An older kernel of the release, which no package has a module for: DKMS builds it one, and all of it goes again.
fn older(root: &Root, newer: &LockedKernel) -> Result<String> {
    let flavour = &newer.flavour;
    let names = format!(
        "apt-cache pkgnames linux-image- | sed -nE 's/^linux-image-([0-9][0-9.+a-z]*-[0-9]+-{flavour})$/\\1/p' |
         sort -V | grep -vx '{}' | head -n 1",
        newer.kernel
    );
    let release = root.run(&names)?.ok()?.trim().to_string();
    let packages = [format!("linux-image-{release}"), format!("linux-headers-{release}"), "involflt-dkms".to_string()];
    let packages: Vec<&str> = packages.iter().map(String::as_str).collect();
    root.apt_get(&[&["install"], packages.as_slice()].concat())?.ok()?;
    let found = root.run(&format!("modinfo -k {release} -F filename involflt"))?.ok()?;
    if !found.contains("/updates/dkms/involflt.ko") {
        return Err(Error::kernel(format!("modinfo -k {release} involflt: {}", found.trim())));
    }
    root.apt_get(&["purge", "involflt-dkms"])?.ok()?;
    by_rpm(root, &release)?;
    root.apt_get(&[&["purge"], &packages[..2]].concat())?.ok()?;
    Ok(format!("{release}: built by DKMS, from the .deb and from the .rpm"))
}

/// The same from the .rpm, whose scripts are run by Debian's rpm; dkms itself is Debian's, so that no rpm provides it.
fn by_rpm(root: &Root, release: &str) -> Result<()> {
    root.apt_get(&["install", "rpm"])?.ok()?;
    // Debian's rpm has its database in the home directory.
    let rpm = |arguments: &str| root.run(&format!("HOME=/tmp/rpm rpm {arguments}"))?.ok();
    rpm("--import /rpm/repodata/repomd.xml.key")?;
    rpm("--checksig /rpm/x86_64/*/involflt-dkms-*.rpm")?;
    rpm("-i --nodeps /rpm/x86_64/*/involflt-dkms-*.rpm")?;
    let found = root.run(&format!("modinfo -k {release} -F filename involflt"))?.ok()?;
    if !found.contains("/updates/dkms/involflt.ko") {
        return Err(Error::kernel(format!("modinfo -k {release} involflt: {}", found.trim())));
    }
    rpm("-e --nodeps involflt-dkms")?;
    // `/usr/share/licenses` belongs to the distribution where rpm is at home.
    root.run(&format!("! modinfo -k {release} involflt && rmdir /usr/share/licenses && rm -r /tmp/rpm"))?.ok()?;
    root.apt_get(&["purge", "rpm"])?.ok().map(drop)
}

/// The same files as before.
fn same(before: &str, after: &str) -> Result<()> {
    let left = |one: &str, other: &str| -> Vec<String> {
        let other: std::collections::BTreeSet<&str> = other.lines().collect();
        one.lines().filter(|line| !other.contains(line)).map(String::from).collect()
    };
    let (gone, new) = (left(before, after), left(after, before));
    match (gone.as_slice(), new.as_slice()) {
        ([], []) => Ok(()),
        _ => Err(Error::kernel(format!("after purge: left behind {new:?}, gone {gone:?}"))),
    }
}
