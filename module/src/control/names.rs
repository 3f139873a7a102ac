// SPDX-License-Identifier: GPL-2.0-only
//! A disk's two names.

use crate::abi::{name_map, rename, GUID_BYTES, PNAME_BYTES};
use crate::control::user::Struct;
use crate::engine::{Name, Registry};
use crate::platform::{Errno, Platform, Result};

/// Translates a path to its persistent name, or back.
pub(super) fn map<P: Platform>(registry: &Registry<P>, argument: u64) -> Result<()> {
    let request = Struct::<P>::new(argument, name_map::BYTES)?;
    let asked = request.name::<PNAME_BYTES>(name_map::REQUEST)?;
    let answer = match request.u32(name_map::FLAGS)? {
        name_map::VALUE_TO_PERSISTENT => registry.find(asked.as_bytes()).map(|disk| disk.persistent_name()),
        name_map::VALUE_TO_PATH => registry.find_persistent(asked.as_bytes()).map(|disk| disk.path),
        _ => return Err(Errno::INVAL),
    };
    request.put(name_map::RESPONSE, answer.ok_or(Errno::NODEV)?.with_nul())
}

/// Gives a disk another persistent name; its old one must be named rightly.
pub(super) fn change<P: Platform>(registry: &Registry<P>, argument: u64) -> Result<()> {
    let request = Struct::<P>::new(argument, rename::BYTES)?;
    let path = request.name::<GUID_BYTES>(rename::PATH)?;
    let old = request.name::<GUID_BYTES>(rename::OLD)?;
    let new = request.name::<GUID_BYTES>(rename::NEW)?;
    if new.as_bytes().contains(&b'/') {
        return Err(Errno::INVAL);
    }
    let disk = registry.find(path.as_bytes()).ok_or(Errno::NODEV)?;
    disk.rename(old.as_bytes(), Name::from_slice(new.as_bytes())?)
}
