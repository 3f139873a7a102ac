// SPDX-License-Identifier: GPL-2.0-only
//! A working copy of a Debian root: commands in it, files into it, packages into it.

use super::layers::Layers;
use super::said::Said;
use crate::container::Mount;
use crate::error::{AtPath, Error, Result};
use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What a root needs around it. No service is started: `policy-rc.d` is in each root.
const SURROUNDINGS: &str = r#"cd "$here/root"
mount -t proc proc proc
mount -t sysfs -o ro sysfs sys
mount --rbind /dev dev
mount -t tmpfs tmpfs run
[ ! -e /etc/resolv.conf ] || cat /etc/resolv.conf >etc/resolv.conf
while [ "$1" != -- ]; do
    mkdir -p ".$2"; mount --rbind "$1" ".$2"; [ "$3" = rw ] || mount -o remount,bind,ro ".$2"; shift 3
done
shift
exec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive \
    chroot . "$@"
"#;

/// A root that may be changed at will; it is gone when dropped.
#[derive(Debug)]
pub struct Root {
    layers: Layers,
    mounts: Vec<Mount>,
    log: PathBuf,
}

impl Root {
    /// The root of these layers. What its commands say is added to `log`.
    pub(super) fn new(layers: Layers, log: PathBuf) -> Root {
        Root { layers, mounts: Vec::new(), log }
    }

    pub(super) fn layers(&self) -> &Layers {
        &self.layers
    }

    pub(super) fn into_layers(self) -> Layers {
        self.layers
    }

    /// Every word that was said in it.
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// Shows a directory of the host, read-only, to every later command.
    pub fn bind(&mut self, host: impl Into<PathBuf>, inside: &str) {
        self.mounts.push(Mount::read_only(host, inside));
    }

    /// As [`Self::bind`], and commands may write to it.
    pub fn bind_writable(&mut self, host: impl Into<PathBuf>, inside: &str) {
        self.mounts.push(Mount::writable(host, inside));
    }

    /// Runs a shell script (`sh -e`) in the root as its root user, with the host's network and no terminal.
    ///
    /// Fails only where it cannot be run; its own failure is in the result.
    pub fn run(&self, script: &str) -> Result<Said> {
        self.run_with(script, &["sh", "-ec", script], &[])
    }

    /// Runs apt-get, which asks nothing.
    pub fn apt_get(&self, arguments: &[&str]) -> Result<Said> {
        let program = ["apt-get", "--quiet", "--yes", "--option=Dpkg::Use-Pty=0", "--no-install-recommends"];
        self.run_with(&format!("apt-get {}", arguments.join(" ")), &[&program, arguments].concat(), &[])
    }

    /// Writes a file, with its directories.
    pub fn write(&self, path: &str, mode: u32, contents: &[u8]) -> Result<()> {
        let mode = format!("{mode:o}");
        let install = ["install", "-D", "-m", &mode, "/dev/stdin", path];
        self.run_with(&format!("install {path}"), &install, contents)?.ok().map(drop)
    }

    /// Adds an apt source with the key that its `Release` must be signed with (`Signed-By`).
    pub fn add_repository(&self, name: &str, uri: &str, suite: &str, keyring: &Path) -> Result<()> {
        let key = format!("/usr/share/keyrings/{name}.gpg");
        self.write(&key, 0o644, &std::fs::read(keyring).at_path(keyring)?)?;
        let source = format!("Types: deb\nURIs: {uri}\nSuites: {suite}\nComponents: main\nSigned-By: {key}\n");
        self.write(&format!("/etc/apt/sources.list.d/{name}.sources"), 0o644, source.as_bytes())
    }

    fn run_with(&self, name: &str, command: &[&str], input: &[u8]) -> Result<Said> {
        let mut log = File::options().create(true).append(true).open(&self.log).at_path(&self.log)?;
        writeln!(log, "+ {name}").at_path(&self.log)?;
        let (code, output) = said(self.command(command), input)?;
        log.write_all(output.as_bytes()).at_path(&self.log)?;
        if code == UNSHARE_FAILED && output.contains("mount:") {
            return Err(Error::infra(format!("the root cannot be mounted: {}", output.trim())).note(
                "overlayfs must work in the store's file system, and unshare(1) as root; --store DIR moves the store",
            ));
        }
        Ok(Said { command: name.to_string(), code, output })
    }

    fn command(&self, command: &[&str]) -> Command {
        let access = |mount: &Mount| if mount.writable { "rw" } else { "ro" }.to_string();
        let binds = self
            .mounts
            .iter()
            .flat_map(|mount| [mount.host.display().to_string(), mount.inside.clone(), access(mount)]);
        let words = ["--"].iter().chain(command).map(|word| word.to_string());
        self.layers.command(SURROUNDINGS, &binds.chain(words).collect::<Vec<_>>())
    }
}

/// mount(8)'s own exit code for a mount that failed.
const UNSHARE_FAILED: i32 = 32;

/// Runs a command with `input`; its exit code, and both of its outputs in one.
fn said(mut command: Command, input: &[u8]) -> Result<(i32, String)> {
    let (mut reader, writer) = std::io::pipe().at_path("a pipe")?;
    let also = writer.try_clone().at_path("a pipe")?;
    let mut child = command.stdin(Stdio::piped()).stdout(writer).stderr(also).spawn().at_path("unshare")?;
    // The command holds the pipe's other end open as long as it lives.
    drop(command);
    if let Some(mut stdin) = child.stdin.take() {
        // A command that does not read all of it says so in its own way.
        let _ = stdin.write_all(input);
    }
    let mut output = Vec::new();
    reader.read_to_end(&mut output).at_path("a pipe")?;
    let status = child.wait().at_path("unshare")?;
    let code = status.code().or(status.signal().map(|signal| 128 + signal)).unwrap_or(-1);
    Ok((code, String::from_utf8_lossy(&output).into_owned()))
}
