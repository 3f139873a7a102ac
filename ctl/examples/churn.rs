// SPDX-License-Identifier: GPL-2.0-only
//! An agent of one disk, on the library: it prints what changes and which tags are passed, until it is killed.
//!
//! `cargo run --example churn -- /dev/sdb`. It takes the changes out of the driver's hands, so a replica of the same disk needs
//! a full copy afterwards.

use involfltctl::agent::{Agent, Batch, Changes};
use involfltctl::disk::Disk;
use involfltctl::driver::Driver;
use involfltctl::error::{Error, Result};
use std::process::ExitCode;
use std::time::Duration;

/// The longest that a change waits to be printed.
const SECONDS: i32 = 10;

fn main() -> ExitCode {
    match std::env::args().nth(1).ok_or_else(|| Error::input("name a disk")).and_then(|name| follow(&name)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(error.kind.exit_code())
        }
    }
}

fn follow(name: &str) -> Result<()> {
    // Filtering begins here, and goes on when this program has ended. Data is captured only as long as it runs.
    let agent = Agent::of(Driver::open()?, Disk::find(name)?)?.capture(Driver::open()?)?;
    loop {
        // A tag that is next may be held, until whoever placed it decides.
        let Some(batch) = agent.get()? else {
            std::thread::sleep(Duration::from_millis(100));
            continue;
        };
        tell(&batch);
        // Until here the same batch would be delivered again, to this agent or to another one. Whoever hears that changes were
        // missed has to copy the disk anew; to say that it has begun takes the reason back.
        agent.commit(&batch, batch.resync.is_some())?;
        if batch.is_empty() {
            agent.wait(SECONDS)?;
        }
    }
}

fn tell(batch: &Batch) {
    if let Some(resync) = &batch.resync {
        println!("changes were missed: {}", resync.reason);
    }
    match &batch.changes {
        Changes::Extents(extents) => {
            extents.iter().for_each(|(offset, bytes)| println!("{bytes} bytes at {offset}, to be read from the disk"));
        }
        Changes::Data(stream) => stream.changes().for_each(|(offset, data)| {
            let zeroes = if data.iter().all(|&byte| byte == 0) { ", all zeroes" } else { "" };
            println!("{} bytes at {offset}{zeroes}", data.len());
        }),
    }
    batch.tags.iter().for_each(|tag| println!("tag {tag} of {}", batch.time));
}
