// SPDX-License-Identifier: GPL-2.0-only
//! Our packages in real Debian roots, by apt alone; then that very root boots.

use super::{Context, Tally};
use crate::build::Farm;
use crate::error::{AtPath, Error, Result};
use crate::lock::LockedKernel;
use crate::machine::{Boot, Machine, Root, Spec};
use crate::module_source::ModuleSource;
use crate::package::SignedModule;
use crate::publish::Publisher;
use crate::sign::{KeyOptions, Keys};
use crate::store::remove;
use std::fs;
use std::path::Path;

/// Releases whose administrators are promised packages. Older ones get modules only.
const RELEASES: [&str; 3] = ["bookworm", "trixie", "sid"];
/// Everything of ours.
const PACKAGES: [&str; 4] = ["involflt-kmod", "involflt-utils", "involflt-ueficert", "involflt-keyring"];
/// Every file and directory, but for what apt, dpkg and the kernels' own tools write down at each of their runs.
const FILES: &str = "find / -xdev \\( -path /proc -o -path /sys -o -path /dev -o -path /run -o -path /tmp \
    -o -path /repo -o -path /var/lib/apt -o -path /var/cache -o -path /var/log -o -path /var/lib/dpkg \\) -prune \
    -o -print | LC_ALL=C sort";

/// What is asked of the machine, and the words of a refusal that is expected.
const COMMANDS: [(&str, Option<&str>); 7] = [
    ("systemctl is-system-running --wait || { systemctl list-units --failed --plain; false; }", None),
    ("cat /sys/kernel/security/lockdown; ! grep -q '\\[none\\]' /sys/kernel/security/lockdown", None),
    // Without the 28 bytes of its last line a signature is none.
    ("head -c -28 $(modinfo -F filename involflt) >/tmp/unsigned.ko; insmod /tmp/unsigned.ko", Some("rejected")),
    ("modprobe involflt", None),
    ("involfltctl doctor", None),
    ("involfltctl list", None),
    ("modprobe -r involflt", None),
];

/// Runs the stage.
pub fn run(context: &Context<'_>, tally: &mut Tally) {
    let dist = context.tree.join("dist/test-install");
    let again = context.again("install");
    let kernels = match published(context, &dist) {
        Ok(kernels) => kernels,
        Err(error) => return tally.check("packages to install", Err(error.to_string()), &again),
    };
    for release in RELEASES {
        let own: Vec<_> = kernels.iter().filter(|kernel| kernel.release == release).collect();
        if own.is_empty() {
            continue;
        }
        let outcome = Install { context, dist: &dist, kernels: &kernels, own }.run().map_err(|error| error.to_string());
        tally.check(&format!("apt install involflt-kmod on {release}"), outcome, &again);
    }
    if let Err(error) = remove(&dist) {
        tally.check("the test's repository", Err(error.to_string()), &again);
    }
}

/// Modules of all kernels, signed and packed, and a repository of them.
fn published(context: &Context<'_>, dist: &Path) -> Result<Vec<LockedKernel>> {
    let kernels = context.kernels()?;
    let keys = Keys::open(&KeyOptions::default(), context.listener)?;
    let source = ModuleSource::read(&context.tree.join("module"))?;
    let farm = Farm::new(context.store, &source, context.matrix.offline);
    let log = context.store.kind("logs")?.join("test-install.log");
    let built = kernels.iter().map(|kernel| Ok((kernel, farm.build(kernel, &log, &|_| ())?)));
    let built = built.collect::<Result<Vec<_>>>()?;
    let publisher = Publisher { farm: &farm, keys: &keys, listener: context.listener };
    let modules: Vec<SignedModule<'_>> = publisher.modules(&built)?;
    fs::create_dir_all(dist).at_path(dist)?;
    publisher.run(&modules, dist)?;
    Ok(kernels)
}

/// One release's test.
struct Install<'a> {
    context: &'a Context<'a>,
    dist: &'a Path,
    kernels: &'a [LockedKernel],
    /// The release's kernels, in the lock's order.
    own: Vec<&'a LockedKernel>,
}

impl Install<'_> {
    fn run(&self) -> Result<String> {
        let first = self.own[0];
        let image = |kernel: &LockedKernel| format!("linux-image-{}", kernel.kernel);
        let spec = Spec::of(&first.release, self.kernels)?.with([image(first).as_str()]);
        let mut root = spec.root(self.context.store, self.context.matrix.offline)?;
        root.bind(self.dist.join("apt"), "/repo");
        let before = root.run(FILES)?.ok()?;
        let keyring = self.dist.join("keys/involflt-archive-keyring.gpg");
        root.add_repository("involflt", "file:/repo", &first.release, &keyring)?;
        root.apt_get(&["update"])?.ok()?;
        root.apt_get(&["install", "involflt-kmod"])?.ok()?;
        ours(&root, first)?;
        root.apt_get(&[&["install"], &PACKAGES[1..]].concat())?.ok()?;
        self.boots(&root, first)?;
        let mut installed = vec![first.kernel.as_str()];
        if let Some(second) = self.own.get(1) {
            root.apt_get(&["install", &image(second)])?.ok()?;
            ours(&root, second)?;
            root.apt_get(&["purge", &image(second)])?.ok()?;
            root.run(&format!("test ! -e /lib/modules/{}", second.kernel))?.ok()?;
            installed.push(&second.kernel);
        }
        root.apt_get(&[&["purge"], &PACKAGES[..]].concat())?.ok()?;
        // What came with ours goes with ours.
        root.apt_get(&["autoremove", "--purge"])?.ok()?;
        root.run("rm /etc/apt/sources.list.d/involflt.sources /usr/share/keyrings/involflt.gpg")?.ok()?;
        let after = root.run(FILES)?.ok()?;
        same(&before, &after)?;
        Ok(format!("{}; booted, and nothing left after purge", installed.join(", ")))
    }

    /// That root, with Secure Boot, our certificate enrolled, and systemd.
    fn boots(&self, root: &Root, kernel: &LockedKernel) -> Result<()> {
        let out = self.context.tree.join("dist/machines");
        fs::create_dir_all(&out).at_path(&out)?;
        let certificate = self.dist.join("keys/involflt-module.der");
        let certificate = fs::read(&certificate).at_path(&certificate)?;
        let booted = Machine::of(root, self.context.store)?.boot(&Boot {
            kernel: &kernel.kernel,
            arguments: "module.sig_enforce=1",
            owner_key: Some(&certificate),
            commands: &COMMANDS.map(|(command, _)| command),
            log: &out.join(format!("{}.log", kernel.id())),
        })?;
        for ((_, refusal), said) in COMMANDS.iter().zip(booted.results) {
            match refusal {
                None => said.ok()?,
                Some(words) => said.refused(words)?,
            };
        }
        booted.complaint.map_or(Ok(()), |line| Err(Error::kernel(line)))
    }
}

/// The kernel's module is ours, for it, and the one that modprobe takes.
fn ours(root: &Root, kernel: &LockedKernel) -> Result<()> {
    let release = &kernel.kernel;
    let found =
        root.run(&format!("modinfo -k {release} -F filename involflt; modinfo -k {release} -F vermagic involflt"))?;
    let found = found.ok()?;
    let good = found.contains("/updates/involflt/involflt.ko") && found.contains(&format!("\n{release} "));
    if good { Ok(()) } else { Err(Error::kernel(format!("modinfo -k {release} involflt: {}", found.trim()))) }
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
