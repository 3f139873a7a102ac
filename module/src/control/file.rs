// SPDX-License-Identifier: GPL-2.0-only
//! What an open file of the driver stands for, and what its closing does.

use crate::control::user::Struct;
use crate::engine::Registry;
use crate::persist::common::{keep_clean_shutdown, keep_stamps};
use crate::platform::{Platform, Result};
use core::sync::atomic::{AtomicU64, Ordering};

/// An open file. All zero at first; the glue's `struct inv_file`.
#[repr(C)]
#[derive(Debug, Default)]
pub struct File {
    /// Id of the disk that was started by it, 0 for none.
    disk: AtomicU64,
    /// [`DRAINER`] and [`SERVICE`].
    roles: AtomicU64,
}

impl File {
    /// Id of the disk that was started by it last, 0 for none.
    pub fn disk(&self) -> u64 {
        self.disk.load(Ordering::Relaxed)
    }

    /// The disk with `id` was started by it.
    pub fn set_disk(&self, id: u64) {
        self.disk.store(id, Ordering::Relaxed);
    }
}

const DRAINER: u64 = 1;
const SERVICE: u64 = 2;

/// The flags that both registrations carry say nothing to this driver, but must be there.
fn read_flags<P: Platform>(argument: u64) -> Result<()> {
    Struct::<P>::new(argument, 4)?.u32(0).map(drop)
}

pub(super) fn become_drainer<P: Platform>(registry: &Registry<P>, file: &File, argument: u64) -> Result<()> {
    read_flags::<P>(argument)?;
    registry.drainer_comes()?;
    file.roles.fetch_or(DRAINER, Ordering::Relaxed);
    Ok(())
}

pub(super) fn become_service<P: Platform>(registry: &Registry<P>, file: &File, argument: u64) -> Result<()> {
    read_flags::<P>(argument)?;
    if file.roles.fetch_or(SERVICE, Ordering::Relaxed) & SERVICE == 0 {
        P::common().service_comes();
    }
    registry.disks().for_each(|disk| disk.tracker.capture.rise());
    registry.times.service_came.set(P::unix_time());
    // Where it cannot be written, the file says what it said before.
    let _ = keep_clean_shutdown::<P>(false);
    Ok(())
}

/// The file is closed.
pub fn release<P: Platform>(registry: &Registry<P>, file: &File) {
    let roles = file.roles.load(Ordering::Relaxed);
    if roles & DRAINER != 0 {
        registry.drainer_goes();
    }
    if roles & SERVICE != 0 && P::common().service_goes() {
        registry.disks().for_each(|disk| disk.tracker.capture.stop_data());
        registry.times.service_went.set(P::unix_time());
        keep_stamps::<P>();
        #[cfg(feature = "telemetry")]
        registry.telemetry.flush();
    }
}
