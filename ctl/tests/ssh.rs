// SPDX-License-Identifier: GPL-2.0-only
//! Replicas behind a real sshd of the package openssh-server, on the loopback address: its connections are cut in the middle.
//! The disk is one in memory, filtered by the driver's own code.

mod common;

use common::InThisProcess;
use involfltctl::agent::Agent;
use involfltctl::blocks::Blocks;
use involfltctl::disk::Disk;
use involfltctl::driver::Driver;
use involfltctl::error::Result;
use involfltctl::replica::{
    Durable, Ended, Event, Listener, Overwrite, Progress, Pump, Remote, Sink, Source, StreamSink,
};
use involfltctl::stream::{Follows, Header};
use std::cell::RefCell;
use std::fs;
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::AtomicBool;
use std::thread;
use std::time::{Duration, Instant};

const NAME: &str = "/dev/sda:16384";
const BYTES: usize = 16384 * 512;
const PATIENCE: Duration = Duration::from_secs(30);

/// An sshd with keys of its own, in a directory that goes with it.
struct Server {
    dir: PathBuf,
    port: u16,
    sshd: Child,
}

impl Server {
    fn start(name: &str) -> Self {
        let dir = std::env::temp_dir().join(format!("involflt-ssh-{name}-{}", std::process::id()));
        fs::create_dir_all(dir.join("bin")).unwrap();
        for key in ["host", "user"] {
            let arguments = ["-q", "-t", "ed25519", "-N", "", "-f"];
            let made = Command::new("ssh-keygen").args(arguments).arg(dir.join(key)).status();
            assert!(made.expect("ssh-keygen runs: `apt-get install openssh-client`").success());
        }
        symlink(env!("CARGO_BIN_EXE_involfltctl"), dir.join("bin/involfltctl")).unwrap();
        // As root it wants this directory, which its service makes; nobody else can make it, and need not.
        let _ = fs::create_dir_all("/run/sshd");
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        fs::write(dir.join("server"), server_config(&dir, port)).unwrap();
        write_client(&dir, port);
        let sshd = Command::new("/usr/sbin/sshd").args(["-D", "-e", "-q", "-f"]).arg(dir.join("server")).spawn();
        let sshd = sshd.expect("sshd runs: `apt-get install openssh-server`");
        let server = Server { dir, port, sshd };
        let greets = |mut stream: TcpStream| stream.read_exact(&mut [0; 8]);
        until("sshd greets", || TcpStream::connect(("127.0.0.1", port)).and_then(greets).is_ok());
        server
    }

    /// The processes that sshd has forked for its connections.
    fn connections(&self) -> Vec<String> {
        let id = self.sshd.id();
        let children = fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap();
        children.split_whitespace().map(String::from).collect()
    }

    /// Sends them a signal, as soon as there is one. Once they are killed, the client finds its connection closed.
    fn signal(&self, name: &str) {
        until("somebody is connected", || !self.connections().is_empty());
        let sent = Command::new("kill").args(["-s", name]).args(self.connections()).status().unwrap();
        assert!(sent.success());
    }

    fn target(&self) -> PathBuf {
        self.dir.join("replica")
    }

    /// This command, with our own ssh, which knows the server and its key. Earlier connections are over.
    fn with_client(&self, mut command: Command) -> Command {
        until("earlier connections are closed", || self.connections().is_empty());
        command.env("PATH", format!("{}/bin:/usr/bin:/bin", self.dir.display()));
        command
    }

    fn replica(&self) -> Result<Remote> {
        let name = format!("ssh://127.0.0.1:{}{}", self.port, self.target().display());
        let command = Remote::command(&name, Overwrite::No, &[]).unwrap().unwrap();
        Remote::behind(&name, self.with_client(command), SOURCE)
    }

    /// The replica again, when the other side has seen that its connection was cut.
    fn replica_again(&self) -> Remote {
        let start = Instant::now();
        loop {
            match self.replica() {
                Ok(replica) => return replica,
                Err(error) => assert!(start.elapsed() < PATIENCE, "{error}"),
            }
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// `ssh host involfltctl apply - replica`.
    fn apply(&self) -> Child {
        let mut command = self.with_client(Command::new("ssh"));
        command.args(["-p", &self.port.to_string(), "127.0.0.1", "involfltctl", "apply", "-"]).arg(self.target());
        command.stdin(Stdio::piped()).spawn().unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.sshd.kill();
        let _ = self.sshd.wait();
        let _ = fs::remove_dir_all(&self.dir);
    }
}

fn server_config(dir: &Path, port: u16) -> String {
    let dir = dir.display();
    format!(
        "Port {port}
ListenAddress 127.0.0.1
HostKey {dir}/host
AuthorizedKeysFile {dir}/user.pub
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PidFile none
SetEnv PATH={dir}/bin:/usr/bin:/bin
"
    )
}

fn write_client(dir: &Path, port: u16) {
    let (program, at) = (dir.join("bin/ssh"), dir.display());
    let key = fs::read_to_string(dir.join("host.pub")).unwrap();
    fs::write(dir.join("known"), format!("[127.0.0.1]:{port} {key}")).unwrap();
    let options = format!("-o UserKnownHostsFile={at}/known -o StrictHostKeyChecking=yes -o BatchMode=yes");
    let script = format!("#!/bin/sh\nexec /usr/bin/ssh -F none -i {at}/user -o IdentitiesOnly=yes {options} \"$@\"\n");
    fs::write(&program, script).unwrap();
    fs::set_permissions(program, fs::Permissions::from_mode(0o755)).unwrap();
}

fn until(what: &str, is_so: impl Fn() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < PATIENCE, "not after {PATIENCE:?}: {what}");
        thread::sleep(Duration::from_millis(20));
    }
}

const SOURCE: Source<'static> = Source { disk: "a", bytes: BYTES as u64 };

/// A filtered disk.
struct Machine {
    disk: RefCell<Vec<u8>>,
    driver: InThisProcess,
    agent: Agent<InThisProcess>,
}

impl Machine {
    fn new() -> Self {
        let disk = Disk { node: NAME.into(), persistent_name: SOURCE.disk.into(), bytes: SOURCE.bytes };
        let driver = InThisProcess::load();
        let agent = Agent::of(Driver::new(driver.clone()), disk).unwrap();
        Machine { disk: RefCell::new((0..BYTES).map(|at| (at / 4096) as u8).collect()), driver, agent }
    }

    fn write_at(&self, start: usize, bytes: usize, byte: u8) {
        let filtered = self.driver.registry.find(NAME.as_bytes()).unwrap();
        self.disk.borrow_mut()[start..start + bytes].fill(byte);
        filtered.tracker.complete(start as u64 / 512, bytes as u64 / 512, false);
    }

    /// Writes this byte to each MiB.
    fn write(&self, byte: u8) {
        (0..BYTES).step_by(1 << 20).for_each(|start| self.write_at(start, 64 << 10, byte));
    }

    /// Whether the target holds what the disk does.
    fn is_in(&self, target: &Path) -> bool {
        fs::read(target).unwrap() == *self.disk.borrow()
    }
}

/// Reads the disk, and cuts the connection at the read of this number.
struct Reader<'a> {
    machine: &'a Machine,
    server: &'a Server,
    reads_left: Option<usize>,
    read: Vec<u8>,
}

impl<'a> Reader<'a> {
    fn new(machine: &'a Machine, server: &'a Server, cut_at: Option<usize>) -> Self {
        Reader { machine, server, reads_left: cut_at, read: Vec::new() }
    }
}

impl Blocks for Reader<'_> {
    fn read(&mut self, offset: u64, bytes: usize) -> io::Result<&[u8]> {
        if self.reads_left == Some(0) {
            self.server.signal("KILL");
        }
        self.reads_left = self.reads_left.and_then(|left| left.checked_sub(1));
        self.read = self.machine.disk.borrow()[offset as usize..][..bytes].to_vec();
        Ok(&self.read)
    }
}

/// Counts full copies.
#[derive(Default)]
struct Copies(usize);

impl Listener for Copies {
    fn event(&mut self, event: Event) {
        self.0 += usize::from(matches!(event, Event::Copied { .. }));
    }
}

/// A round of replication; gives how it ended and the number of full copies.
fn replicate(machine: &Machine, blocks: Reader<'_>, mut replica: Remote) -> (Result<Ended>, usize) {
    let (stop, mut copies) = (AtomicBool::new(false), Copies::default());
    let ended = Pump::new(&machine.agent, blocks, &stop, &mut copies).replicate(&mut replica, None);
    (ended, copies.0)
}

#[test]
fn a_replica_whose_connection_is_cut_is_gone_on_with() {
    let (server, machine) = (Server::start("cut"), Machine::new());
    let reader = |cut_at| Reader::new(&machine, &server, cut_at);
    let (ended, copies) = replicate(&machine, reader(Some(3)), server.replica().unwrap());
    assert!(ended.is_err() && copies == 0, "{ended:?} in the middle of a full copy");
    assert_eq!(replicate(&machine, reader(None), server.replica_again()), (Ok(Ended::CaughtUp), 1));
    for cut_at in [0, 1, 5] {
        machine.write(100 + cut_at as u8);
        let (ended, _) = replicate(&machine, reader(Some(cut_at)), server.replica_again());
        let error = ended.unwrap_err();
        assert!(error.message.contains("the other side has ended"), "{error}");
        assert!(!machine.is_in(&server.target()));
        assert_eq!(replicate(&machine, reader(None), server.replica_again()), (Ok(Ended::CaughtUp), 0));
        assert!(machine.is_in(&server.target()), "cut at read {cut_at}");
    }
}

/// The pipe to ssh.
struct Pipe(ChildStdin);

impl Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }
    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl Durable for Pipe {
    fn make_durable(&mut self) -> io::Result<()> {
        self.flush()
    }
}

/// `involfltctl drain`, the whole disk or what has changed, into `involfltctl apply` on the other side.
fn drain(machine: &Machine, blocks: Reader<'_>, input: ChildStdin, is_full: bool) -> Result<()> {
    let previous = machine.agent.get()?.unwrap().previous;
    let follows = if is_full { Follows::Nothing } else { Follows::Batch(previous) };
    let header = Header { disk: SOURCE.disk.into(), bytes: SOURCE.bytes, follows };
    let (stop, mut copies) = (AtomicBool::new(false), Copies::default());
    let mut pump = Pump::new(&machine.agent, blocks, &stop, &mut copies);
    let mut sink = StreamSink::new(Pipe(input), "the pipe".into(), &header)?;
    if sink.progress() == Progress::Nothing {
        pump.begin(&mut sink)?;
        pump.copy(&mut sink)?;
    }
    pump.follow(&mut sink, None)?;
    sink.end().map(drop)
}

/// Whether all of it went well.
fn drained(machine: &Machine, server: &Server, cut_at: Option<usize>, is_full: bool) -> bool {
    let mut ssh = server.apply();
    let drained = drain(machine, Reader::new(machine, server, cut_at), ssh.stdin.take().unwrap(), is_full);
    drained.is_ok() & ssh.wait().unwrap().success()
}

#[test]
fn a_stream_whose_connection_is_cut_is_gone_on_with_or_missed() {
    let (server, machine) = (Server::start("stream"), Machine::new());
    assert!(drained(&machine, &server, None, true) && machine.is_in(&server.target()));
    for cut_at in [0, 5] {
        machine.write(cut_at as u8);
        assert!(!drained(&machine, &server, Some(cut_at), false) && !machine.is_in(&server.target()));
        machine.write(50 + cut_at as u8);
        // What was in the pipe is lost where the driver was told already that it was handed over.
        let is_applied = drained(&machine, &server, None, false);
        assert_eq!(is_applied, machine.is_in(&server.target()), "cut at read {cut_at}");
        assert!(is_applied || drained(&machine, &server, None, true) && machine.is_in(&server.target()));
    }
}

#[test]
fn a_stream_that_was_lost_on_its_way_is_missed() {
    let (server, machine) = (Server::start("lost"), Machine::new());
    assert!(drained(&machine, &server, None, true));
    machine.write_at(0, 4096, 100);
    let mut ssh = server.apply();
    server.signal("STOP");
    // All of it is in buffers, and the driver is told that it is handed over.
    drain(&machine, Reader::new(&machine, &server, None), ssh.stdin.take().unwrap(), false).unwrap();
    server.signal("KILL");
    assert!(!ssh.wait().unwrap().success() && !machine.is_in(&server.target()));
    machine.write(101);
    assert!(!drained(&machine, &server, None, false) && !machine.is_in(&server.target()));
    assert!(drained(&machine, &server, None, true) && machine.is_in(&server.target()));
}
