// SPDX-License-Identifier: GPL-2.0-only
//! Places to publish to, and what is looked for in them after each step of a publication.

use super::clients::Clients;
use super::fixture::{Fixture, SUITE};
use super::text;
use crate::store::{remove, sha256_file};
use crate::test::server::Server;
use crate::test::service::Service;
use crate::test::{Context, pypi};
use crate::tree;
use crate::unpack::ask;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};

/// moto, which answers as S3 does.
const REQUIREMENTS: &str = include_str!("requirements.txt");
/// Calls that change a directory. A publication is killed at one of them, in strace's words.
const CHANGES: &str = "mkdir,rename,link,linkat,symlink,symlinkat,unlink,unlinkat,rmdir,copy_file_range,fsync";
/// The kill after which clients look at the place: most is there, and nothing says so yet.
const BY_CLIENTS: u32 = 5;
/// Runs the real tool, but for the call of the given number: there its caller is killed.
const TRAP: &str = "#!/bin/sh
calls=$(($(cat \"$TRAP/calls\" 2>/dev/null || echo 0) + 1))
echo $calls >\"$TRAP/calls\"
if [ $calls -eq \"$TRAP_AT\" ]; then kill -KILL $PPID; exit 1; fi
PATH=${PATH#*:}
exec TOOL \"$@\"
";

/// Where a kind of place has its files for those who look at them directly.
enum Kind {
    Directory,
    /// The daemon's directory.
    Rsync(PathBuf),
    /// The host's directory, and the ssh that knows the host.
    Ssh(PathBuf, String),
    /// What rclone needs to know.
    S3([(&'static str, String); 5]),
}

/// A place that is served by HTTP.
pub struct Site {
    /// `directory`, `rsync`, `ssh`, `s3`.
    pub name: String,
    /// As `publish` takes it.
    place: String,
    /// Where clients get it.
    pub url: String,
    kind: Kind,
    work: PathBuf,
    /// Run as long as the site is there.
    _servers: (Option<Server>, Option<Service>),
}

/// A directory.
pub fn directory(work: &Path) -> Result<Site, String> {
    let work = scratch(work, "directory")?;
    let place = work.join("place");
    let server = Server::start(&place.join("current"))?;
    let (url, place) = (server.url.clone(), place.display().to_string());
    Ok(Site { name: "directory".into(), place, url, kind: Kind::Directory, work, _servers: (Some(server), None) })
}

/// A module of a daemon.
pub fn rsync(work: &Path) -> Result<Site, String> {
    let work = scratch(work, "rsync")?;
    let module = scratch(&work, "module")?;
    let config = work.join("rsyncd.conf");
    let root = "uid = 0\ngid = 0\nuse chroot = no\n";
    let text = format!("{root}[involflt]\npath = {}\nread only = no\n", module.display());
    fs::write(&config, text).map_err(super::text)?;
    let daemon = Service::start(|address| {
        let mut command = Command::new("rsync");
        command.args(["--daemon", "--no-detach", "--address=127.0.0.1"]).arg(format!("--port={}", address.port()));
        command.arg(format!("--config={}", config.display()));
        command
    })?;
    let server = Server::start(&module.join("sub/dir"))?;
    Ok(Site {
        name: "rsync".into(),
        place: format!("rsync://{}/involflt/sub/dir", daemon.address),
        url: server.url.clone(),
        kind: Kind::Rsync(module.join("sub/dir")),
        work,
        _servers: (Some(server), Some(daemon)),
    })
}

/// A directory behind an sshd with keys of its own.
pub fn ssh(work: &Path) -> Result<Site, String> {
    let work = scratch(work, "ssh")?;
    for key in ["host", "user"] {
        let mut keygen = Command::new("ssh-keygen");
        keygen.args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(work.join(key));
        ask(&mut keygen).map_err(text)??;
    }
    // As root it wants this directory, which its service makes; nobody else can make it, and need not.
    let _ = fs::create_dir_all("/run/sshd");
    let config = work.join("sshd_config");
    let dir = work.display();
    let daemon = Service::start(|address| {
        let port = address.port();
        let text = format!(
            "ListenAddress 127.0.0.1:{port}\nHostKey {dir}/host\nPidFile none\nUsePAM no\nStrictModes no\n\
             AuthorizedKeysFile {dir}/user.pub\n"
        );
        // What cannot be written here, sshd cannot read: it says so.
        let _ = fs::write(&config, text);
        let mut command = Command::new("/usr/sbin/sshd");
        command.args(["-D", "-e", "-f"]).arg(&config);
        command
    })?;
    let key = fs::read_to_string(work.join("host.pub")).map_err(text)?;
    fs::write(work.join("known"), format!("[127.0.0.1]:{} {key}", daemon.address.port())).map_err(text)?;
    let ssh = format!("ssh -F none -p {} -i {dir}/user -o UserKnownHostsFile={dir}/known", daemon.address.port());
    let place = work.join("place/sub");
    let server = Server::start(&place)?;
    Ok(Site {
        name: "ssh".into(),
        place: format!("127.0.0.1:{}", place.display()),
        url: server.url.clone(),
        kind: Kind::Ssh(place, ssh),
        work,
        _servers: (Some(server), Some(daemon)),
    })
}

/// A bucket.
pub fn s3(context: &Context<'_>, work: &Path) -> Result<Site, String> {
    let work = scratch(work, "s3")?;
    let libraries = pypi::libraries("moto", REQUIREMENTS, context.store, context.matrix.offline).map_err(text)?;
    let server = Service::start(|address| {
        let mut command = Command::new("python3");
        let program = "import sys; from moto.server import main; main(sys.argv[1:])";
        command.args(["-Bc", program, "-H", "127.0.0.1", "-p"]).arg(address.port().to_string());
        command.env("PYTHONPATH", libraries);
        command
    })?;
    let settings = [
        ("AWS_ACCESS_KEY_ID", "test".to_string()),
        ("AWS_SECRET_ACCESS_KEY", "test".to_string()),
        ("RCLONE_S3_PROVIDER", "Other".to_string()),
        ("RCLONE_S3_ENDPOINT", format!("http://{}", server.address)),
        ("RCLONE_S3_ACL", "public-read".to_string()),
    ];
    let site = Site {
        name: "s3".into(),
        place: "s3://bucket/sub/dir".into(),
        url: format!("http://{}/bucket/sub/dir", server.address),
        kind: Kind::S3(settings),
        work,
        _servers: (None, Some(server)),
    };
    site.rclone(&["mkdir", ":s3,env_auth:bucket"])?;
    Ok(site)
}

fn scratch(work: &Path, name: &str) -> Result<PathBuf, String> {
    let dir = work.join(name);
    fs::create_dir_all(&dir).map_err(text)?;
    Ok(dir)
}

impl Site {
    fn command(&self, fixture: &Fixture, number: u32) -> Result<Command, String> {
        let mut command = Command::new(std::env::current_exe().map_err(text)?);
        command.args(["publish", &self.place, "--format=json", "--dist"]).arg(fixture.dist(number));
        match &self.kind {
            Kind::S3(settings) => command.envs(settings.iter().map(|(name, value)| (name, value))),
            Kind::Ssh(_, ssh) => command.env("RSYNC_RSH", ssh),
            Kind::Directory | Kind::Rsync(_) => &mut command,
        };
        Ok(command)
    }

    /// Publishes a generation; what the command says of it.
    pub fn publish(&self, fixture: &Fixture, number: u32, options: &[&str]) -> Result<Value, String> {
        let output = self.command(fixture, number)?.args(options).output().map_err(text)?;
        match output.status.success() {
            true => serde_json::from_slice(&output.stdout).map_err(text),
            false => Err(format!("publish: {}", String::from_utf8_lossy(&output.stderr).trim())),
        }
    }

    /// Publishes the second generation over and over, killed one step later each time, until it comes through; after
    /// each it is looked at what is there, and after one of them by the clients. The number of kills.
    pub fn killed_everywhere(&self, fixture: &Fixture, clients: &Clients<'_>) -> Result<u32, String> {
        let mut kills = 0;
        for step in 1.. {
            if self.killed_at(fixture, step)?.success() {
                break;
            }
            kills += 1;
            let at_step = |error| format!("killed at step {step}: {error}");
            self.is_consistent(fixture).map_err(at_step)?;
            if step == BY_CLIENTS {
                clients.refresh().and_then(|()| clients.install("1")).map_err(at_step)?;
            }
        }
        match kills {
            0 => Err("it was never killed".into()),
            _ => Ok(kills),
        }
    }

    fn killed_at(&self, fixture: &Fixture, step: u32) -> Result<ExitStatus, String> {
        let publish = self.command(fixture, 2)?;
        let mut command = match &self.kind {
            Kind::Directory => {
                let mut strace = Command::new("strace");
                strace.args(["-o", "/dev/null", "-e", &format!("trace={CHANGES}")]);
                strace.args(["-e", &format!("inject={CHANGES}:signal=KILL:when={step}")]);
                strace.arg(publish.get_program()).args(publish.get_args());
                strace
            }
            Kind::Rsync(_) | Kind::Ssh(..) | Kind::S3(_) => self.trapped(publish, step)?,
        };
        // Whoever is killed leaves what it had for a moment.
        command.env("TMPDIR", scratch(&self.work, "temporary")?);
        command.output().map(|output| output.status).map_err(text)
    }

    /// The command with a tool before the real one in its path.
    fn trapped(&self, mut publish: Command, step: u32) -> Result<Command, String> {
        let trap = scratch(&self.work, "trap")?;
        remove(&trap.join("calls")).map_err(text)?;
        for tool in ["rsync", "rclone"] {
            let program = trap.join(tool);
            fs::write(&program, TRAP.replace("TOOL", tool)).map_err(text)?;
            fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).map_err(text)?;
        }
        let path = std::env::var("PATH").unwrap_or_default();
        publish.env("PATH", format!("{}:{path}", trap.display()));
        publish.env("TRAP", &trap).env("TRAP_AT", step.to_string());
        Ok(publish)
    }

    /// What clients begin from is of one generation, all that it leads to is there, and all of the first generation
    /// too.
    fn is_consistent(&self, fixture: &Fixture) -> Result<(), String> {
        let view = self.view()?;
        let [first, second] = [1, 2].map(|number| files(&fixture.dist(number)));
        let (first, second) = (first?, second?);
        has_packages(&view, &first)?;
        let index = format!("apt/dists/{SUITE}/InRelease");
        for beginnings in
            [vec![index.as_str()], vec!["rpm/demo/repodata/repomd.xml", "rpm/demo/repodata/repomd.xml.asc"]]
        {
            let is_of = |files: &BTreeMap<PathBuf, String>| {
                beginnings.iter().all(|name| sha256_file(&view.join(name)).ok().as_ref() == files.get(Path::new(name)))
            };
            match (is_of(&first), is_of(&second)) {
                (true, false) => (),
                (false, true) => has_packages(&view, &second)?,
                _ => return Err(format!("{beginnings:?} are of no generation")),
            }
        }
        Ok(())
    }

    /// Whether nothing is there.
    pub fn is_empty(&self) -> Result<bool, String> {
        let view = self.view()?;
        Ok(!view.exists() || tree::files(&view).map_err(text)?.is_empty())
    }

    /// These generations' files are there, and no others.
    pub fn has_only(&self, fixture: &Fixture, numbers: &[u32]) -> Result<(), String> {
        let view = self.view()?;
        let mut expected = Vec::new();
        for number in numbers {
            let files = files(&fixture.dist(*number))?;
            has_packages(&view, &files)?;
            expected.extend(files.into_keys());
        }
        let left = tree::files(&view).map_err(text)?;
        let left: Vec<PathBuf> = left.into_iter().filter(|file| !file.starts_with("generations")).collect();
        let strange: Vec<&PathBuf> = left.iter().filter(|file| !expected.contains(file)).collect();
        if strange.is_empty() { Ok(()) } else { Err(format!("left of older generations: {strange:?}")) }
    }

    /// A directory with what clients see.
    fn view(&self) -> Result<PathBuf, String> {
        match &self.kind {
            Kind::Directory => Ok(PathBuf::from(&self.place).join("current")),
            Kind::Rsync(dir) | Kind::Ssh(dir, _) => Ok(dir.clone()),
            Kind::S3(_) => {
                let copy = scratch(&self.work, "copy")?;
                self.rclone(&["sync", ":s3,env_auth:bucket/sub/dir", &copy.to_string_lossy()])?;
                Ok(copy)
            }
        }
    }

    fn rclone(&self, arguments: &[&str]) -> Result<(), String> {
        let mut command = Command::new("rclone");
        command.args(arguments).arg("--config=/dev/null").env_remove("AWS_CA_BUNDLE");
        if let Kind::S3(settings) = &self.kind {
            command.envs(settings.iter().map(|(name, value)| (name, value)));
        }
        let output = command.output().map_err(|error| format!("rclone: {error}"))?;
        let said = String::from_utf8_lossy(&output.stderr);
        match output.status.success() || said.contains("directory not found") {
            true => Ok(()),
            false => Err(format!("{command:?}: {}", said.trim())),
        }
    }
}

/// The files of a `dist/`, with their SHA-256.
fn files(dist: &Path) -> Result<BTreeMap<PathBuf, String>, String> {
    let files = tree::files(dist).map_err(text)?;
    files.into_iter().map(|file| Ok((file.clone(), sha256_file(&dist.join(file)).map_err(text)?))).collect()
}

/// Everything that an index names by its hash.
fn has_packages(view: &Path, files: &BTreeMap<PathBuf, String>) -> Result<(), String> {
    let is_named = |file: &Path, sha256: &str| file.to_string_lossy().contains(&sha256[..16]);
    for (file, sha256) in files.iter().filter(|(file, sha256)| is_named(file, sha256)) {
        let found = sha256_file(&view.join(file)).map_err(text)?;
        if found != *sha256 {
            return Err(format!("{}: other bytes", file.display()));
        }
    }
    Ok(())
}
