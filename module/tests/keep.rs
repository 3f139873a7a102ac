// SPDX-License-Identifier: GPL-2.0-only
//! What outlives stop, removal and reload, on files that fail, are damaged, replaced and deleted.

use involflt::engine::{Hole, Name, Op, Previous, Registry, ResyncReport, Service, Tracker};
use involflt::host::{Files, Host, Written};
use involflt::platform::{Errno, Mounts, Platform};
use std::sync::Arc;

const DISK: &[u8] = b"sda:80000";
const NAME: &[u8] = b"scsi-1";
const DIRECTORY: &str = "/etc/vxagent/involflt/scsi-1";
const FILE: &str = "/etc/vxagent/involflt/scsi-1/InMage-scsi-1.VolumeLog";
const BAD: &str = "/etc/vxagent/involflt/scsi-1/InMage-scsi-1.VolumeLog.bad";

/// The module, loaded once.
struct Module(Registry<Host>);

impl Module {
    fn load() -> Self {
        Module(Registry::new().unwrap())
    }

    /// Loads it and starts the disk.
    fn with_disk() -> Self {
        let module = Self::load();
        module.start(DISK, NAME);
        module
    }

    fn start(&self, path: &[u8], name: &[u8]) {
        self.0.start(Name::from_slice(path).unwrap(), Name::from_slice(name).unwrap()).unwrap();
    }

    /// Unloads it: its disks go on when it is loaded again.
    fn unload(self) {
        self.0.stop_all().unwrap();
    }

    fn tracker(&self) -> Arc<Tracker<Host>> {
        self.0.find(DISK).unwrap().tracker.clone()
    }

    fn hole(&self) -> Option<Hole> {
        self.tracker().resync.report().map(|report| report.hole)
    }

    fn kept(&self) -> Result<(), Errno> {
        self.0.find(DISK).unwrap().with(|disk| disk.keep.state()).unwrap()
    }

    /// Gets all batches and commits them: the extents in bytes, and what the first one follows.
    fn drain(&self) -> (Vec<(u64, u32)>, Previous) {
        let mut extents = Vec::new();
        let mut first = None;
        loop {
            let (transaction, batch, previous) = self.get();
            first = first.or(Some(previous));
            self.commit(transaction);
            if batch.is_empty() {
                extents.sort_unstable();
                return (extents, first.unwrap());
            }
            extents.extend(batch);
        }
    }

    fn get(&self) -> (u64, Vec<(u64, u32)>, Previous) {
        let get = |disk: &mut involflt::engine::Filtered<Host>| {
            let block = disk.drain.get(&disk.device).unwrap();
            let extents = block.changes.offsets().iter().copied().zip(block.changes.lengths().iter().copied());
            (block.transaction, extents.collect(), block.previous)
        };
        self.0.find(DISK).unwrap().with(get).unwrap()
    }

    fn commit(&self, transaction: u64) {
        let commit = |disk: &mut involflt::engine::Filtered<Host>| disk.drain.commit(&disk.device, transaction, false);
        self.0.find(DISK).unwrap().with(commit).unwrap().unwrap();
    }
}

/// A disk with a change, stopped so that it goes on: the one extent that the next start should find.
fn one_change() -> Vec<(u64, u32)> {
    let module = Module::with_disk();
    module.tracker().complete(8, 8, false);
    module.unload();
    vec![(4096, 4096)]
}

fn change_file(work: impl FnOnce(&mut Vec<u8>)) {
    Files::with(|all| work(all.files.get_mut(FILE).unwrap()));
}

#[test]
fn after_a_reload_the_disk_goes_on_where_it_was() {
    let module = Module::with_disk();
    let tracker = module.tracker();
    tracker.complete(0, 8, false);
    module.drain();
    tracker.complete(800, 8, false);
    let (_, committed, _) = module.get();
    module.commit(module.get().0);
    // Delivered and not committed, an extent, and dirty bits.
    tracker.complete(1600, 8, false);
    let (_, out, previous) = module.get();
    tracker.complete(2400, 16, false);
    tracker.mark(79_992, 8);
    assert_eq!((committed, out), (vec![(409_600, 4096)], vec![(819_200, 4096)]));
    module.unload();

    let module = Module::with_disk();
    assert_eq!((module.hole(), module.kept()), (None, Ok(())));
    let (extents, follows) = module.drain();
    assert_eq!(extents, [(819_200, 4096), (1_228_800, 8192), (40_955_904, 4096)]);
    assert_eq!(follows, previous, "the first batch follows the one that was committed last");
    assert!(Host::common().clock.last() > previous.stamp);
}

#[test]
fn a_removed_disk_goes_on_and_a_stopped_one_begins_anew() {
    let extents = one_change();
    let module = Module::with_disk();
    module.0.remove(DISK).unwrap();
    module.start(DISK, NAME);
    assert_eq!(module.hole(), None);
    assert_eq!(module.drain().0, extents);
    module.tracker().complete(8, 8, false);
    module.0.stop(DISK).unwrap();
    Host::write_to_disks();
    module.start(DISK, NAME);
    assert_eq!(module.hole(), None);
    assert_eq!(module.drain(), (Vec::new(), Previous::NONE));
}

#[test]
fn a_disk_that_was_written_to_unseen_needs_a_resync() {
    one_change();
    Host::write_to_disks();
    let module = Module::with_disk();
    assert_eq!(module.hole(), Some(Hole::Unwatched));
    assert_eq!(module.drain().1, Previous::UNKNOWN);
}

#[test]
fn a_count_that_may_not_be_kept_is_believed_only_where_it_was_seen_to_move() {
    Host::is_sure_of_counts(false);
    let session = |counted: bool| {
        let module = Module::with_disk();
        let before = module.hole();
        module.tracker().count(Op::Write, 4096);
        if counted {
            Host::write_to_disks();
        }
        module.tracker().complete(8, 8, false);
        module.unload();
        before
    };
    assert_eq!(session(true), None, "a new disk");
    assert_eq!(session(false), None, "the count has moved with the write, and not since");
    assert_eq!(session(true), Some(Hole::Unwatched), "it has not moved with the write");
}

#[test]
fn a_disk_of_an_earlier_boot_needs_a_resync() {
    one_change();
    Files::boot();
    let module = Module::with_disk();
    assert_eq!(module.hole(), Some(Hole::Unwatched));
    module.0.stop(DISK).unwrap();
    one_change();
    Files::with(|all| all.files.retain(|path, _| !path.starts_with("/proc")));
    let module = Module::with_disk();
    assert_eq!(module.hole(), Some(Hole::Unwatched), "nobody knows which boot this is");
}

#[test]
fn an_unclean_stop_needs_a_resync() {
    drop(Module::with_disk());
    Files::boot();
    let module = Module::with_disk();
    assert_eq!((module.hole(), module.kept()), (Some(Hole::Unclean), Ok(())));
    assert_eq!(Hole::Unclean.code(), 0x11);
    assert!(Files::with(|all| !all.files.contains_key(BAD)), "the file was a good one");
}

#[test]
fn a_resync_that_no_agent_has_begun_is_still_required() {
    drop(Module::with_disk());
    let module = Module::with_disk();
    let report = module.tracker().resync.report().unwrap();
    module.unload();
    let module = Module::with_disk();
    assert_eq!(module.tracker().resync.report(), Some(report));
    assert_eq!(report, ResyncReport { hole: Hole::Unclean, ..report });
}

#[test]
fn a_file_that_is_not_as_it_was_written_is_put_aside_and_told() {
    type Damage = fn(&mut Vec<u8>);
    let damages: [(Damage, Option<Hole>); 6] = [
        (|file| file[2 * 4096 + 100] ^= 1, Some(Hole::FileDamaged)),
        (|file| file.truncate(2 * 4096), Some(Hole::FileDamaged)),
        (|file| file[..2 * 4096].fill(0), Some(Hole::FileForeign)),
        (|file| *file = b"another program's".to_vec(), Some(Hole::FileForeign)),
        (|file| file[4096 + 200] ^= 1, None),
        (|file| file.clear(), Some(Hole::FileGone)),
    ];
    for (damage, expected) in damages {
        let extents = one_change();
        change_file(damage);
        let bad = Files::with(|all| all.files[FILE].clone());
        let module = Module::with_disk();
        assert_eq!((module.hole(), module.kept()), (expected, Ok(())));
        let aside = Files::with(|all| all.files.remove(BAD));
        match expected {
            None => assert_eq!(module.drain().0, extents, "the other header is whole"),
            Some(Hole::FileGone) => assert_eq!(aside, None),
            Some(_) => assert_eq!(aside, Some(bad)),
        }
        module.0.stop(DISK).unwrap();
    }
}

#[test]
fn a_file_that_is_gone_is_missed_but_not_of_a_new_disk() {
    one_change();
    Files::with(|all| all.files.remove(FILE));
    assert_eq!(Module::with_disk().hole(), Some(Hole::FileGone));
    Files::with(|all| all.files.retain(|path, _| !path.starts_with(DIRECTORY)));
    assert_eq!(Module::with_disk().hole(), None);
}

#[test]
fn a_disk_of_another_size_or_name_does_not_get_the_file() {
    one_change();
    let module = Module::load();
    module.start(b"sda:80008", NAME);
    let hole = |path: &[u8]| module.0.find(path).unwrap().tracker.resync.report().map(|report| report.hole);
    assert_eq!(hole(b"sda:80008"), Some(Hole::Resized));
    let bad = Files::with(|all| all.files.remove(BAD).unwrap());
    let other = "/etc/vxagent/involflt/scsi-2";
    Files::with(|all| {
        all.directories.insert(other.into());
        all.files.insert(format!("{other}/InMage-scsi-2.VolumeLog"), bad)
    });
    module.start(b"sdb:80000", b"scsi-2");
    assert_eq!(hole(b"sdb:80000"), Some(Hole::FileForeign));
}

#[test]
fn two_disks_with_one_name_do_not_share_a_file() {
    let module = Module::with_disk();
    module.start(b"sdb:80000", NAME);
    let other = module.0.find(b"sdb:80000").unwrap();
    assert_eq!(other.with(|disk| disk.keep.state()).unwrap(), Err(Errno::EXIST));
    module.tracker().complete(8, 8, false);
    module.0.stop(b"sdb:80000").unwrap();
    module.unload();
    let module = Module::with_disk();
    assert_eq!((module.hole(), module.drain().0), (None, vec![(4096, 4096)]));
}

#[test]
fn names_that_lead_elsewhere_get_no_file() {
    let module = Module::load();
    module.start(DISK, b"..");
    assert_eq!(module.kept(), Err(Errno::INVAL));
    assert!(Files::with(|all| all.files.keys().all(|path| path.starts_with("/proc"))));
}

#[test]
fn a_file_that_was_replaced_while_in_use_is_not_written_to() {
    one_change();
    let old = Files::with(|all| all.files[FILE].clone());
    let module = Module::with_disk();
    change_file(|file| *file = old.clone());
    module.tracker().complete(80, 8, false);
    Host::write_to_disks();
    module.unload();
    assert_eq!(Files::with(|all| all.files[FILE].clone()), old);
    assert_eq!(Module::with_disk().hole(), Some(Hole::Unwatched));
}

/// Whatever call on files fails, and all after it: the disk is filtered, and its last start has every change behind the
/// batch that it says to follow, or needs a resync.
#[test]
fn files_that_fail_never_fail_a_start_and_never_hide_a_change() {
    for errno in [Errno::IO, Errno::NOSPC, Errno(30)] {
        for faulty in [0, 1] {
            let calls = (0..).take_while(|left| fails(errno, faulty, *left)).count();
            assert!(calls > 15, "{errno:?}: {calls} calls failed, not every one of session {faulty}");
        }
    }
}

#[test]
fn a_start_that_fails_at_any_call_does_not_forget_that_the_disk_is_filtered() {
    let path = format!("{DIRECTORY}/VolumeFilteringDisabled");
    for left in 0..40 {
        Files::with(|all| *all = Files::default());
        Module::with_disk().unload();
        Files::boot();
        Files::with(|all| all.fault = Some((left, Errno::IO)));
        drop(Module::with_disk());
        Files::with(|all| {
            all.fault = None;
            assert_eq!(all.files.get(&path).map(Vec::as_slice), Some(&b"0"[..]), "from call {left} on");
        });
    }
}

#[test]
fn a_machine_whose_memory_was_on_a_disk_meanwhile_needs_a_resync() {
    let module = Module::with_disk();
    module.drain();
    module.0.machine_woke();
    assert_eq!(module.hole(), Some(Hole::Unwatched));
}

/// A session that commits a change and keeps one, a second that adds one, a third that looks. In the `faulty` one, files fail
/// from the call `left` on. Whether there was such a call.
fn fails(errno: Errno, faulty: usize, left: usize) -> bool {
    Files::with(|all| *all = Files::default());
    let fault = |session| Files::with(|all| all.fault = (session == faulty).then_some((left, errno)));
    let change = |module: &Module, sector| {
        Host::write_to_disks();
        module.tracker().complete(sector, 8, false);
    };
    fault(0);
    let module = Module::with_disk();
    change(&module, 8);
    module.drain();
    let committed = module.get().2;
    change(&module, 800);
    module.unload();
    let failed_first = Files::with(|all| matches!(all.fault, Some((0, _))));
    fault(1);
    let module = Module::with_disk();
    change(&module, 1600);
    module.unload();
    let failed_second = Files::with(|all| matches!(all.fault, Some((0, _))));
    fault(2);
    let module = Module::with_disk();
    let (hole, (extents, follows)) = (module.hole(), module.drain());
    let whole = [(409_600, 4096), (819_200, 4096)].iter().all(|change| extents.contains(change));
    let place = format!("{errno:?} in session {faulty} from call {left} on");
    assert!(hole.is_some() || follows != committed || whole, "{place}: {extents:?} follow what was committed");
    let failed = failed_first || failed_second;
    assert!(failed || (hole.is_none() && whole && follows == committed), "{place}: nothing failed, and {hole:?}");
    failed
}

#[test]
fn data_that_waits_or_is_out_is_kept_as_bits() {
    Host::common().set_service(Service::Running);
    let module = Module::with_disk();
    let write = |sector, sectors: u64| {
        let mut payload = Written(vec![1; sectors as usize * 512]);
        module.tracker().written(sector, sectors, &mut payload);
    };
    // Larger than a chunk of memory, so that what is behind it is in another one.
    [(0, 8), (800, 200), (1600, 8)].into_iter().for_each(|(sector, sectors)| write(sector, sectors));
    module.get();
    write(2400, 8);
    assert_eq!((module.tracker().capture.data_changes(), module.tracker().capture.extents()), (1, 0));
    module.unload();
    Host::common().set_service(Service::Shutdown);
    let module = Module::with_disk();
    assert_eq!(module.drain().0, [(0, 4096), (409_600, 102_400), (819_200, 4096), (1_228_800, 4096)]);
}

const QUIET: &str = "rootfs / rootfs rw 0 0\n/dev/vda1 / ext4 ro,relatime 0 0\nproc /proc proc rw,nosuid 0 0\n";
const NO_SWAP: &str = "MemTotal: 1000 kB\nSwapCached: 0 kB\nSwapTotal:             0 kB\nSwapFree: 0 kB\n";

/// When the file system was checked last.
const CHECKED: u32 = 1_700_000_000;

/// The machine has a file system that pins, is mounted writable for so many times now, and nothing else writes.
fn machine(count: u16) {
    Files::with(|all| {
        all.mounts = Some(Mounts { count, checked: CHECKED, writable: true });
        all.files.insert("/proc/1/mounts".into(), QUIET.into());
        all.files.insert("/proc/meminfo".into(), NO_SWAP.into());
    });
}

/// The machine stops: its file system is read-only by then.
fn machine_stops(module: Module) {
    Files::with(|all| {
        if let Some(mounts) = &mut all.mounts {
            mounts.writable = false;
        }
    });
    module.0.machine_stops();
}

/// It starts again, and its file system is mounted writable for so many times now.
fn machine_starts(count: u16) -> Module {
    Files::boot();
    Host::disks_appear();
    machine(count);
    Module::with_disk()
}

/// A disk with a change, when the machine stops.
fn one_change_then_stop() {
    machine(5);
    let module = Module::with_disk();
    module.tracker().complete(8, 8, false);
    machine_stops(module);
}

#[test]
fn after_a_clean_reboot_the_disk_goes_on_where_it_was() {
    machine(5);
    let module = Module::with_disk();
    let tracker = module.tracker();
    tracker.complete(0, 8, false);
    module.drain();
    tracker.complete(1600, 8, false);
    let (_, out, previous) = module.get();
    tracker.complete(2400, 16, false);
    tracker.mark(79_992, 8);
    assert_eq!(out, [(819_200, 4096)]);
    machine_stops(module);
    let module = machine_starts(6);
    assert_eq!((module.hole(), module.kept()), (None, Ok(())));
    assert_eq!(module.drain(), (vec![(819_200, 4096), (1_228_800, 8192), (40_955_904, 4096)], previous));
}

#[test]
fn a_check_that_begins_the_count_of_mounts_anew_does_not_hide_a_boot_that_came_between() {
    one_change_then_stop();
    Files::boot();
    Host::disks_appear();
    // Checked, and then mounted and written to by a system without the driver until the count was as before.
    Files::with(|all| all.mounts = Some(Mounts { count: 6, checked: CHECKED + 1, writable: true }));
    assert_eq!(Module::with_disk().hole(), Some(Hole::Unwatched));
}

#[test]
fn the_disk_of_the_root_goes_on_when_it_is_filtered_before_its_root_is_writable() {
    one_change_then_stop();
    Files::boot();
    Host::disks_appear();
    machine(5);
    Files::with(|all| all.mounts = Some(Mounts { count: 5, checked: CHECKED, writable: false }));
    let module = Module::with_disk();
    assert_eq!((module.hole(), module.drain().0), (None, vec![(4096, 4096)]));
}

/// It starts again, and its disk is filtered before there is a root file system.
fn machine_starts_before_root() -> Module {
    Files::boot();
    Host::disks_appear();
    Host::common().begin_before_root();
    Module::with_disk()
}

/// The root is there, mounted writable for so many times now.
fn root_is_there(module: &Module, count: u16) {
    machine(count);
    assert!(Host::common().end_before_root());
    module.0.root_is_there();
}

#[test]
fn a_resync_that_was_due_before_a_clean_stop_is_due_after_it() {
    machine(5);
    let module = Module::with_disk();
    module.0.remove(DISK).unwrap();
    Host::write_to_disks();
    module.start(DISK, NAME);
    machine_stops(module);
    assert_eq!(machine_starts(6).hole(), Some(Hole::Unwatched));
}

#[test]
fn a_path_that_came_and_that_no_drain_has_found_is_a_resync_after_a_clean_stop() {
    machine(5);
    let module = Module::with_disk();
    Host::path_comes();
    machine_stops(module);
    assert_eq!(machine_starts(6).hole(), Some(Hole::NewPath));
}

#[test]
fn a_disk_that_is_filtered_before_its_root_is_there_goes_on_where_it_was() {
    one_change_then_stop();
    let files = Files::with(|all| all.files.clone());
    let module = machine_starts_before_root();
    module.tracker().complete(1600, 8, false);
    module.tracker().mark(79_992, 8);
    let disk = module.0.find(DISK).unwrap();
    assert!(disk.is_drain_blocked(), "what the first batch follows is not known yet");
    Files::with(|all| assert_eq!(all.files[FILE], files[FILE], "there are no files yet"));
    root_is_there(&module, 6);
    assert!(!disk.is_drain_blocked());
    assert_eq!((module.hole(), module.kept()), (None, Ok(())));
    let (extents, previous) = module.drain();
    assert_eq!(extents, [(4096, 4096), (819_200, 4096), (40_955_904, 4096)]);
    assert_eq!(previous, Previous::NONE);
    module.tracker().complete(8, 8, false);
    machine_stops(module);
    let module = machine_starts(7);
    assert_eq!((module.hole(), module.drain().0), (None, vec![(4096, 4096)]));
}

#[test]
fn a_disk_that_is_written_to_before_it_is_filtered_before_its_root_is_there_needs_a_resync() {
    one_change_then_stop();
    Files::boot();
    Host::disks_appear();
    Host::write_to_disks();
    Host::common().begin_before_root();
    let module = Module::with_disk();
    root_is_there(&module, 6);
    assert_eq!(module.hole(), Some(Hole::Unwatched));
}

#[test]
fn a_machine_that_stops_before_its_root_is_taken_over_needs_a_resync() {
    one_change_then_stop();
    let module = machine_starts_before_root();
    module.tracker().complete(1600, 8, false);
    machine(6);
    machine_stops(module);
    assert!(Host::common().end_before_root());
    assert_eq!(machine_starts(7).hole(), Some(Hole::Unwatched));
}

#[test]
fn a_new_disk_may_be_filtered_before_its_root_is_there() {
    let module = machine_starts_before_root();
    module.tracker().complete(8, 8, false);
    root_is_there(&module, 6);
    assert_eq!((module.hole(), module.kept()), (None, Ok(())));
    assert_eq!(module.drain(), (vec![(4096, 4096)], Previous::NONE));
}

#[test]
fn a_boot_that_came_between_needs_a_resync() {
    for count in [5, 7, 0] {
        one_change_then_stop();
        let module = machine_starts(count);
        assert_eq!(module.hole(), Some(Hole::Unwatched), "{count} mounts");
        module.0.stop(DISK).unwrap();
    }
}

#[test]
fn a_disk_that_was_written_to_before_it_was_filtered_needs_a_resync() {
    one_change_then_stop();
    Files::boot();
    Host::disks_appear();
    machine(6);
    Host::write_to_disks();
    assert_eq!(Module::with_disk().hole(), Some(Hole::Unwatched));
}

#[test]
fn a_machine_that_stops_and_does_not_stop_has_no_last_word() {
    one_change_then_stop();
    Files::with(|all| all.mounts = Some(Mounts { count: 5, checked: CHECKED, writable: true }));
    assert_eq!(Module::with_disk().hole(), Some(Hole::Unwatched), "it is the same boot");
}

#[test]
fn while_something_may_still_write_there_is_no_last_word() {
    let mounted = "/dev/vda1 / ext4 ro 0 0\n/dev/mapper/x /y btrfs rw,relatime 0 0\n";
    let noisy: [(&str, Option<&str>); 7] = [
        ("/proc/meminfo", Some("MemTotal: 0 kB\nSwapFree: 0 kB\n")),
        ("/proc/1/mounts", Some(mounted)),
        ("/proc/1/mounts", Some("a b a-file-system-with-a-long-name rw 0 0\n")),
        ("/proc/1/mounts", Some("")),
        ("/proc/1/mounts", None),
        ("/proc/meminfo", Some("MemTotal: 1000 kB\nSwapTotal:        20000 kB\n")),
        ("/proc/meminfo", None),
    ];
    for (path, text) in noisy {
        machine(5);
        let module = Module::with_disk();
        Files::with(|all| match text {
            Some(text) => drop(all.files.insert(path.into(), text.into())),
            None => drop(all.files.remove(path)),
        });
        machine_stops(module);
        let module = machine_starts(6);
        assert_eq!(module.hole(), Some(Hole::Unclean), "{path}: {text:?}");
        module.0.stop(DISK).unwrap();
    }
    machine(5);
    Module::with_disk().0.machine_stops();
    assert_eq!(machine_starts(6).hole(), Some(Hole::Unclean), "the file's own file system is writable");
}

#[test]
fn where_a_file_system_moves_blocks_there_is_no_last_word() {
    machine(5);
    Files::with(|all| all.mounts = None);
    machine_stops(Module::with_disk());
    assert_eq!(machine_starts(6).hole(), Some(Hole::Unclean));
}

#[test]
fn a_block_that_is_not_recognised_is_not_written() {
    type Change = fn(&mut Vec<u8>);
    let changes: [Change; 4] = [
        |file| file[2 * 4096..3 * 4096].fill(0x5a),
        |file| file[..2 * 4096].fill(0),
        |file| file[2 * 4096 + 8] ^= 1,
        |file| file.truncate(2 * 4096),
    ];
    for change in changes {
        machine(5);
        let module = Module::with_disk();
        module.tracker().complete(8, 8, false);
        change_file(change);
        let there = Files::with(|all| all.files[FILE].clone());
        machine_stops(module);
        assert_eq!(Files::with(|all| all.files[FILE].clone()), there);
        let module = machine_starts(6);
        assert!(module.hole().is_some());
        module.0.stop(DISK).unwrap();
    }
}

#[test]
fn a_last_word_that_fails_at_any_call_is_the_whole_of_it_or_none() {
    let mut left = 0;
    loop {
        Files::with(|all| *all = Files::default());
        machine(5);
        let module = Module::with_disk();
        module.tracker().complete(8, 8, false);
        Files::with(|all| all.fault = Some((left, Errno::IO)));
        machine_stops(module);
        let failed = Files::with(|all| matches!(all.fault.take(), Some((0, _))));
        let module = machine_starts(6);
        match module.hole() {
            None => assert_eq!(module.drain().0, [(4096, 4096)], "call {left}"),
            Some(_) => assert!(failed, "call {left}: nothing failed"),
        }
        if !failed {
            break;
        }
        left += 1;
    }
    assert!(left > 100, "{left} calls failed, not every one");
}
