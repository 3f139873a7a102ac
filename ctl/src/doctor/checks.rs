// SPDX-License-Identifier: GPL-2.0-only
//! The verdict on each thing, and what to do.

use super::facts::{Answer, Facts, Family, Installed, Loaded, Node, OURS, Origin, Signer, Unread, is_absent};
use super::{Check, Verdict};
use crate::statistics::Statistics;
use involflt::abi::version::WORDS;

fn ok(name: &'static str, found: impl Into<String>) -> Check {
    Check { name, verdict: Verdict::Ok, found: found.into(), cure: None }
}

fn note(name: &'static str, found: impl Into<String>) -> Check {
    Check { verdict: Verdict::Note, ..ok(name, found) }
}

fn wrong(name: &'static str, found: impl Into<String>, cure: impl Into<String>) -> Check {
    Check { verdict: Verdict::Wrong, cure: Some(cure.into()), ..ok(name, found) }
}

impl Check {
    fn cure(mut self, cure: impl Into<String>) -> Self {
        self.cure = Some(cure.into());
        self
    }
}

/// Every check, in the order in which one leads to the next.
pub fn all(facts: &Facts) -> Vec<Check> {
    let mut checks = vec![ok("kernel", &facts.release), installed(facts), platform(facts), signature(facts)];
    checks.extend([secure_boot(facts), certificate(facts), loaded(facts), device(facts), driver(facts)]);
    checks.extend([hooks(facts), completed(facts), in_sync(facts), configured(facts)].into_iter().flatten());
    checks
}

/// The command that installs a package.
fn install(family: Family, package: &str) -> String {
    match family {
        Family::Debian => format!("apt install {package}"),
        Family::Suse => format!("zypper install {package}"),
        Family::RedHat => format!("dnf install {package}"),
        Family::Other => format!("install {package}"),
    }
}

fn installed(facts: &Facts) -> Check {
    const NAME: &str = "module";
    let Facts { release, family, .. } = facts;
    let get = format!("{}, or involflt-dkms to build one here", install(*family, "involflt-kmod"));
    let Some(installed) = &facts.installed else {
        return match facts.loaded {
            Some(_) => note(NAME, format!("loaded, and not installed for {release}: gone after a reboot")).cure(get),
            None => wrong(NAME, format!("none is installed for {release}"), get),
        };
    };
    let Installed { path, origin, in_modules_dep, file, .. } = installed;
    let found = match origin {
        Origin::Prebuilt => format!("{path}, ready-made from a package"),
        Origin::Dkms => format!("{path}, built here by DKMS"),
        Origin::ByHand => format!("{path}, of no package"),
    };
    match file {
        _ if !in_modules_dep => wrong(NAME, format!("{found}, which modprobe does not know"), "depmod -a"),
        Ok(file) if file.release != *release => {
            wrong(NAME, format!("{found}, is for {}, not for {release}", file.release), get)
        }
        Ok(_) => ok(NAME, found),
        Err(Unread::Compressed) => note(NAME, format!("{found}; compressed, and not looked into")),
        Err(Unread::Bad(why)) => wrong(NAME, format!("{path} {why}"), reinstall(*origin, facts)),
    }
}

fn reinstall(origin: Origin, facts: &Facts) -> String {
    match (origin, facts.family) {
        (Origin::Dkms, _) => {
            format!("dkms install --force involflt -k {}; it signs with /var/lib/dkms/mok.key", facts.release)
        }
        (_, Family::Debian) => "apt install --reinstall involflt-kmod".into(),
        (_, Family::Suse) => "zypper install --force involflt-kmod".into(),
        (_, Family::RedHat) => "dnf reinstall involflt-kmod".into(),
        (_, Family::Other) => "install involflt-kmod anew".into(),
    }
}

fn platform(facts: &Facts) -> Check {
    const NAME: &str = "platform";
    let file = facts.installed.as_ref().and_then(|installed| installed.file.as_ref().ok());
    match file.map(|file| file.platform.as_str()) {
        Some("rfl") => ok(NAME, "rfl: the kernel's own Rust"),
        Some("cglue") => ok(NAME, "cglue: a prebuilt Rust object, for kernels without Rust"),
        Some(other) if !other.is_empty() => note(NAME, format!("{other}, which this program does not know")),
        _ => note(NAME, "not known: no module that says it is installed"),
    }
}

fn signature(facts: &Facts) -> Check {
    const NAME: &str = "signature";
    let on = facts.enforcement.is_on();
    let Some(installed) = &facts.installed else { return note(NAME, "there is no module to look at") };
    match (&installed.file, &installed.signer) {
        (Err(_), _) => note(NAME, "not looked at"),
        (Ok(_), None) if on => {
            wrong(NAME, "none, and this kernel refuses a module without", reinstall(installed.origin, facts))
        }
        (Ok(_), None) => note(NAME, "none; this kernel takes a module without"),
        (Ok(_), Some(Signer::Unknown)) if on && facts.loaded.is_none() => {
            wrong(NAME, "by a key whose certificate is not on this machine", install(facts.family, "involflt-ueficert"))
        }
        (Ok(_), Some(Signer::Unknown)) => note(NAME, "by a key whose certificate is not on this machine"),
        (Ok(_), Some(Signer::Known { certificate, enrolled: true })) => {
            ok(NAME, format!("by {certificate}, whose key the kernel has"))
        }
        (Ok(_), Some(Signer::Known { certificate, .. })) if on && facts.loaded.is_none() => {
            wrong(NAME, format!("by {certificate}, whose key the kernel does not have"), enrol(certificate))
        }
        (Ok(_), Some(Signer::Known { certificate, .. })) => {
            ok(NAME, format!("by {certificate}, whose key the kernel does not have, and does not ask for"))
        }
    }
}

fn enrol(certificate: &str) -> String {
    let import = if certificate == OURS { "involflt-enroll-cert" } else { &format!("mokutil --import {certificate}") };
    format!("{import}, reboot, and choose \"Enroll MOK\"")
}

fn secure_boot(facts: &Facts) -> Check {
    let enforcement = &facts.enforcement;
    let state = match enforcement.secure_boot {
        None => "no UEFI",
        Some(false) => "off",
        Some(true) => "on",
    };
    let modules = if enforcement.is_on() { "signed modules only" } else { "any module is taken" };
    ok("secure boot", format!("{state}; lockdown {}; {modules}", enforcement.lockdown))
}

fn certificate(facts: &Facts) -> Check {
    const NAME: &str = "certificate";
    match &facts.certificate {
        Some(Signer::Known { enrolled: true, .. }) => ok(NAME, format!("{OURS}: the kernel has its key")),
        Some(_) if facts.enforcement.secure_boot == Some(true) => {
            note(NAME, format!("{OURS}: the kernel does not have its key")).cure(enrol(OURS))
        }
        Some(_) => ok(NAME, format!("{OURS}: the kernel does not have its key; without Secure Boot it need not")),
        None if facts.enforcement.secure_boot == Some(true) => {
            note(NAME, "not on this machine").cure(install(facts.family, "involflt-ueficert"))
        }
        None => ok(NAME, "not on this machine; without Secure Boot it need not be"),
    }
}

fn loaded(facts: &Facts) -> Check {
    const NAME: &str = "loaded";
    let Some(Loaded { live, build_id, unsigned, .. }) = &facts.loaded else {
        return wrong(NAME, "no", "modprobe involflt; if it refuses, `dmesg | tail` says why");
    };
    if !live {
        return wrong(NAME, "loading or unloading does not end", "`dmesg | grep involflt`, then reboot");
    }
    let file = facts.installed.as_ref().and_then(|installed| installed.file.as_ref().ok());
    let on_disk = file.and_then(|file| file.build_id.as_ref());
    let unsigned = if *unsigned { ", without a signature that the kernel trusts" } else { "" };
    match (build_id, on_disk) {
        (Some(loaded), Some(installed)) if loaded != installed => {
            note(NAME, format!("yes{unsigned}, and not the one that is installed")).cure("it is there after a reboot")
        }
        _ => ok(NAME, format!("yes{unsigned}")),
    }
}

fn device(facts: &Facts) -> Check {
    const NAME: &str = "device";
    let make = |major: u64| format!("rm -f /dev/involflt; mknod -m 0600 /dev/involflt c {major} 0");
    match (&facts.node, facts.major) {
        (Node::Absent, None) => note(NAME, "none: it comes with the module"),
        (Node::Absent, Some(major)) => wrong(NAME, "/dev/involflt is not there", make(major)),
        (_, None) => wrong(NAME, "/dev/involflt is left over; no driver is behind it", "modprobe involflt"),
        (Node::NoCharacterDevice, Some(major)) => wrong(NAME, "/dev/involflt is no device", make(major)),
        (Node::Present { major, .. }, Some(real)) if *major != real => {
            wrong(NAME, format!("/dev/involflt has the major number {major}, the driver {real}"), make(real))
        }
        (Node::Present { mode, roots, .. }, _) if mode & 0o077 != 0 || !roots => {
            note(NAME, format!("/dev/involflt is not root's alone (mode {mode:04o})"))
                .cure("chown root:root /dev/involflt; chmod 0600 /dev/involflt")
        }
        (Node::Present { .. }, _) => ok(NAME, "/dev/involflt, root's alone"),
    }
}

fn driver(facts: &Facts) -> Check {
    const NAME: &str = "driver";
    match &facts.answer {
        Ok(Answer { version, .. }) => {
            let [a, b, c, d] = version.driver;
            let known = version.driver == WORDS[..4];
            let found = format!("answers: interface {a}.{b}.{c}.{d}");
            if known { ok(NAME, found) } else { note(NAME, found + ", which this program was not made for") }
        }
        Err(error) if is_absent(error) => note(NAME, "does not answer: it is not there"),
        Err(error) => wrong(NAME, &error.message, error.notes.join("; ")),
    }
}

fn hooks(facts: &Facts) -> Option<Check> {
    const NAME: &str = "hooks";
    let (answer, loaded) = (facts.answer.as_ref().ok()?, facts.loaded.as_ref()?);
    let disks = answer.disks.len();
    let silent = answer.disks.iter().find_map(|(_, statistics)| statistics.as_ref().err());
    Some(match silent {
        Some(error) => wrong(NAME, &error.message, error.notes.join("; ")),
        None if loaded.references < disks as u64 => {
            let found = format!("in place: {}, for {disks} filtered", loaded.references);
            wrong(NAME, found, "involfltctl stop --all, and start anew with a full copy")
        }
        None if disks == 0 => ok(NAME, "none: no disk is filtered"),
        None => ok(NAME, format!("in place: {}", names(answer.disks.iter().map(|(name, _)| name)))),
    })
}

/// Whether a driver that the initramfs has loaded has come to the root file system. It is silent about one that has not to come.
fn completed(facts: &Facts) -> Option<Check> {
    let disks = &facts.answer.as_ref().ok()?.disks;
    let waits = |(_, statistics): &&(String, _)| matches!(statistics, Ok(Statistics { before_root: true, .. }));
    let waits: Vec<_> = disks.iter().filter(waits).map(|(name, _)| name).collect();
    let found = || format!("not since the initramfs: nothing is delivered of {}", names(waits.iter().copied()));
    let cure = "systemctl enable --now involflt, or now alone: involfltctl start --configured";
    (!waits.is_empty()).then(|| wrong("completed", found(), cure))
}

fn in_sync(facts: &Facts) -> Option<Check> {
    let disks = &facts.answer.as_ref().ok()?.disks;
    let needs = |(_, statistics): &&(String, _)| matches!(statistics, Ok(statistics) if needs_resync(statistics));
    let needs: Vec<_> = disks.iter().filter(needs).collect();
    match needs.as_slice() {
        _ if disks.is_empty() => None,
        [] => Some(ok("in sync", "every disk")),
        some => {
            let found = format!("not {}", names(some.iter().map(|(name, _)| name)));
            Some(note("in sync", found).cure("copy it whole; `involfltctl status` has the reason"))
        }
    }
}

fn needs_resync(statistics: &Statistics) -> bool {
    statistics.resync.is_some()
}

fn configured(facts: &Facts) -> Option<Check> {
    const NAME: &str = "configured";
    Some(match &facts.unfiltered {
        Err(error) => wrong(NAME, &error.message, error.notes.join("; ")),
        Ok(disks) if disks.is_empty() => {
            ok(NAME, "every disk of /etc/involflt/involflt.conf that is there is filtered")
        }
        Ok(disks) => wrong(NAME, format!("not filtered: {}", names(disks.iter())), "involfltctl start --configured"),
    })
}

fn names<'a>(names: impl Iterator<Item = &'a String>) -> String {
    names.map(String::as_str).collect::<Vec<_>>().join(", ")
}
