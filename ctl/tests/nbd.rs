// SPDX-License-Identifier: GPL-2.0-only
//! Replicas in exports of a real NBD server, `qemu-nbd` of the package qemu-utils, which is killed in the middle.

use involfltctl::nbd::{Export, Uri};
use involfltctl::replica::Store;
use involfltctl::stream::{Follows, Header, Tag, Writer};
use involfltctl::time::Time;
use std::fs;
use std::io::Write;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

const BYTES: u64 = 8 << 20;
const PATIENCE: Duration = Duration::from_secs(30);

/// A directory with an image, and its server while there is one.
struct Place {
    dir: PathBuf,
    server: Option<Child>,
}

impl Place {
    fn new(name: &str) -> Self {
        let dir = std::env::temp_dir().join(format!("involflt-nbd-{name}-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        fs::File::create(dir.join("image")).unwrap().set_len(BYTES).unwrap();
        Place { dir, server: None }
    }

    fn serve(&mut self, more: &[&str]) {
        self.kill();
        let socket = self.dir.join("socket");
        let _ = fs::remove_file(&socket);
        let mut server = Command::new("qemu-nbd");
        server.args(["--format=raw", "--persistent", "--export-name=disk", "--socket"]).arg(&socket).args(more);
        let server = server.arg(self.dir.join("image")).stdin(Stdio::null()).spawn();
        self.server = Some(server.expect("qemu-nbd runs: `apt-get install qemu-utils`"));
        until("the server listens", || UnixStream::connect(&socket).is_ok());
    }

    fn kill(&mut self) {
        if let Some(mut server) = self.server.take() {
            server.kill().unwrap();
            server.wait().unwrap();
        }
    }

    fn uri(&self) -> String {
        format!("nbd+unix:///disk?socket={}/socket", self.dir.display())
    }

    fn export(&self) -> std::io::Result<Export> {
        Export::connect(&Uri::parse(&self.uri()).unwrap().unwrap())
    }

    fn image(&self) -> Vec<u8> {
        fs::read(self.dir.join("image")).unwrap()
    }

    fn apply(&self, stream: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_involfltctl"));
        command.args(["apply", stream, &self.uri()]).current_dir(&self.dir).env("STATE_DIRECTORY", &self.dir);
        command
    }

    fn applied(&self, stream: &str, more: &[&str]) {
        let output = self.apply(stream).args(more).output().unwrap();
        assert!(output.status.success(), "{}", said(&output));
    }

    /// What is noted of the replica.
    fn noted(&self) -> String {
        let files = fs::read_dir(self.dir.join("replicas")).into_iter().flatten().flatten();
        let state = files.map(|file| file.path()).find(|path| path.extension().is_some_and(|end| end == "json"));
        state.map_or(String::new(), |path| fs::read_to_string(path).unwrap_or_default())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.kill();
        let _ = fs::remove_dir_all(&self.dir);
    }
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn until(what: &str, is_so: impl Fn() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < PATIENCE, "not after {PATIENCE:?}: {what}");
        thread::sleep(Duration::from_millis(10));
    }
}

/// A stream that writes each of these bytes to the MiB of its number, followed by a tag; and where each batch ends in it.
fn stream(follows: Follows, batches: &[(u64, u8, u64)]) -> (Vec<u8>, Vec<usize>) {
    let mut writer = Writer::new(Vec::new(), &Header { disk: "wwn-0x5".into(), bytes: BYTES, follows }).unwrap();
    if follows == Follows::Nothing {
        writer.zeroes(0, BYTES).unwrap();
    }
    let mut ends = Vec::new();
    for &(megabyte, byte, sequence) in batches {
        writer.extent(megabyte << 20, &vec![byte; 1 << 20]).unwrap();
        let tag = Tag { time: Time::from_units(sequence), name: format!("tag-{sequence}"), is_exact: false };
        writer.tag(&tag).unwrap();
        writer.sync(sequence.into()).unwrap();
        ends.push(writer.get_mut().len());
    }
    (writer.end().unwrap().1, ends)
}

#[test]
fn what_is_written_is_in_the_image_and_is_read_again() {
    let mut place = Place::new("bytes");
    place.serve(&[]);
    let mut export = place.export().unwrap();
    assert_eq!(export.bytes(), BYTES);
    let mut expected = vec![0; BYTES as usize];
    // More than may be under way, and across the longest request.
    for index in 0..200 {
        let data = vec![index as u8 + 1; 4096];
        export.write(index * 8192, &data).unwrap();
        expected[index as usize * 8192..][..4096].copy_from_slice(&data);
    }
    let long: Vec<u8> = (0..3 << 20).map(|index: u32| index as u8).collect();
    export.write((4 << 20) + 512, &long).unwrap();
    expected[(4 << 20) + 512..][..long.len()].copy_from_slice(&long);
    export.zero(1000 * 512, 3 << 20).unwrap();
    expected[1000 * 512..][..3 << 20].fill(0);
    let mut read = vec![0; BYTES as usize];
    export.read(0, &mut read).unwrap();
    assert!(read == expected, "what is read differs");
    export.sync().unwrap();
    assert!(place.image() == expected, "the image differs");
    // Behind the end: the server refuses, and that is said with the next flush at the latest.
    let refused = export.write(BYTES, &[1; 512]).and_then(|()| export.sync());
    assert!(refused.is_err(), "a write behind the end");
}

#[test]
fn servers_that_are_no_target_are_refused() {
    let mut place = Place::new("refused");
    let refused = |place: &Place| place.export().err().unwrap().to_string();
    place.serve(&["--read-only"]);
    assert_eq!(refused(&place), "the export is read-only");
    place.serve(&["--export-name=other"]);
    assert_eq!(refused(&place), "the server has no export \"disk\"");
    place.kill();
    assert!(place.export().is_err(), "nobody listens");
    fs::write(place.dir.join("stream"), stream(Follows::Nothing, &[]).0).unwrap();
    let output = place.apply("stream").output().unwrap();
    let text = said(&output);
    assert!(output.status.code() == Some(1) && text.contains("is its server there?"), "{text}");
}

#[test]
fn a_server_that_is_killed_in_the_middle_costs_no_full_copy() {
    let mut place = Place::new("killed");
    place.serve(&[]);
    let batches = [(0, 1, 10), (1, 2, 20), (2, 3, 30), (1, 4, 40)];
    fs::write(place.dir.join("full"), stream(Follows::Nothing, &batches[..1]).0).unwrap();
    place.applied("full", &["--journal", "journal"]);
    let (changes, ends) = stream(Follows::Batch(10.into()), &batches[1..]);
    let mut apply = place.apply("-");
    let apply = apply.args(["--journal", "journal"]).stdin(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut apply = apply.unwrap();
    let mut pipe = apply.stdin.take().unwrap();
    pipe.write_all(&changes[..ends[0] + 1000]).unwrap();
    until("the first batch is noted", || place.noted().contains("\"sequence\":20"));
    place.kill();
    // It may have ended before it has read all.
    let _ = pipe.write_all(&changes[ends[0] + 1000..]);
    drop(pipe);
    let output = apply.wait_with_output().unwrap();
    let text = said(&output);
    assert!(output.status.code() == Some(1) && text.contains("goes on where it stopped"), "{}: {text}", output.status);
    place.serve(&[]);
    fs::write(place.dir.join("changes"), changes).unwrap();
    place.applied("changes", &["--journal", "journal"]);
    let bytes = |place: &Place| [0, 1, 2, 3].map(|megabyte| place.image()[megabyte << 20]);
    assert_eq!(bytes(&place), [1, 4, 3, 0]);
    place.applied("journal", &["--until-tag", "tag-20"]);
    assert_eq!(bytes(&place), [1, 2, 0, 0]);
    place.applied("journal", &[]);
    assert_eq!(bytes(&place), [1, 4, 3, 0]);
}
