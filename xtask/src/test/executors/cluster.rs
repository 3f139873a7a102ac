// SPDX-License-Identifier: GPL-2.0-only
//! A Slurm cluster on the loopback address: munged, slurmctld, and two nodes of one processor each.

use crate::container::privileged;
use crate::unpack::ask;
use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// The cluster; all of it ends with it.
pub struct Cluster {
    dir: PathBuf,
    /// The nodes and the controller; munged is the last, as the others need it to the end.
    processes: Vec<(&'static str, Child)>,
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for (_, process) in &mut self.processes {
            end(process);
        }
    }
}

/// Ends a process and, as it is the parent of a namespace, all that it has started.
fn end(process: &mut Child) {
    // One that is gone already is as good as one that was stopped. It may be root's, and we not.
    let _ = privileged("kill").args(["-KILL", &process.id().to_string()]).stderr(Stdio::null()).status();
    let _ = process.wait();
}

impl Cluster {
    /// Starts it in `dir`, and waits until both nodes are idle.
    pub fn start(dir: &Path) -> Result<Self, String> {
        fs::create_dir_all(dir.join("state")).map_err(|error| error.to_string())?;
        fs::write(dir.join("slurm.conf"), config(dir)?).map_err(|error| error.to_string())?;
        run(Command::new("dd").arg(format!("of={}/key", dir.display())).args([
            "if=/dev/urandom",
            "bs=1024",
            "count=1",
        ]))?;
        run(Command::new("chmod").arg("400").arg(dir.join("key")))?;
        let mut cluster = Cluster { dir: dir.into(), processes: Vec::new() };
        let munged =
            ["key-file=key", "socket=munge.socket", "pid-file=munged.pid", "seed-file=seed", "log-file=munged.log"]
                .map(|option| option.replacen('=', &format!("={}/", dir.display()), 1));
        let munged: Vec<String> = munged.iter().map(|option| format!("--{option}")).collect();
        let munged: Vec<&str> = munged.iter().map(String::as_str).chain(["--force", "--foreground"]).collect();
        cluster.spawn("munged", "munged", &munged)?;
        cluster.wait("the socket of munged", |cluster| cluster.dir.join("munge.socket").exists())?;
        let conf = cluster.config().display().to_string();
        cluster.spawn("slurmctld", "slurmctld", &["-D", "-f", &conf])?;
        for node in ["n2", "n1"] {
            cluster.spawn(node, "slurmd", &["-D", "-N", node, "-f", &conf])?;
        }
        cluster.processes.reverse();
        cluster.wait("two idle nodes", |cluster| {
            cluster.ask("sinfo", &["-h", "-N", "-o", "%T"]).is_ok_and(|states| states == "idle\nidle")
        })?;
        Ok(cluster)
    }

    /// For `SLURM_CONF`.
    pub fn config(&self) -> PathBuf {
        self.dir.join("slurm.conf")
    }

    /// Each in a namespace of process ids, so that it can be killed with all that it has started, as a node that loses power.
    fn spawn(&mut self, name: &'static str, program: &str, arguments: &[&str]) -> Result<(), String> {
        let mut command = privileged("unshare");
        command.args(["--pid", "--fork", "--kill-child", "--mount-proc", program]).args(arguments);
        let log = fs::File::create(self.dir.join(format!("{name}.out"))).map_err(|error| error.to_string())?;
        command.stdout(log.try_clone().map_err(|error| error.to_string())?).stderr(log);
        self.processes.push((name, command.spawn().map_err(|error| format!("{program}: {error}"))?));
        Ok(())
    }

    fn wait(&self, what: &str, there: impl Fn(&Self) -> bool) -> Result<(), String> {
        for _ in 0..300 {
            if there(self) {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        Err(format!("no {what}; {}", self.log()))
    }

    /// What a Slurm command says.
    fn ask(&self, program: &str, arguments: &[&str]) -> Result<String, String> {
        run(Command::new(program).args(arguments).env("SLURM_CONF", self.config()))
    }

    /// The task that runs on the second node, as `JOB_TASK`.
    pub fn task_on_second_node(&self) -> Result<Option<String>, String> {
        let task = self.ask("squeue", &["-h", "-w", "n2", "-t", "RUNNING", "-o", "%i"])?;
        Ok((!task.is_empty()).then_some(task))
    }

    /// Whether the second node has its power.
    pub fn second_node_is_up(&self) -> bool {
        self.processes.iter().any(|(name, _)| *name == "n2")
    }

    /// Takes the second node's power.
    pub fn kill_second_node(&mut self) -> Result<(), String> {
        let index = self.processes.iter().position(|(name, _)| *name == "n2").ok_or("the node is gone")?;
        end(&mut self.processes.remove(index).1);
        Ok(())
    }

    /// Slurm starts the task of a lost node two minutes later; this starts it now, where it waits for that.
    pub fn skip_delay(&self, task: &str) -> Result<(), String> {
        if self.ask("squeue", &["-h", "-j", task, "-o", "%r"]).is_ok_and(|reason| reason == "BeginTime") {
            self.ask("scontrol", &["update", &format!("jobid={task}"), "StartTime=now"])?;
        }
        Ok(())
    }

    /// Fails unless Slurm has put the task back into the queue because its node was lost.
    pub fn was_started_again(&self, task: &str) -> Result<(), String> {
        let log = fs::read_to_string(self.dir.join("slurmctld.log")).map_err(|error| error.to_string())?;
        let says = |line: &&str| line.contains(&format!("JobId={task}(")) && line.contains("failure of node n2");
        log.lines().find(says).map(|_| ()).ok_or(format!("task {task} was not queued again; {}", self.log()))
    }

    /// The last lines of the controller's log, for errors.
    pub fn log(&self) -> String {
        let log = fs::read_to_string(self.dir.join("slurmctld.log")).unwrap_or_default();
        let lines: Vec<&str> = log.lines().rev().take(12).collect();
        format!("slurmctld: {}", lines.into_iter().rev().collect::<Vec<_>>().join("; "))
    }
}

/// What a tool says.
fn run(command: &mut Command) -> Result<String, String> {
    let said = ask(command).map_err(|error| error.to_string())??;
    Ok(String::from_utf8_lossy(&said).trim().to_string())
}

fn config(dir: &Path) -> Result<String, String> {
    let host = fs::read_to_string("/proc/sys/kernel/hostname").map_err(|error| error.to_string())?;
    let host = host.trim();
    // All are taken before one is given back, so that they differ.
    let listeners = [(); 3].map(|()| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)));
    let mut ports = Vec::new();
    for listener in &listeners {
        let address = listener.as_ref().map_err(ToString::to_string)?.local_addr();
        ports.push(address.map_err(|error| error.to_string())?.port());
    }
    let dir = dir.display();
    Ok(format!(
        "ClusterName=involflt-test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={}
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={dir}/munge.socket
StateSaveLocation={dir}/state
SlurmdSpoolDir={dir}/spool-%n
SlurmctldPidFile={dir}/slurmctld.pid
SlurmdPidFile={dir}/%n.pid
SlurmctldLogFile={dir}/slurmctld.log
SlurmdLogFile={dir}/%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SlurmdTimeout=5
SlurmdParameters=config_overrides
NodeName=n1 NodeHostname={host} NodeAddr=127.0.0.1 Port={} CPUs=1
NodeName=n2 NodeHostname={host} NodeAddr=127.0.0.1 Port={} CPUs=1
PartitionName=all Nodes=n1,n2 Default=YES State=UP
",
        ports[0], ports[1], ports[2]
    ))
}
