// SPDX-License-Identifier: GPL-2.0-only
//! An iSCSI disk in a Debian machine with open-iscsi and tgt: replicated, written to through a file system, replicated again,
//! and taken away while it is filtered. Costs a boot, about a minute.

use super::{Context, Tally};
use crate::build::Farm;
use crate::ctl_program;
use crate::error::{AtPath, Error, Result};
use crate::event::Event;
use crate::machine::{Boot, Machine, Root, Spec};
use crate::module_source::ModuleSource;
use std::fs;
use std::path::Path;

const RELEASE: &str = "bookworm";
const AGAIN: &str = "cargo xtask test --only iscsi";
const PACKAGES: [&str; 2] = ["open-iscsi", "tgt"];

/// The program that makes the target and logs in to it.
const LOGIN: &str = "/root/login";
const LOGIN_SCRIPT: &str = "#!/bin/sh -e
truncate -s 64M /srv/lun
for i in $(seq 60); do tgtadm --lld iscsi --op show --mode system >/dev/null 2>&1 && break; sleep 1; done
tgtadm --lld iscsi --op new --mode target --tid 1 -T iqn.2026-01.test:disk
tgtadm --lld iscsi --op new --mode logicalunit --tid 1 --lun 1 -b /srv/lun
tgtadm --lld iscsi --op bind --mode target --tid 1 -I ALL
iscsiadm -m discovery -t sendtargets -p 127.0.0.1
iscsiadm -m node --login
for i in $(seq 60); do [ -b /dev/sda ] && break; sleep 1; done
";

/// What is asked of the machine, and what it must say. It has no other SCSI disk.
const QUESTIONS: [(&str, &str); 5] = [
    ("/root/login; modprobe involflt; readlink -f /sys/block/sda/device", "/session"),
    ("involfltctl replicate sda --to /srv/replica --once 2>&1", "up to date"),
    (
        "mkfs.ext4 -q /dev/sda; mount /dev/sda /mnt; cp -r /etc /mnt; umount /mnt; \
         involfltctl replicate sda --to /srv/replica --once 2>&1 | grep -v 'full copy'",
        "up to date: ",
    ),
    ("involfltctl verify sda /srv/replica 2>&1 && cmp /dev/sda /srv/replica && echo same", "same"),
    (
        "dd if=/dev/urandom of=/dev/sda bs=64k count=16 oflag=direct; iscsiadm -m node --logout; \
         involfltctl stop sda && rmmod involflt && echo 'all gone'",
        "all gone",
    ),
];

/// Runs the stage.
pub fn run(context: &Context<'_>, tally: &mut Tally) {
    if let Err(error) = machine(context, tally) {
        tally.check("iscsi", Err(error.to_string()), AGAIN);
    }
}

fn machine(context: &Context<'_>, tally: &mut Tally) -> Result<()> {
    let kernels = context.kernels()?;
    let kernel = kernels.iter().rfind(|kernel| kernel.release == RELEASE && kernel.flavour == "amd64");
    let kernel = kernel.ok_or_else(|| Error::input(format!("no amd64 kernel of {RELEASE} is selected")))?;
    let spec = Spec::of(RELEASE, &kernels)?.with(PACKAGES).with_kernel(kernel);
    let root = spec.root(context.store, context.matrix.offline)?;
    let out = context.tree.join("dist/machines");
    fs::create_dir_all(&out).at_path(&out)?;
    let source = ModuleSource::read(&context.tree.join("module"))?;
    let stage = |stage: &str| context.listener.event(Event::Stage { subject: kernel.id(), stage: stage.to_string() });
    let farm = Farm::new(context.store, &source, context.matrix.offline);
    let module = farm.build(kernel, &out.join("iscsi.build.log"), &stage)?.module;
    install(&root, &module, &kernel.kernel)?;
    let commands = QUESTIONS.map(|(question, _)| question);
    let log = out.join("iscsi.log");
    let boot = Boot { kernel: &kernel.kernel, owner_key: None, arguments: "", commands: &commands, log: &log };
    let booted = Machine::of(&root, context.store)?.boot(&boot)?;
    if let Some(complaint) = booted.complaint {
        tally.check("iscsi: the console", Err(complaint), AGAIN);
    }
    for (said, (question, answer)) in booted.results.into_iter().zip(QUESTIONS) {
        let good = said.output.contains(answer);
        let outcome = if good { Ok(answer.to_string()) } else { Err(said.output.trim().to_string()) };
        tally.check(&format!("iscsi: {question}"), outcome, AGAIN);
    }
    Ok(())
}

fn install(root: &Root, module: &Path, release: &str) -> Result<()> {
    let program = ctl_program::build()?.binary;
    root.write("/usr/sbin/involfltctl", 0o755, &fs::read(&program).at_path(&program)?)?;
    let place = format!("/lib/modules/{release}/updates/involflt/involflt.ko");
    root.write(&place, 0o644, &fs::read(module).at_path(module)?)?;
    root.write(LOGIN, 0o755, LOGIN_SCRIPT.as_bytes())?;
    root.run(&format!("depmod {release}"))?.ok().map(drop)
}
