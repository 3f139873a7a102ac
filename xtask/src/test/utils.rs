// SPDX-License-Identifier: GPL-2.0-only
//! What is installed beside `involfltctl`, in a Debian machine with systemd: the initramfs filters the root's disk, the
//! service filters nothing twice, udev has a disk filtered that appears later; and all goes on after a reboot. Costs two
//! boots, about a minute and a half.

use super::{Context, Tally, reboot};
use crate::build::Farm;
use crate::ctl_program;
use crate::error::{AtPath, Error, Result};
use crate::event::Event;
use crate::lock::LockedKernel;
use crate::machine::{Boot, Booted, Machine, Root, Spec};
use crate::module_source::ModuleSource;
use crate::resolve::{self, MatrixArgs};
use std::fs;
use std::path::{Path, PathBuf};

const RELEASE: &str = "bookworm";
const AGAIN: &str = "cargo xtask test --only utils";

/// Files of `packaging/utils`, their modes and where they go.
const FILES: [(&str, u32, &str); 5] = [
    ("systemd/involflt.service", 0o644, "/usr/lib/systemd/system/involflt.service"),
    ("systemd/involflt-disk@.service", 0o644, "/usr/lib/systemd/system/involflt-disk@.service"),
    ("udev/61-involflt.rules", 0o644, "/usr/lib/udev/rules.d/61-involflt.rules"),
    ("initramfs-tools/hooks/involflt", 0o755, "/usr/share/initramfs-tools/hooks/involflt"),
    (
        "initramfs-tools/scripts/local-premount/involflt",
        0o755,
        "/usr/share/initramfs-tools/scripts/local-premount/involflt",
    ),
];

/// The root's disk is named by a link, and the other by its kernel name.
const CONFIG: &[u8] = b"disk = /dev/disk/by-id/virtio-root\ndisk = nullb0\ninitramfs = yes\n";

/// What is asked of the machine, and what it must say.
const QUESTIONS: [(&str, &str); 9] = [
    ("systemctl is-system-running --wait || systemctl list-units --failed --plain", "running"),
    // Who came first was the initramfs.
    ("journalctl --unit involflt.service --no-pager --output cat", "/dev/vda: filtered already"),
    ("stat -c %a:%U:%G /dev/involflt", "600:root:root"),
    ("involfltctl list", "/dev/vda"),
    // The disk appears, and udev does the rest.
    (
        "modprobe null_blk nr_devices=1; for i in $(seq 60); do involfltctl list | grep nullb && break; sleep 1; done",
        "/dev/nullb0",
    ),
    ("systemctl is-active involflt-disk@dev-nullb0.service", "active"),
    ("involfltctl doctor", "nothing is wrong"),
    // Stopping the service forgets nothing.
    ("systemctl stop involflt.service; involfltctl list", "/dev/vda"),
    reboot::DRAIN,
];

/// The machine's disk has a root file system that is mounted read-only first, and writable by systemd.
const ARGUMENTS: &str = "ro";

/// Runs the stage.
pub fn run(context: &Context<'_>, tally: &mut Tally) {
    if let Err(error) = machine(context, tally) {
        tally.check("utils", Err(error.to_string()), AGAIN);
    }
}

fn machine(context: &Context<'_>, tally: &mut Tally) -> Result<()> {
    let locked = MatrixArgs { locked: context.matrix.select.is_empty(), ..context.matrix.clone() };
    let kernels = resolve::matrix(&locked, context.store, context.listener)?;
    let kernel = kernels.iter().rfind(|kernel| kernel.release == RELEASE && kernel.flavour == "amd64");
    let kernel = kernel.ok_or_else(|| Error::input(format!("no amd64 kernel of {RELEASE} is selected")))?;
    let root = Spec::of(RELEASE, &kernels)?.with_kernel(kernel).root(context.store, context.matrix.offline)?;
    let out = context.tree.join("dist/machines");
    fs::create_dir_all(&out).at_path(&out)?;
    let program = ctl_program::build()?.binary;
    install(context.tree, &root, &program, &module(context, kernel, &out)?, &kernel.kernel)?;
    let machine = Machine::of(&root, context.store)?;
    reboot::make_room(&machine)?;
    let logs = ["utils.log", "reboot.log"].map(|name| out.join(name));
    let boot = Boot { kernel: &kernel.kernel, owner_key: None, arguments: ARGUMENTS, commands: &[], log: &logs[0] };
    let questions = QUESTIONS.map(|(question, _)| question);
    let booted = machine.boot(&Boot { commands: &questions, ..boot })?;
    answered(tally, "utils", booted, &QUESTIONS);
    let questions = reboot::QUESTIONS.map(|(question, _)| question);
    let boot = Boot { commands: &questions, log: &logs[1], ..boot };
    let (booted, verdict) = reboot::run(&machine, &boot, &program)?;
    answered(tally, "reboot", booted, &reboot::QUESTIONS);
    tally.check("reboot: the root's changes", verdict.map_err(|error| error.to_string()), AGAIN);
    Ok(())
}

/// The kernel has not complained, and the machine has said what it must.
fn answered(tally: &mut Tally, boot: &str, booted: Booted, questions: &[(&str, &str)]) {
    if let Some(complaint) = booted.complaint {
        tally.check(&format!("{boot}: the console"), Err(complaint), AGAIN);
    }
    for (said, (question, answer)) in booted.results.into_iter().zip(questions) {
        let good = said.output.contains(answer);
        let outcome = if good { Ok(answer.to_string()) } else { Err(said.output.trim().to_string()) };
        tally.check(&format!("{boot}: {question}"), outcome, AGAIN);
    }
}

fn module(context: &Context<'_>, kernel: &LockedKernel, out: &Path) -> Result<PathBuf> {
    let source = ModuleSource::read(&context.tree.join("module"))?;
    let farm = Farm::new(context.store, &source, context.matrix.offline);
    let stage = |stage: &str| context.listener.event(Event::Stage { subject: kernel.id(), stage: stage.to_string() });
    Ok(farm.build(kernel, &out.join("utils.build.log"), &stage)?.module)
}

fn install(tree: &Path, root: &Root, program: &Path, module: &Path, release: &str) -> Result<()> {
    let copy = |from: &Path, mode, to: &str| root.write(to, mode, &fs::read(from).at_path(from)?);
    copy(program, 0o755, "/usr/sbin/involfltctl")?;
    copy(module, 0o644, &format!("/lib/modules/{release}/updates/involflt/involflt.ko"))?;
    FILES.iter().try_for_each(|(from, mode, to)| copy(&tree.join("packaging/utils").join(from), *mode, to))?;
    root.write("/etc/involflt/involflt.conf", 0o644, CONFIG)?;
    reboot::prepare(root)?;
    root.run(&format!("depmod {release}; systemctl enable involflt.service; update-initramfs -u -k {release}"))?
        .ok()?;
    Ok(())
}
