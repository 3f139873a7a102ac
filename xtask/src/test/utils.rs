// SPDX-License-Identifier: GPL-2.0-only
//! What is installed beside `involfltctl`, in Debian machines with systemd, one with initramfs-tools and one with dracut: the
//! initramfs filters the root's disk, the service filters nothing twice, udev has a disk filtered that appears later; and all
//! goes on after a reboot. Costs two boots of each, about a minute and a half.

use super::initramfs::{DRACUT, File, INITRAMFS_TOOLS, Initramfs};
use super::{Context, Tally, reboot};
use crate::build::Farm;
use crate::ctl_program;
use crate::error::{AtPath, Error, Result};
use crate::event::Event;
use crate::lock::LockedKernel;
use crate::machine::{Boot, Booted, Machine, Root, Spec};
use crate::module_source::ModuleSource;
use crate::parallel;
use crate::resolve::{self, MatrixArgs};
use std::fs;
use std::path::{Path, PathBuf};

const RELEASE: &str = "bookworm";
const AGAIN: &str = "cargo xtask test --only utils";

/// Files of `packaging/utils` that every machine has.
const FILES: [File; 3] = [
    ("systemd/involflt.service", 0o644, "/usr/lib/systemd/system/involflt.service"),
    ("systemd/involflt-disk@.service", 0o644, "/usr/lib/systemd/system/involflt-disk@.service"),
    ("udev/61-involflt.rules", 0o644, "/usr/lib/udev/rules.d/61-involflt.rules"),
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

/// What a machine was asked, and what came of it.
type Answers = Vec<(String, std::result::Result<String, String>)>;

/// Runs the stage.
pub fn run(context: &Context<'_>, tally: &mut Tally) {
    let answers = Machines::new(context).map(|machines| {
        let both = [INITRAMFS_TOOLS, DRACUT];
        let answers = parallel::map(&both, parallel::processors(), |initramfs| machines.answers(initramfs));
        answers.into_iter().zip(both)
    });
    match answers {
        Ok(answers) => answers.for_each(|(answers, initramfs)| match answers {
            Ok(answers) => answers.into_iter().for_each(|(name, outcome)| tally.check(&name, outcome, AGAIN)),
            Err(error) => tally.check(&format!("utils, {}", initramfs.name), Err(error.to_string()), AGAIN),
        }),
        Err(error) => tally.check("utils", Err(error.to_string()), AGAIN),
    }
}

/// What all machines are made of.
struct Machines<'a> {
    context: &'a Context<'a>,
    kernels: Vec<LockedKernel>,
    kernel: LockedKernel,
    out: PathBuf,
    program: PathBuf,
    module: PathBuf,
}

impl<'a> Machines<'a> {
    fn new(context: &'a Context<'a>) -> Result<Machines<'a>> {
        let locked = MatrixArgs { locked: context.matrix.select.is_empty(), ..context.matrix.clone() };
        let kernels = resolve::matrix(&locked, context.store, context.listener)?;
        let kernel = kernels.iter().rfind(|kernel| kernel.release == RELEASE && kernel.flavour == "amd64").cloned();
        let kernel = kernel.ok_or_else(|| Error::input(format!("no amd64 kernel of {RELEASE} is selected")))?;
        let out = context.tree.join("dist/machines");
        fs::create_dir_all(&out).at_path(&out)?;
        let program = ctl_program::build()?.binary;
        let module = module(context, &kernel, &out)?;
        Ok(Machines { context, kernels, kernel, out, program, module })
    }

    fn answers(&self, initramfs: &Initramfs) -> Result<Answers> {
        let Context { store, matrix, .. } = self.context;
        let spec = Spec::of(RELEASE, &self.kernels)?.with(initramfs.packages.iter().copied()).with_kernel(&self.kernel);
        let root = spec.root(store, matrix.offline)?;
        self.install(&root, initramfs)?;
        let machine = Machine::of(&root, store)?;
        reboot::make_room(&machine)?;
        let log = |boot: &str| self.out.join(format!("{boot}-{}.log", initramfs.name));
        let logs = [log("utils"), log("reboot")];
        let questions = QUESTIONS.map(|(question, _)| question);
        let kernel = &self.kernel.kernel;
        let boot = Boot { kernel, owner_key: None, arguments: ARGUMENTS, commands: &questions, log: &logs[0] };
        let booted = machine.boot(&boot)?;
        let mut answers = answered(&format!("utils, {}", initramfs.name), booted, &QUESTIONS);
        let questions = reboot::QUESTIONS.map(|(question, _)| question);
        let boot = Boot { commands: &questions, log: &logs[1], ..boot };
        let (booted, verdict) = reboot::run(&machine, &boot, &self.program)?;
        let name = format!("reboot, {}", initramfs.name);
        answers.extend(answered(&name, booted, &reboot::QUESTIONS));
        answers.push((format!("{name}: the root's changes"), verdict.map_err(|error| error.to_string())));
        Ok(answers)
    }

    fn install(&self, root: &Root, initramfs: &Initramfs) -> Result<()> {
        let copy = |from: &Path, mode, to: &str| root.write(to, mode, &fs::read(from).at_path(from)?);
        let release = &self.kernel.kernel;
        copy(&self.program, 0o755, "/usr/sbin/involfltctl")?;
        copy(&self.module, 0o644, &format!("/lib/modules/{release}/updates/involflt/involflt.ko"))?;
        let utils = self.context.tree.join("packaging/utils");
        FILES.iter().chain(initramfs.files).try_for_each(|(from, mode, to)| copy(&utils.join(from), *mode, to))?;
        root.write("/etc/involflt/involflt.conf", 0o644, CONFIG)?;
        reboot::prepare(root, initramfs)?;
        let make = initramfs.make;
        root.run(&format!("release={release}; depmod $release; systemctl enable involflt.service; {make}"))?.ok()?;
        Ok(())
    }
}

/// The kernel has not complained, and the machine has said what it must.
fn answered(boot: &str, booted: Booted, questions: &[(&str, &str)]) -> Answers {
    let complaint = booted.complaint.map(|complaint| (format!("{boot}: the console"), Err(complaint)));
    let answers = booted.results.into_iter().zip(questions).map(|(said, (question, answer))| {
        let good = said.output.contains(answer);
        let outcome = if good { Ok(answer.to_string()) } else { Err(said.output.trim().to_string()) };
        (format!("{boot}: {question}"), outcome)
    });
    complaint.into_iter().chain(answers).collect()
}

fn module(context: &Context<'_>, kernel: &LockedKernel, out: &Path) -> Result<PathBuf> {
    let source = ModuleSource::read(&context.tree.join("module"))?;
    let farm = Farm::new(context.store, &source, context.matrix.offline);
    let stage = |stage: &str| context.listener.event(Event::Stage { subject: kernel.id(), stage: stage.to_string() });
    Ok(farm.build(kernel, &out.join("utils.build.log"), &stage)?.module)
}
