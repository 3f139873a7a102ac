// SPDX-License-Identifier: GPL-2.0-only
//! What an open file of the driver stands for, and what its closing does.

use crate::control::user::Struct;
use crate::engine::{Registry, Service};
use crate::platform::{Platform, Result};

/// An open file. All zero at first; the glue's `struct inv_file`.
#[repr(C)]
#[derive(Debug, Default)]
pub struct File {
    /// Id of the disk that was started by it, 0 for none.
    pub disk: u64,
    /// [`DRAINER`] and [`SERVICE`].
    roles: u64,
}

const DRAINER: u64 = 1;
const SERVICE: u64 = 2;

/// The flags that both registrations carry say nothing to this driver, but must be there.
fn read_flags<P: Platform>(argument: u64) -> Result<()> {
    Struct::<P>::new(argument, 4)?.u32(0).map(drop)
}

pub(super) fn become_drainer<P: Platform>(registry: &mut Registry<P>, file: &mut File, argument: u64) -> Result<()> {
    read_flags::<P>(argument)?;
    registry.drainer_comes()?;
    file.roles |= DRAINER;
    Ok(())
}

pub(super) fn become_service<P: Platform>(file: &mut File, argument: u64) -> Result<()> {
    read_flags::<P>(argument)?;
    file.roles |= SERVICE;
    P::common().set_service(Service::Running);
    Ok(())
}

/// The file is closed.
pub fn release<P: Platform>(registry: &mut Registry<P>, file: &File) {
    if file.roles & DRAINER != 0 {
        registry.drainer_goes();
    }
    if file.roles & SERVICE != 0 {
        P::common().set_service(Service::Shutdown);
    }
}
