// SPDX-License-Identifier: GPL-2.0-only
//! The bitmap file is what docs/bitmap.md says that it is, by offsets that are read from there; and older ones are not believed.

use involflt::engine::{Hole, Name, Registry};
use involflt::host::{Files, Host, TrackedDisk};
use involflt::platform::{Attached, Mounts};
use std::collections::BTreeMap;

const DOCUMENT: &str = include_str!("../../docs/bitmap.md");
const DISK: &[u8] = b"sda:80000";
const FILE: &str = "/etc/vxagent/involflt/scsi-1/InMage-scsi-1.VolumeLog";
const BLOCK: usize = 4096;

/// Loads the driver, with a disk that has a write each at these sectors.
fn with_writes(sectors: &[u64]) -> Registry<Host> {
    let driver: Registry<Host> = Registry::new().unwrap();
    driver.start(Name::from_slice(DISK).unwrap(), Name::from_slice(b"scsi-1").unwrap()).unwrap();
    let disk = driver.find(DISK).unwrap();
    for sector in sectors {
        Host::write_to_disks();
        disk.tracker.complete(*sector, 8, false);
    }
    driver
}

fn hole(driver: &Registry<Host>) -> Option<Hole> {
    driver.find(DISK).unwrap().tracker.resync.report().map(|report| report.hole)
}

fn file() -> Vec<u8> {
    Files::with(|all| all.files[FILE].clone())
}

/// Offset and length in bytes of what the document's tables have, by the first words of what it is.
struct Layout(BTreeMap<&'static str, (usize, usize)>);

impl Layout {
    fn documented() -> Self {
        let row = |line: &'static str| {
            let mut cells = line.strip_prefix("| ")?.split(" | ");
            let (offset, bytes) = (cells.next()?.parse().ok()?, cells.next()?.parse().ok()?);
            Some((cells.next()?.split([':', ',', '(', ';']).next()?.trim_end_matches(" |").trim_end(), (offset, bytes)))
        };
        Layout(DOCUMENT.lines().filter_map(row).collect())
    }

    fn bytes<'a>(&self, block: &'a [u8], what: &str) -> &'a [u8] {
        let (offset, bytes) = self.0.get(what).unwrap_or_else(|| panic!("{what:?} is in no row: {:?}", self.0.keys()));
        &block[*offset..offset + bytes]
    }

    fn number(&self, block: &[u8], what: &str) -> u64 {
        let mut number = [0; 8];
        let bytes = self.bytes(block, what);
        number[..bytes.len()].copy_from_slice(bytes);
        u64::from_le_bytes(number)
    }
}

/// The checksum of a block, and what it has of one.
fn sums(layout: &Layout, block: &[u8]) -> (u64, u64) {
    let (at, bytes) = layout.0["CRC-32C of the whole block"];
    let mut zeroed = block.to_vec();
    zeroed[at..at + bytes].fill(0);
    (crc32c::crc32c(&zeroed).into(), layout.number(block, "CRC-32C of the whole block"))
}

#[test]
fn every_field_is_where_the_document_has_it() {
    let layout = Layout::documented();
    with_writes(&[]);
    // The machine stopped at once: there is a resync to tell of.
    Files::boot();
    let driver = with_writes(&[8, 79_992]);
    let in_use = file();
    driver.stop_all().unwrap();
    let clean = file();
    let newer = |file: &[u8]| {
        let headers = [&file[..BLOCK], &file[BLOCK..2 * BLOCK]].map(<[u8]>::to_vec);
        headers.into_iter().max_by_key(|header| layout.number(header, "generation")).unwrap()
    };
    let header = newer(&clean);
    let number = |what| layout.number(&header, what);
    assert_eq!(number("version"), 2);
    assert_eq!([number("state"), layout.number(&newer(&in_use), "state")], [0, 1]);
    assert_eq!(number("capacity of the disk"), 80_000);
    assert_eq!(1 << number("log2 of the bytes that a bit is for"), 4096);
    assert_eq!(layout.bytes(&header, "the disk's persistent name")[..7], *b"scsi-1\0");
    assert_eq!(&layout.bytes(&header, "the boot in which it was closed")[..36], boot().as_bytes());
    assert_ne!(number("the kernel's number of the disk in that boot"), 0);
    assert_ne!(number("what had been written to the disk when tracking ended"), 0);
    assert_eq!((header[104], header[112]), (7, 1), "an unclean stop, once");
    assert_ne!(u64::from_le_bytes(header[120..128].try_into().unwrap()), 0, "with its time");
    let digest = clean.chunks(BLOCK).enumerate().fold(Vec::new(), |mut sums_of_bits, (index, block)| {
        let (sum, noted) = sums(&layout, block);
        assert_eq!(sum, noted, "block {index}");
        assert_eq!(layout.bytes(block, "identity"), layout.bytes(&header, "identity"), "block {index}");
        let (magic, number) = if index < 2 { (b"INVFBMH1", index) } else { (b"INVFBMB1", index - 2) };
        assert_eq!((&block[..8], layout.number(block, "index")), (&magic[..], number as u64), "block {index}");
        if index >= 2 {
            sums_of_bits.extend((sum as u32).to_le_bytes());
        }
        sums_of_bits
    });
    assert_eq!(number("digest"), u64::from(crc32c::crc32c(&digest)));
    // Bits 1 and 9999: the frame has 64 bytes, and the lowest bit of a byte is the first.
    let bits = &clean[2 * BLOCK + 64..3 * BLOCK];
    let set: Vec<_> = (0..bits.len() * 8).filter(|bit| bits[bit / 8] >> (bit % 8) & 1 == 1).collect();
    assert_eq!(set, [1, 9999]);
}

fn boot() -> String {
    Files::with(|all| String::from_utf8(all.files["/proc/sys/kernel/random/boot_id"].clone()).unwrap()).trim().into()
}

#[test]
fn a_file_of_another_version_is_put_aside_and_told() {
    with_writes(&[8]).stop_all().unwrap();
    let layout = Layout::documented();
    Files::with(|all| {
        for header in all.files.get_mut(FILE).unwrap().chunks_mut(BLOCK).take(2) {
            header[layout.0["version"].0] = 3;
            let (sum, _) = sums(&layout, header);
            header[40..44].copy_from_slice(&(sum as u32).to_le_bytes());
        }
    });
    let newer = file();
    assert_eq!(hole(&with_writes(&[])), Some(Hole::FileForeign));
    assert_eq!(Files::with(|all| all.files[&format!("{FILE}.bad")].clone()), newer);
}

/// The machine has a file system that pins; it has been mounted writable so often, and is read-only or not.
fn mounted(count: u16, writable: bool) {
    Files::with(|all| {
        all.mounts = Some(Mounts { count, checked: 0, writable });
        all.files.insert("/proc/1/mounts".into(), b"/dev/vda1 / ext4 ro 0 0\n".to_vec());
        all.files.insert("/proc/meminfo".into(), b"SwapTotal: 0 kB\n".to_vec());
    });
}

/// A driver that is ended in either way, with bits that are true then; and the next start.
fn end(driver: Registry<Host>, reboots: bool, count: &mut u16) {
    if !reboots {
        return driver.stop_all().unwrap();
    }
    mounted(*count, false);
    driver.machine_stops();
    *count += 1;
    Files::boot();
    Host::disks_appear();
    mounted(*count, true);
}

/// A file that is whole and says "clean", and was put back from a copy, is of an end of tracking that others came after.
#[test]
fn an_older_file_that_is_put_back_is_not_believed() {
    for (first, second) in [(false, false), (false, true), (true, false), (true, true)] {
        Files::with(|all| *all = Files::default());
        let mut count = 5;
        mounted(count, true);
        end(with_writes(&[8]), first, &mut count);
        let old = file();
        let driver = with_writes(&[800]);
        assert_eq!(hole(&driver), None, "{first} {second}: nobody has written");
        end(driver, second, &mut count);
        let new = file();
        Files::with(|all| all.files.insert(FILE.into(), old));
        assert_eq!(hole(&with_writes(&[])), Some(Hole::Unwatched), "{first} {second}");
        assert_ne!(new, file());
    }
}

/// Of the machine's last calls the one for the superblock fails: the file says "in use".
#[test]
fn a_superblock_that_cannot_be_read_leaves_no_last_word() {
    for fails in [false, true] {
        Files::with(|all| *all = Files::default());
        mounted(5, true);
        let driver = with_writes(&[8]);
        mounted(5, false);
        if fails {
            Files::with(|all| all.mounts = None);
        }
        driver.machine_stops();
        Files::boot();
        Host::disks_appear();
        mounted(6, true);
        assert_eq!(hole(&with_writes(&[])), fails.then_some(Hole::Unclean));
    }
}

/// The document's table of what a disk costs is what the driver has.
#[test]
fn memory_is_bounded_as_the_document_says() {
    const GIB: u64 = 1 << 30;
    for (gib, name) in [(64, "64 GiB"), (512, "512 GiB"), (1024, "1 TiB"), (4096, "4 TiB"), (32_768, "32 TiB")] {
        let disk = TrackedDisk::new(gib * GIB / 512).unwrap();
        let tracker = disk.tracker();
        let bits = tracker.live().blocks();
        let blocks = bits.div_ceil(32_256);
        let mib = |bytes: u64| bytes as f64 / (1 << 20) as f64;
        let row = format!(
            "| {name} | {} KiB | {:.1} MiB | {:.1} MiB |",
            (1_u64 << tracker.block_shift()) >> 10,
            mib((2 + blocks) * 4096),
            // Two bitmaps, and of each block of the file its checksum and its place.
            mib(2 * bits / 8 + 16 * blocks),
        );
        assert!(DOCUMENT.contains(&row), "docs/bitmap.md has no row {row}");
    }
}
