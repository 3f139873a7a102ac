// SPDX-License-Identifier: GPL-2.0-only
//! A replica behind another program, as it is behind ssh: what is answered is there for good, wherever the connection ends.

use involfltctl::replica::{Progress, Remote, Sink, Source};
use involfltctl::stream::Tag;
use involfltctl::time::Time;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

const BYTES: u64 = 1 << 20;
const SOURCE: Source<'static> = Source { disk: "wwn-0x5", bytes: BYTES };

/// A directory that goes with its test.
struct Place(PathBuf);

impl Place {
    fn new(name: &str) -> Self {
        let place = std::env::temp_dir().join(format!("involflt-remote-{name}-{}", std::process::id()));
        fs::create_dir_all(&place).unwrap();
        Place(place)
    }

    fn connect(&self) -> involfltctl::error::Result<Remote> {
        self.connect_by("")
    }

    /// A connection by a command that sends its input on at once, and may end before it.
    fn connect_by(&self, pipe: &str) -> involfltctl::error::Result<Remote> {
        let program = env!("CARGO_BIN_EXE_involfltctl");
        let mut command = Command::new("sh");
        command.args(["-c", &format!("{pipe} exec {program} serve replica --journal journal")]).current_dir(&self.0);
        Remote::behind("ssh://host/replica", command, SOURCE)
    }

    fn first_bytes(&self) -> [u8; 3] {
        let bytes = fs::read(self.0.join("replica")).unwrap();
        std::array::from_fn(|block| bytes[block * 4096])
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn all(sequence: u64) -> Progress {
    Progress::All { last: sequence.into(), before: (sequence - 1).into() }
}

fn batch(remote: &mut dyn Sink, block: u64, sequence: u64) -> involfltctl::error::Result<()> {
    remote.data(block * 4096, &[sequence as u8; 4096])?;
    remote.tag(&Tag { time: Time::from_units(sequence), name: sequence.to_string(), is_exact: true })?;
    remote.sync(all(sequence))
}

#[test]
fn what_was_answered_is_there_wherever_the_connection_ends() {
    let place = Place::new("ends");
    let mut remote = place.connect().unwrap();
    assert_eq!(remote.progress(), Progress::Nothing);
    remote.zeroes(0, BYTES).unwrap();
    batch(&mut remote, 0, 1).unwrap();
    drop(remote);
    // The header, and in it the first batch, have less than this.
    for bytes in (0..9000).step_by(700) {
        let before = place.connect().unwrap().progress();
        let Ok(mut remote) = place.connect_by(&format!("dd bs=1 count={bytes} status=none |")) else { continue };
        assert_eq!(remote.progress(), before);
        let Progress::All { last, .. } = before else { panic!("{before:?}") };
        let first = last.sequence;
        let brought: Vec<u64> =
            (first + 1..first + 4).take_while(|&sequence| batch(&mut remote, 1, sequence).is_ok()).collect();
        let answered = remote.progress();
        assert_eq!(answered, brought.last().map_or(before, |&sequence| all(sequence)));
        drop(remote);
        assert_eq!(place.connect().unwrap().progress(), answered, "after {bytes} bytes");
    }
    let mut remote = place.connect().unwrap();
    batch(&mut remote, 2, 200).unwrap();
    drop(remote);
    assert_eq!(place.first_bytes()[0], 1);
    assert_eq!(place.first_bytes()[2], 200);
    let apply = Command::new(env!("CARGO_BIN_EXE_involfltctl"))
        .args(["apply", "journal", "replica", "--until-tag", "1"])
        .current_dir(&place.0)
        .output()
        .unwrap();
    assert!(apply.status.success(), "{}", String::from_utf8_lossy(&apply.stderr));
    assert_eq!(place.first_bytes(), [1, 0, 0]);
    let refused = place.connect().err().unwrap();
    assert!(refused.message.contains("the other side has ended"), "{refused}");
}
