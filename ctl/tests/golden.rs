// SPDX-License-Identifier: GPL-2.0-only
//! What the program prints, whole, against the files of `golden/`. `BLESS=1 cargo test -p involfltctl` writes them anew.
//!
mod common;

use common::InThisProcess;
use involflt::engine::{Hole, Previous, Stamp};
use involflt::host::{Files, Host, TrackedDisk};
use involflt::persist::{BLOCK, BitmapFile, Blocks, Header, Resync, Seen, State};
use involflt::platform::{Attached, Platform};
use involfltctl::cli::{Output, Report};
use involfltctl::commands::many::{self, Outcome};
use involfltctl::commands::{
    attr, barrier::barrier, doctor, freeze, list::list, start::start, stats::stats, status::status, stop, tag::tag,
};
use involfltctl::disk::Disk;
use involfltctl::doctor::checks;
use involfltctl::doctor::facts::{Answer, Enforcement, Facts, Family, Installed, Loaded, Node, Origin, Signer, Unread};
use involfltctl::doctor::module_file::ModuleFile;
use involfltctl::driver::{Driver, Version};
use involfltctl::error::{Error, Result};
use involfltctl::point::Guid;
use std::cell::RefCell;
use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::rc::Rc;

/// The driver on a machine that knows no disk yet.
fn driver() -> (Driver<InThisProcess>, InThisProcess) {
    Files::with(|all| *all = Files::default());
    let here = InThisProcess::load();
    (Driver::new(here.clone()), here)
}

/// A disk of the host platform is named `NAME:SECTORS`.
fn disk(node: &str) -> Disk {
    Disk { node: node.into(), persistent_name: node.replace('/', "_"), bytes: 8000 * 512 }
}

/// A transcript of commands and all that they print.
#[derive(Default)]
struct Transcript(String);

impl Transcript {
    /// Notes what a command ends with, for people and as JSON.
    fn both(&mut self, command: &str, report: impl Fn() -> Result<Report>) {
        self.add(command, &Output::of(report(), false));
        self.add(&format!("{command} --json"), &Output::of(report(), true));
    }

    fn add(&mut self, command: &str, output: &Output) {
        let plain = |text: &str| anstream::adapter::strip_str(text).to_string();
        let (stdout, stderr) = (plain(&output.stdout), plain(&output.stderr));
        write!(self.0, "$ {command}\n{stdout}{stderr}exit code {}\n\n", output.code).unwrap();
    }

    fn program(&mut self, arguments: &[&str]) {
        let output = Command::new(env!("CARGO_BIN_EXE_involfltctl")).args(arguments).output().unwrap();
        let escapes = [&output.stdout, &output.stderr].into_iter().flatten().filter(|&&byte| byte == 0x1b).count();
        assert_eq!(escapes, 0, "{arguments:?}: colour in a pipe");
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        let code = output.status.code().unwrap() as u8;
        let output = Output { stdout: text(output.stdout), stderr: text(output.stderr), code };
        self.add(&["involfltctl", &arguments.join(" ")].join(" "), &output);
    }

    fn is_golden(&self, name: &str) {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
        if std::env::var_os("BLESS").is_some() {
            fs::write(&path, &self.0).unwrap();
        }
        let golden = fs::read_to_string(&path).unwrap_or_default();
        assert!(self.0 == golden, "{} differs; BLESS=1 writes it anew. Now:\n{}", path.display(), self.0);
    }
}

#[test]
fn help() {
    let mut transcript = Transcript::default();
    transcript.program(&["--help"]);
    for command in [
        "list",
        "start",
        "stop",
        "status",
        "replicate",
        "drain",
        "apply",
        "journal",
        "bitmap",
        "doctor",
        "completions",
        "configured",
        "generate",
    ] {
        transcript.program(&[command, "--help"]);
    }
    transcript.is_golden("help.txt");
}

#[test]
fn bad_input() {
    let mut transcript = Transcript::default();
    for arguments in [
        &["start", "/dev/nosuchdisk"][..],
        &["start", "nosuchdisk", "--json"],
        &["start", "/dev/null"],
        &["start"],
        &["start", "--configured", "sda"],
        &["stop"],
        &["strat"],
        &["completions", "tcsh"],
        &["stop", "--json"],
    ] {
        transcript.program(arguments);
    }
    transcript.is_golden("bad-input.txt");
}

#[test]
fn disks() {
    let mut transcript = Transcript::default();
    let (driver, here) = driver();
    let started = |disks: &[Disk]| start(&driver, disks).map(|outcomes| many::report(&outcomes));
    let (sda, sdb, gone) = (disk("/dev/sda:8000"), disk("/dev/sdb:8000"), disk("/dev/gone"));
    transcript.both("involfltctl list", || list(&driver));
    transcript.both("involfltctl status", || status(&driver, &[]));
    let mut outcomes = start(&driver, std::slice::from_ref(&sda)).unwrap();
    outcomes.push(("/dev/disk/by-id/away".into(), Outcome::Skipped("not there, passed over")));
    transcript.add("involfltctl start --configured", &Output::of(Ok(many::report(&outcomes)), false));
    // The driver's host platform knows no /dev/gone.
    transcript.both("involfltctl start sda sdb gone", || started(&[sda.clone(), sdb.clone(), gone.clone()]));
    here.registry.find(b"/dev/sdb:8000").unwrap().tracker.mark(0, 16);
    let hole = |time| here.registry.find(b"/dev/sdb:8000").unwrap().tracker.resync.raise(Hole::NewPath, time);
    hole(17_954_366_450_000_000);
    transcript.both("involfltctl status sdb", || status(&driver, &["/dev/sdb:8000".into()]));
    hole(17_954_366_460_000_000);
    transcript.both("involfltctl status", || status(&driver, &[]));
    transcript.both("involfltctl list", || list(&driver));
    transcript.both("involfltctl status sdc", || status(&driver, &["sdc".into()]));
    transcript
        .both("involfltctl stop sdc", || stop::named(&driver.protected()?, &["sdc".into()]).map(|_| unreachable!()));
    let twice = ["/dev/sda:8000", "/dev/sdb:8000", "/dev/sda:8000"].map(str::to_string);
    assert_eq!(stop::named(&driver.protected().unwrap(), &twice).unwrap(), twice[..2]);
    let names = || ["/dev/sda:8000", "/dev/sdc"].map(str::to_string).to_vec();
    transcript.add("involfltctl stop sda sdc", &Output::of(Ok(stop::stop(&driver, names())), false));
    transcript.add("involfltctl stop sda sdc --json", &Output::of(Ok(stop::stop(&driver, names())), true));
    let long = disk(&format!("/dev/{}:8000", "a".repeat(200)));
    transcript.both("involfltctl start LONG", || started(std::slice::from_ref(&long)));
    transcript.is_golden("disks.txt");
}

#[test]
fn tags_statistics_and_attributes() {
    let mut transcript = Transcript::default();
    let (driver, here) = driver();
    let tagged = |name: &str, number: u8, disks: &[&str], freeze: &[&str]| {
        let guid = Guid::from_text(&format!("{number:036}")).unwrap();
        let owned = |names: &[&str]| names.iter().map(|name| name.to_string()).collect::<Vec<_>>();
        tag(&driver, &guid, name, &owned(disks), &owned(freeze))
    };
    let mut add = |command: &str, report: Result<Report>| transcript.add(command, &Output::of(report, false));
    add("involfltctl tag a   # nothing is filtered", tagged("a", 0, &[], &[]));
    start(&driver, &[disk("/dev/sda:8000"), disk("/dev/sdb:8000")]).unwrap();
    add("involfltctl tag a", tagged("a", 1, &[], &[]));
    add("involfltctl tag b --disk sdb", tagged("b", 2, &["/dev/sdb:8000"], &[]));
    add("involfltctl tag c --freeze sda1", tagged("c", 3, &[], &["/dev/sda1"]));
    add("involfltctl tag LONG", tagged(&"long".repeat(65), 4, &[], &[]));
    here.registry.find(b"/dev/sdb:8000").unwrap().tracker.mark(0, 8);
    add("involfltctl tag d   # sdb has dirty bits", tagged("d", 5, &[], &[]));
    add("involfltctl tag d --disk sda --disk sdb", tagged("d", 6, &["/dev/sda:8000", "/dev/sdb:8000"], &[]));
    add("involfltctl tag d --freeze sda1", tagged("d", 7, &[], &["/dev/sda1"]));
    assert!(involflt::host::Host::frozen().is_empty(), "a file system stays frozen");
    add("involfltctl tag e --disk sda", tagged("e", 8, &["/dev/sda:8000"], &[]));
    let point = |number: u8| Guid::from_text(&format!("{number:036}")).unwrap();
    let sda1 = ["/dev/sda1".to_string()];
    transcript.add("involfltctl freeze sda1", &Output::of(freeze::freeze(&driver, point(9), &sda1, 1000), false));
    let again = freeze::freeze(&driver, point(10), &sda1, 1000);
    transcript.add("involfltctl freeze sda1   # again", &Output::of(again, false));
    transcript.add("involfltctl thaw 9", &Output::of(freeze::thaw(&driver, "9", &sda1), false));
    let name = point(9).to_string();
    transcript.add("involfltctl thaw POINT sda1", &Output::of(freeze::thaw(&driver, &name, &sda1), false));
    assert!(involflt::host::Host::frozen().is_empty(), "a file system stays frozen");
    transcript
        .add("involfltctl barrier   # sdb has dirty bits", &Output::of(barrier(&driver, &point(11), 1, None), false));
    driver.stop("/dev/sdb:8000").unwrap();
    let held = barrier(&driver, &point(12), 1, Some("noon"));
    transcript.add("involfltctl barrier --milliseconds 1 --tag noon", &Output::of(held, false));
    assert!(!involflt::host::Host::is_held(), "writes stay held");
    start(&driver, &[disk("/dev/sdb:8000")]).unwrap();
    transcript.both("involfltctl stats", || stats(&driver, &[]));
    transcript.both("involfltctl attr list", || attr::list(&driver, None));
    transcript.both("involfltctl attr list sda", || attr::list(&driver, Some("/dev/sda:8000")));
    transcript.both("involfltctl attr set VolumeNblks 1 --disk sda", || {
        attr::set(&driver, Some("/dev/sda:8000"), "VolumeNblks", 1)
    });
    transcript.both("involfltctl attr set WriteIntent 1 --disk sda   # no ext4", || {
        attr::set(&driver, Some("/dev/sda:8000"), "WriteIntent", 1)
    });
    transcript.both("involfltctl attr set dirtyblocklowwatermarkservicerunning 9", || {
        attr::set(&driver, None, "dirtyblocklowwatermarkservicerunning", 9)
    });
    transcript.both("involfltctl attr get DirtyBlockLowWaterMarkServiceRunning", || {
        attr::get(&driver, None, "DirtyBlockLowWaterMarkServiceRunning")
    });
    transcript.both("involfltctl attr get Colour", || attr::get(&driver, None, "Colour"));
    transcript.is_golden("tags.txt");
}

#[test]
fn no_driver() {
    let mut transcript = Transcript::default();
    transcript.both("involfltctl list", || list(&Driver::open_at("/nonexistent/involflt")?));
    let (driver, here) = driver();
    here.registry.stop_all().unwrap();
    transcript.both("involfltctl list", || list(&driver));
    transcript.is_golden("no-driver.txt");
}

/// A machine on which nothing is wrong.
fn healthy() -> Facts {
    let (driver, _) = driver();
    start(&driver, &[disk("/dev/sda:8000")]).unwrap();
    let disks = vec![("/dev/sda:8000".to_string(), driver.statistics("/dev/sda:8000"))];
    let file = ModuleFile {
        release: "6.1.0-56-amd64".into(),
        platform: "cglue".into(),
        build_id: Some(vec![1, 2]),
        signature: Some(vec![3]),
    };
    Facts {
        release: "6.1.0-56-amd64".into(),
        family: Family::Debian,
        installed: Some(Installed {
            path: "/lib/modules/6.1.0-56-amd64/updates/involflt/involflt.ko".into(),
            origin: Origin::Prebuilt,
            in_modules_dep: true,
            file: Ok(file),
            signer: Some(ours(true)),
        }),
        loaded: Some(Loaded { live: true, build_id: Some(vec![1, 2]), unsigned: false, references: 2 }),
        enforcement: Enforcement { secure_boot: Some(true), lockdown: "integrity".into(), signatures_only: false },
        certificate: Some(ours(true)),
        node: Node::Present { major: 240, mode: 0o600, roots: true },
        major: Some(240),
        answer: Ok(Answer { version: Version { driver: [2, 3, 79, 63], product: [1, 0, 1, 5] }, disks }),
        unfiltered: Ok(vec![]),
    }
}

/// The same, but for the disk, which is filtered since before the root file system was there.
fn before_root() -> Facts {
    Host::common().begin_before_root();
    let waiting = healthy();
    assert!(Host::common().end_before_root());
    waiting
}

fn ours(enrolled: bool) -> Signer {
    Signer::Known { certificate: involfltctl::doctor::facts::OURS.into(), enrolled }
}

fn no_driver_facts(facts: Facts) -> Facts {
    let answer = Err(Error::unavailable("/dev/involflt: No such file or directory"));
    Facts { loaded: None, node: Node::Absent, major: None, answer, ..facts }
}

#[test]
fn doctor_of_every_ailment() {
    let mut transcript = Transcript::default();
    let mut examine = |what: &str, facts: &Facts| {
        transcript.add(
            &format!("involfltctl doctor   # {what}"),
            &Output::of(Ok(doctor::report(&checks::all(facts))), false),
        );
    };
    examine("all is well", &healthy());
    examine("the initramfs has loaded the driver, and nothing has completed it", &before_root());
    let bare = Enforcement { secure_boot: None, lockdown: "none".into(), signatures_only: false };
    let nothing = Facts { installed: None, certificate: None, enforcement: bare.clone(), ..no_driver_facts(healthy()) };
    for family in [Family::Debian, Family::Suse, Family::RedHat, Family::Other] {
        examine("nothing is installed", &Facts { family, ..nothing.clone() });
    }
    let with = |change: &dyn Fn(&mut Installed)| {
        let mut facts = no_driver_facts(healthy());
        facts.installed.iter_mut().for_each(change);
        facts
    };
    examine("for another kernel", &with(&|it| it.file.as_mut().unwrap().release = "6.1.0-50-amd64".into()));
    examine("not in modules.dep", &with(&|it| it.in_modules_dep = false));
    examine("a damaged file", &with(&|it| it.file = Err(Unread::Bad("is no module: it has no .modinfo".into()))));
    examine("a compressed file", &with(&|it| it.file = Err(Unread::Compressed)));
    let unknown = |it: &mut Installed| it.signer = Some(ours(false));
    examine("Secure Boot, key not enrolled", &Facts { certificate: Some(ours(false)), ..with(&unknown) });
    examine(
        "Secure Boot, unsigned DKMS module",
        &with(&|it| {
            it.signer = None;
            it.origin = Origin::Dkms;
        }),
    );
    examine("Secure Boot, signed by a stranger", &with(&|it| it.signer = Some(Signer::Unknown)));
    examine(
        "unsigned, and taken",
        &Facts {
            enforcement: bare,
            installed: healthy().installed.map(|installed| Installed { signer: None, ..installed }),
            loaded: healthy().loaded.map(|loaded| Loaded { unsigned: true, ..loaded }),
            certificate: None,
            ..healthy()
        },
    );
    examine(
        "a newer module is installed",
        &Facts { loaded: healthy().loaded.map(|loaded| Loaded { build_id: Some(vec![9]), ..loaded }), ..healthy() },
    );
    let node = |node| Facts { node, ..healthy() };
    examine("the node is gone", &node(Node::Absent));
    examine("the node is of an earlier load", &node(Node::Present { major: 241, mode: 0o600, roots: true }));
    examine("the node is everybody's", &node(Node::Present { major: 240, mode: 0o666, roots: true }));
    examine("a file in the node's place", &node(Node::NoCharacterDevice));
    examine(
        "a hook is missing",
        &Facts { loaded: healthy().loaded.map(|loaded| Loaded { references: 0, ..loaded }), ..healthy() },
    );
    examine("a configured disk is not filtered", &Facts { unfiltered: Ok(vec!["/dev/sdb".into()]), ..healthy() });
    examine(
        "the configuration is wrong",
        &Facts {
            unfiltered: Err(Error::input("/etc/involflt/involflt.conf:3: \"sda\" has no \"=\"").note("mend it")),
            ..healthy()
        },
    );
    let closed = Error::failed("the driver: GET_DRIVER_VERSION: Invalid argument (EINVAL)").note("load it anew");
    examine("the driver takes no more requests", &Facts { answer: Err(closed), ..healthy() });
    let out_of_sync = {
        let (driver, here) = driver();
        start(&driver, &[disk("/dev/sda:8000")]).unwrap();
        here.registry.find(b"/dev/sda:8000").unwrap().tracker.resync.raise(Hole::Passthrough, 1);
        driver.statistics("/dev/sda:8000")
    };
    let answer = healthy().answer.map(|answer| Answer { disks: vec![("/dev/sda:8000".into(), out_of_sync)], ..answer });
    examine("a disk is out of sync", &Facts { answer, ..healthy() });
    let json = Output::of(Ok(doctor::report(&checks::all(&nothing))), true);
    transcript.add("involfltctl doctor --json   # nothing is installed", &json);
    transcript.is_golden("doctor.txt");
}

/// A bitmap file in memory, as the driver writes it.
#[derive(Clone, Default)]
struct InMemory(Rc<RefCell<Vec<u8>>>);

impl Blocks for InMemory {
    fn blocks(&self) -> u64 {
        (self.0.borrow().len() / BLOCK) as u64
    }

    fn read(&mut self, index: u64, to: &mut [u8; BLOCK]) -> involflt::platform::Result<()> {
        to.copy_from_slice(&self.0.borrow()[index as usize * BLOCK..][..BLOCK]);
        Ok(())
    }

    fn write(&mut self, index: u64, from: &[u8; BLOCK]) -> involflt::platform::Result<()> {
        let (mut bytes, start) = (self.0.borrow_mut(), index as usize * BLOCK);
        let length = bytes.len().max(start + BLOCK);
        bytes.resize(length, 0);
        bytes[start..][..BLOCK].copy_from_slice(from);
        Ok(())
    }

    fn flush(&mut self) -> involflt::platform::Result<()> {
        Ok(())
    }
}

#[test]
fn bitmap_files() {
    let dir = std::env::temp_dir().join(format!("involfltctl-bitmap-{}", std::process::id()));
    fs::create_dir_all(&dir).unwrap();
    let mut name = [0; 256];
    name[..4].copy_from_slice(b"_sda");
    // 40,000 bits, two blocks of them; the disk's last block is half a one.
    let header = Header {
        identity: *b"0123456789abcdef",
        generation: 0,
        state: State::InUse,
        sectors: 40_000 * 8 - 4,
        block_shift: 12,
        digest: 0,
        stamp: Stamp::from_word(17_954_366_450_000_000),
        resync: Some(Resync { reason: 3, count: 2, time: 17_954_366_450_000_000 }),
        name,
        seen: Seen::NOTHING,
        previous: Previous { stamp: Stamp::default(), split: 0 },
        ended: None,
        region_shift: None,
    };
    let mut file = InMemory::default();
    let mut opened = BitmapFile::<Host>::create(&mut file, header).unwrap();
    let in_use = file.0.borrow().clone();
    let disk = TrackedDisk::new(header.sectors).unwrap();
    let bits = disk.tracker();
    [(0, 1), (63, 66), (32_255, 32_257), (39_999, 40_000)]
        .into_iter()
        .for_each(|(first, end)| bits.live().set(first, end));
    opened.close(&mut file, bits.live(), header).unwrap();
    let clean = file.0.borrow().clone();
    let mut damaged = clean.clone();
    damaged[3 * BLOCK + 1000] ^= 1;
    let mut stale = clean.clone();
    stale[2 * BLOCK..3 * BLOCK].copy_from_slice(&in_use[2 * BLOCK..3 * BLOCK]);
    let files: [(&str, &[u8]); 7] = [
        ("clean", &clean),
        ("in-use", &in_use),
        ("damaged", &damaged),
        ("stale", &stale),
        ("truncated", &clean[..3 * BLOCK + 512]),
        ("foreign", b"not a bitmap"),
        ("empty", b""),
    ];
    files.iter().for_each(|(name, bytes)| fs::write(dir.join(name), bytes).unwrap());
    let mut transcript = Transcript::default();
    for command in ["check", "dump"] {
        for (name, _) in files.iter().filter(|(name, _)| command == "check" || ["clean", "in-use"].contains(name)) {
            transcript.program(&["bitmap", command, dir.join(name).to_str().unwrap()]);
            transcript.program(&["bitmap", command, dir.join(name).to_str().unwrap(), "--json"]);
        }
    }
    for other in ["/dev/null", "/nonexistent"] {
        transcript.program(&["bitmap", "check", other]);
    }
    transcript.0 = transcript.0.replace(dir.to_str().unwrap(), "DIR");
    fs::remove_dir_all(&dir).unwrap();
    transcript.is_golden("bitmap.txt");
}
