// SPDX-License-Identifier: GPL-2.0-only
//! Containers, by podman or docker. What an engine needs on this machine is tried out, not configured.

use crate::error::{AtPath, Error, Result};
use crate::store::{Store, key, remove};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The user that builds inside: nobody in particular, and not root.
const USER: &str = "1000:1000";

/// A directory of the host in a container.
#[derive(Debug, Clone)]
pub struct Mount {
    /// Where it is on the host.
    pub host: PathBuf,
    /// Where it is in the container.
    pub inside: String,
    /// Whether the container may write to it.
    pub writable: bool,
}

impl Mount {
    /// A directory that the container can only read.
    pub fn read_only(host: impl Into<PathBuf>, inside: impl Into<String>) -> Self {
        Mount { host: host.into(), inside: inside.into(), writable: false }
    }

    /// A directory that the container may write to.
    pub fn writable(host: impl Into<PathBuf>, inside: impl Into<String>) -> Self {
        Mount { host: host.into(), inside: inside.into(), writable: true }
    }

    fn argument(&self) -> String {
        format!("{}:{}:{}", self.host.display(), self.inside, if self.writable { "rw" } else { "ro" })
    }
}

/// One command in a container.
#[derive(Debug)]
pub struct Job<'a> {
    /// The root file system, a directory; the container cannot write to it.
    pub root: &'a Path,
    /// What else it sees.
    pub mounts: Vec<Mount>,
    /// Working directory inside.
    pub directory: &'a str,
    /// Program and arguments.
    pub command: Vec<String>,
    /// Where the output goes.
    pub log: &'a Path,
}

/// A container engine that has been seen to run a container on this machine.
#[derive(Debug, Clone)]
pub struct Engine {
    kind: Kind,
    flags: Vec<&'static str>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Podman,
    Docker,
}

impl Kind {
    fn program(self) -> &'static str {
        match self {
            Kind::Podman => "podman",
            Kind::Docker => "docker",
        }
    }
}

/// The better one first.
const KINDS: [Kind; 2] = [Kind::Podman, Kind::Docker];
/// Changes whenever the machine is started.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";
/// Where crun refuses (hybrid cgroups) runc may run; where hard limits are capped, asking for less helps.
const RUNTIMES: [&[&str]; 2] = [&[], &["--runtime=runc"]];
const LIMITS: [&[&str]; 2] = [&[], &["--ulimit=nofile=1024:1024", "--ulimit=nproc=1024:1024"]];
/// Builds want no network; an engine that cannot make a network namespace must share the host's.
const NETWORKS: [&[&str]; 2] = [&["--network=none"], &["--network=host"]];

impl Engine {
    /// Finds an engine, and the flags with which it runs a container of `root`: those that the store remembers of this machine
    /// since it was started, where they still do.
    ///
    /// Fails when none does, with the last words of each.
    pub fn detect(root: &Path, store: &Store) -> Result<Engine> {
        let boot = fs::read_to_string(BOOT_ID).at_path(BOOT_ID)?;
        let known = store.entry("engines", boot.trim(), |partial| {
            fs::write(partial, Self::tried_out(root, store)?.describe()).at_path(partial)
        })?;
        // Another run may have found it of no use just now.
        let text = fs::read_to_string(&known).unwrap_or_default();
        match Self::described(&text).filter(|engine| engine.runs(root, store).is_ok()) {
            Some(engine) => Ok(engine),
            None => {
                remove(&known)?;
                Self::tried_out(root, store)
            }
        }
    }

    fn described(text: &str) -> Option<Engine> {
        KINDS.into_iter().flat_map(Self::of_kind).find(|engine| engine.describe() == text)
    }

    fn tried_out(root: &Path, store: &Store) -> Result<Engine> {
        let mut refusals = Vec::new();
        for kind in KINDS {
            match Self::try_kind(kind, root, store) {
                Ok(engine) => return Ok(engine),
                Err(refusal) => refusals.push(format!("{}: {refusal}", kind.program())),
            }
        }
        Err(Error::infra(format!("no container engine runs a container here\n  {}", refusals.join("\n  ")))
            .note("cargo xtask build-matrix --setup installs podman and runc"))
    }

    fn try_kind(kind: Kind, root: &Path, store: &Store) -> Result<Engine, String> {
        let version = privileged(kind.program()).arg("info").output().map_err(|error| error.to_string())?;
        if !version.status.success() {
            return Err(last_line(&version.stderr));
        }
        let mut refusal = String::new();
        for engine in Self::of_kind(kind) {
            match engine.runs(root, store) {
                Ok(()) => return Ok(engine),
                Err(words) => refusal = words,
            }
        }
        Err(refusal)
    }

    /// With every combination of flags, the best first.
    fn of_kind(kind: Kind) -> impl Iterator<Item = Engine> {
        ladder().map(move |(network, limits, runtime)| Engine { kind, flags: [network, limits, runtime].concat() })
    }

    /// Whether it runs a container; else its last words.
    fn runs(&self, root: &Path, store: &Store) -> Result<(), String> {
        let job = Job { root, mounts: vec![], directory: "/", command: vec!["true".into()], log: Path::new("") };
        let mut command = self.command(&job, store).map_err(|error| error.to_string())?;
        let output = command.output().map_err(|error| error.to_string())?;
        if output.status.success() { Ok(()) } else { Err(last_line(&output.stderr)) }
    }

    /// Name and flags, for logs and reports.
    pub fn describe(&self) -> String {
        format!("{} {}", self.kind.program(), self.flags.join(" "))
    }

    /// Runs a job to its end. `Ok(false)` is the command's own failure, which its log tells of.
    pub fn run(&self, job: &Job<'_>, store: &Store) -> Result<bool> {
        let log = File::options().create(true).append(true).open(job.log).at_path(job.log)?;
        let also = log.try_clone().at_path(job.log)?;
        let status = self
            .command(job, store)?
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(also)
            .status()
            .at_path(self.kind.program())?;
        match status.code() {
            Some(0) => Ok(true),
            // The engines' own failures: 125 of the engine, 126 and 127 of starting the command.
            Some(125..=127) => Err(self.refusal(job)),
            _ => Ok(false),
        }
    }

    /// The engine's own words: a job's log may be gone by the time somebody reads the error.
    fn refusal(&self, job: &Job<'_>) -> Error {
        let words = last_line(&fs::read(job.log).unwrap_or_default());
        Error::infra(format!("{} could not run {} in a container: {words}", self.describe(), job.command[0]))
            .note(format!("if files are missing, remove its root, which is made again: {}", job.root.display()))
    }

    fn command(&self, job: &Job<'_>, store: &Store) -> Result<Command> {
        let mut command = privileged(self.kind.program());
        command.args(["run", "--rm", "--read-only", "--tmpfs=/tmp:exec", "--user", USER, "--workdir", job.directory]);
        command.args(&self.flags);
        command.args([
            "--env=LC_ALL=C",
            "--env=HOME=/tmp",
            "--env=SOURCE_DATE_EPOCH=0",
            "--env=KBUILD_BUILD_TIMESTAMP=@0",
        ]);
        command.args(["--env=KBUILD_BUILD_USER=involflt", "--env=KBUILD_BUILD_HOST=involflt"]);
        for mount in &job.mounts {
            command.arg("--volume").arg(mount.argument());
        }
        match self.kind {
            Kind::Podman => command.arg("--rootfs").arg(job.root),
            Kind::Docker => command.arg(docker_image(job.root, store)?),
        };
        command.args(&job.command);
        Ok(command)
    }
}

/// Every combination, the best first: no network and no workaround.
fn ladder() -> impl Iterator<Item = (&'static [&'static str], &'static [&'static str], &'static [&'static str])> {
    NETWORKS.into_iter().flat_map(|network| {
        LIMITS.into_iter().flat_map(move |limits| RUNTIMES.into_iter().map(move |runtime| (network, limits, runtime)))
    })
}

/// docker runs images only: the root is imported once, under a tag that tells its path.
fn docker_image(root: &Path, store: &Store) -> Result<String> {
    let tag = format!("involflt-root:{}", key([root.to_string_lossy().as_ref()]));
    let lock = store.lock_file("docker-import")?;
    lock.lock().at_path(root)?;
    if privileged("docker").args(["image", "inspect", &tag]).output().at_path("docker")?.status.success() {
        return Ok(tag);
    }
    let mut tar =
        privileged("tar").arg("-C").arg(root).args(["-c", "."]).stdout(Stdio::piped()).spawn().at_path("tar")?;
    let stream = tar.stdout.take().map_or(Stdio::null(), Stdio::from);
    let import = privileged("docker").args(["import", "-", &tag]).stdin(stream).output().at_path("docker")?;
    tar.wait().at_path("tar")?;
    if import.status.success() {
        Ok(tag)
    } else {
        Err(Error::infra(format!("docker import of {}: {}", root.display(), last_line(&import.stderr))))
    }
}

/// A command with root's rights: as it is for root, by `sudo -n` for others.
pub fn privileged(program: &str) -> Command {
    if is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("sudo");
    command.args(["-n", program]);
    command
}

/// Removes a directory with everything below it, which may be root's, as build roots are.
pub fn remove_roots(path: &Path) -> Result<()> {
    if remove(path).is_ok() {
        return Ok(());
    }
    let output = privileged("rm").args(["-rf", "--one-file-system", "--"]).arg(path).output().at_path("rm")?;
    if output.status.success() {
        return Ok(());
    }
    Err(Error::infra(format!("{}: {}", path.display(), String::from_utf8_lossy(&output.stderr).trim()))
        .note("files of another user: run the command as root, or let `sudo -n` work"))
}

/// Whether this process is root's.
fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt;
    fs::metadata("/proc/self").is_ok_and(|meta| meta.uid() == 0)
}

fn last_line(output: &[u8]) -> String {
    String::from_utf8_lossy(output).lines().rfind(|line| !line.trim().is_empty()).unwrap_or("no output").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ladder_begins_without_network_and_tries_every_combination() {
        let steps: Vec<_> = ladder().map(|(network, limits, runtime)| [network, limits, runtime].concat()).collect();
        assert_eq!(steps.len(), 8);
        assert_eq!(steps[0], ["--network=none"]);
        assert!(steps[..4].iter().all(|flags| flags.contains(&"--network=none")));
        assert!(steps.contains(&vec![
            "--network=none",
            "--ulimit=nofile=1024:1024",
            "--ulimit=nproc=1024:1024",
            "--runtime=runc"
        ]));
    }

    #[test]
    fn an_engine_is_known_again_by_its_description() {
        let engines: Vec<Engine> = KINDS.into_iter().flat_map(Engine::of_kind).collect();
        assert_eq!(engines.len(), 16);
        for engine in engines {
            let known = Engine::described(&engine.describe()).unwrap();
            assert_eq!((known.kind, known.flags), (engine.kind, engine.flags));
        }
        assert!(Engine::described("podman --privileged").is_none());
    }

    #[test]
    fn a_mount_says_who_may_write() {
        assert_eq!(Mount::read_only("/a", "/b").argument(), "/a:/b:ro");
        assert_eq!(Mount::writable("/a", "/b").argument(), "/a:/b:rw");
    }
}
