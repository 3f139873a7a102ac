// SPDX-License-Identifier: GPL-2.0-only
//! Runs QEMU to its end and hands on the lines that the guest writes to standard output.

use crate::error::{AtPath, Error, Result};
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// The emulator.
pub const QEMU: &str = "qemu-system-x86_64";
/// What all VMs have: emulation (KVM may be there and hang), and no device that was not asked for.
pub const COMMON: [&str; 11] = [
    "-accel",
    "tcg,thread=multi",
    "-cpu",
    "max",
    "-m",
    "1024",
    "-nodefaults",
    "-no-user-config",
    "-display",
    "none",
    "-no-reboot",
];

/// How long a VM is waited for.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// A guest that says nothing for so long hangs.
    pub silence: Duration,
    /// Longest run.
    pub longest: Duration,
}

/// A kernel's console that goes to a file.
#[derive(Debug, Clone, Copy)]
pub struct Console<'a> {
    /// The file.
    pub file: &'a Path,
    /// What the kernel says when it hands over to its first program.
    pub hands_over: &'a str,
    /// A kernel that says nothing for so long before that hangs.
    pub silence: Duration,
}

/// How a VM's run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// QEMU ended by itself: the guest powered off or its kernel panicked.
    Exited,
    /// QEMU was killed: the guest said nothing any longer.
    Silent,
    /// QEMU was killed: the run took too long.
    Overdue,
}

/// Runs a VM to its end; `receive` gets each line as it comes. QEMU's own errors go to the file `errors`.
///
/// With a `console`, a hang of the kernel before its first program is noticed by what it is silent about.
pub fn run(
    mut command: Command,
    errors: &Path,
    patience: Patience,
    console: Option<Console<'_>>,
    mut receive: impl FnMut(&str),
) -> Result<End> {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(File::create(errors).at_path(errors)?)
        .spawn()
        .map_err(|error| {
            Error::infra(format!("{QEMU}: {error}"))
                .note("apt-get install qemu-system-x86, or cargo xtask test --setup")
        })?;
    let lines = lines_of(&mut child);
    let mut silence = Silence { patience, console, start: Instant::now(), last: Instant::now(), length: 0 };
    let end = loop {
        match lines.recv_timeout(TICK) {
            Ok(line) => {
                silence.last = Instant::now();
                receive(&line);
            }
            Err(mpsc::RecvTimeoutError::Disconnected) => break End::Exited,
            Err(mpsc::RecvTimeoutError::Timeout) => {}
        }
        if let Some(end) = silence.end() {
            break end;
        }
    };
    if end != End::Exited {
        child.kill().at_path(QEMU)?;
    }
    let status = child.wait().at_path(QEMU)?;
    if end == End::Exited && !status.success() {
        let said = std::fs::read_to_string(errors).at_path(errors)?;
        return Err(Error::infra(format!("{QEMU}: {status}: {}", said.trim())));
    }
    Ok(end)
}

/// How often a VM is looked at.
const TICK: Duration = Duration::from_secs(1);

/// How long a VM has said nothing.
struct Silence<'a> {
    patience: Patience,
    console: Option<Console<'a>>,
    start: Instant,
    /// The last time that it said something.
    last: Instant,
    /// Bytes that its console has said.
    length: usize,
}

impl Silence<'_> {
    /// Why the VM is waited for no longer.
    fn end(&mut self) -> Option<End> {
        let longest = self.longest();
        let silent = (self.last.elapsed() >= longest).then_some(End::Silent);
        silent.or((self.start.elapsed() >= self.patience.longest).then_some(End::Overdue))
    }

    /// The longest silence that is none of a hang; listens to the console.
    fn longest(&mut self) -> Duration {
        let Some(console) = self.console else { return self.patience.silence };
        // A console that is not there yet has said nothing.
        let said = std::fs::read(console.file).unwrap_or_default();
        if said.len() != self.length {
            (self.length, self.last) = (said.len(), Instant::now());
        }
        match String::from_utf8_lossy(&said).contains(console.hands_over) {
            true => self.patience.silence,
            false => console.silence,
        }
    }
}

/// Reads lines on a thread of its own, which ends with QEMU.
pub fn lines_of(child: &mut Child) -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    if let Some(stdout) = child.stdout.take() {
        std::thread::spawn(move || {
            let lines = BufReader::new(stdout).split(b'\n').map_while(std::io::Result::ok);
            for line in lines {
                if sender.send(String::from_utf8_lossy(line.trim_ascii()).into_owned()).is_err() {
                    break;
                }
            }
        });
    }
    receiver
}

/// QEMU's options end at a comma; two of them mean one.
pub fn escaped(path: &Path) -> String {
    path.to_string_lossy().replace(',', ",,")
}
