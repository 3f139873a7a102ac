// SPDX-License-Identifier: GPL-2.0-only
//! Whole Debian machines: a root of each release with its own kernel, booted with Secure Boot and with systemd. A module
//! that the machine's owner has signed is loaded, the same without a signature is refused.
//!
//! A release costs 60 to 80 seconds where the store has its root, and a minute more where it has not.

use super::{Context, Tally};
use crate::build::Farm;
use crate::error::{AtPath, Error, Result};
use crate::event::Event;
use crate::lock::LockedKernel;
use crate::machine::{Boot, Booted, Machine, Spec};
use crate::module_source::ModuleSource;
use crate::resolve::{self, MatrixArgs};
use crate::result::Status;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const AGAIN: &str = "cargo xtask test --only machines";
/// Releases whose administrators are promised packages. Older ones get modules only.
const RELEASES: [&str; 3] = ["bookworm", "trixie", "sid"];

/// What is asked of a machine, in this order: its name, the command, and the words of a refusal that is expected.
const QUESTIONS: [(&str, &str, Option<&str>); 5] = [
    ("systemd", "systemctl is-system-running --wait || { systemctl list-units --failed --plain; false; }", None),
    ("lockdown", "cat /sys/kernel/security/lockdown; ! grep -q '\\[none\\]' /sys/kernel/security/lockdown", None),
    ("unsigned module", "insmod /root/unsigned.ko", Some("Key was rejected by service")),
    ("module of another key", "insmod /root/foreign.ko", Some("Key was rejected by service")),
    ("signed module", "insmod /root/signed.ko && grep involflt /proc/modules", None),
];

/// Runs the stage.
pub fn run(context: &Context<'_>, tally: &mut Tally) {
    let locked = MatrixArgs { locked: context.matrix.select.is_empty(), ..context.matrix.clone() };
    let kernels = match resolve::matrix(&locked, context.store, context.listener) {
        Ok(kernels) => kernels,
        Err(error) => return tally.check("the kernel matrix", Err(error.to_string()), AGAIN),
    };
    for release in RELEASES {
        if let Some(kernel) = kernel_of(release, &kernels) {
            match boot(context, &kernels, kernel) {
                Ok(booted) => count(tally, kernel, &booted),
                Err(error) => tally.check(&format!("machine {}", kernel.id()), Err(error.to_string()), AGAIN),
            }
        }
    }
}

/// The release's own kernel, which comes after that of its backports; a cloud kernel only where no other is selected.
fn kernel_of<'a>(release: &str, kernels: &'a [LockedKernel]) -> Option<&'a LockedKernel> {
    let own = |kernel: &&LockedKernel| kernel.release == release;
    kernels.iter().rfind(|kernel| own(kernel) && kernel.flavour == "amd64").or_else(|| kernels.iter().rfind(own))
}

/// Boots a root with the kernel, which apt's own hooks have made an initramfs for.
fn boot(context: &Context<'_>, kernels: &[LockedKernel], kernel: &LockedKernel) -> Result<Booted> {
    let out = context.tree.join("dist/machines");
    fs::create_dir_all(&out).at_path(&out)?;
    let module = module(context, kernel, &out)?;
    let (owner, stranger) = (Owner::new(context, "owner")?, Owner::new(context, "stranger")?);
    let root = Spec::of(&kernel.release, kernels)?.with_kernel(kernel).root(context.store, context.matrix.offline)?;
    let unsigned = fs::read(&module).at_path(&module)?;
    root.write("/root/unsigned.ko", 0o644, &unsigned)?;
    root.write("/root/signed.ko", 0o644, &owner.sign(&module)?)?;
    root.write("/root/foreign.ko", 0o644, &stranger.sign(&module)?)?;
    Machine::of(&root, context.store)?.boot(&Boot {
        kernel: &kernel.kernel,
        arguments: "module.sig_enforce=1",
        owner_key: Some(&owner.certificate()?),
        commands: &QUESTIONS.map(|(_, command, _)| command),
        log: &out.join(format!("{}.log", kernel.id())),
    })
}

fn count(tally: &mut Tally, kernel: &LockedKernel, booted: &Booted) {
    let name = |what: &str| format!("machine {} {what}", kernel.id());
    for ((what, _, refusal), said) in QUESTIONS.iter().zip(&booted.results) {
        let outcome = match refusal {
            None => said.clone().ok(),
            Some(words) => said.clone().refused(words),
        };
        let outcome = outcome.map(|output| output.trim().to_string()).map_err(|error| error.to_string());
        tally.check(&name(what), outcome, AGAIN);
    }
    match &booted.complaint {
        Some(line) => tally.add(&name("console"), Status::Failed, line, AGAIN),
        None => tally.add(&name("console"), Status::Passed, &format!("{} s", booted.millis / 1000), AGAIN),
    }
}

/// The kernel's module, built where the store has none.
fn module(context: &Context<'_>, kernel: &LockedKernel, out: &Path) -> Result<PathBuf> {
    let source = ModuleSource::read(&context.tree.join("module"))?;
    let farm = Farm::new(context.store, &source, context.matrix.offline);
    let stage = |stage: &str| context.listener.event(Event::Stage { subject: kernel.id(), stage: stage.to_string() });
    Ok(farm.build(kernel, &out.join(format!("{}.build.log", kernel.id())), &stage)?.module)
}

/// The owner of a test machine, with a key of one run.
struct Owner {
    dir: PathBuf,
}

impl Owner {
    fn new(context: &Context<'_>, name: &str) -> Result<Owner> {
        let owner = Owner { dir: context.store.root().join("test-machines").join(name) };
        fs::create_dir_all(&owner.dir).at_path(&owner.dir)?;
        let request = "req -x509 -newkey rsa:2048 -nodes -days 3650 -subj /CN=involflt-machine-test \
                       -addext extendedKeyUsage=codeSigning -keyout key.pem -out certificate.pem";
        owner.openssl(request, &[])?;
        owner.openssl("x509 -in certificate.pem -outform DER -out certificate.der", &[])?;
        Ok(owner)
    }

    fn certificate(&self) -> Result<Vec<u8>> {
        let path = self.dir.join("certificate.der");
        fs::read(&path).at_path(&path)
    }

    /// The module with its signature at its end, in the format of the kernel's `scripts/sign-file.c`.
    fn sign(&self, module: &Path) -> Result<Vec<u8>> {
        let cms = "cms -sign -binary -noattr -nocerts -md sha256 -signer certificate.pem -inkey key.pem -outform DER \
                   -out signature -in";
        self.openssl(cms, &[module])?;
        let path = self.dir.join("signature");
        let signature = fs::read(&path).at_path(&path)?;
        let module = fs::read(module).at_path(module)?;
        // `struct module_signature`: of its fields, PKCS#7's number and the length are not zero.
        let trailer = [&[0, 0, 2, 0, 0, 0, 0, 0], (signature.len() as u32).to_be_bytes().as_slice()].concat();
        Ok([module.as_slice(), &signature, &trailer, b"~Module signature appended~\n"].concat())
    }

    fn openssl(&self, arguments: &str, more: &[&Path]) -> Result<()> {
        let mut command = Command::new("openssl");
        let output = command.args(arguments.split_whitespace()).args(more).current_dir(&self.dir).output();
        let output = output.at_path("openssl")?;
        match output.status.success() {
            true => Ok(()),
            false => Err(Error::infra(format!("openssl: {}", String::from_utf8_lossy(&output.stderr).trim()))),
        }
    }
}
