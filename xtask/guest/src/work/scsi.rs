// SPDX-License-Identifier: GPL-2.0-only
//! SCSI commands as `sg_raw` gives them to a disk: by the SG_IO ioctl (`scsi/sg.h`), past the block layer.

use crate::sys::{Doing, Fields, Step, ensure, ioctl};
use std::fs::File;

const SG_IO: u32 = 0x2285;
/// Bytes of `struct sg_io_hdr`, and where its fields are.
const BYTES: usize = 88;
const INTERFACE: u64 = 0;
const DIRECTION: u64 = 4;
const CDB_BYTES: u64 = 8;
const DATA_BYTES: u64 = 12;
const DATA: u64 = 16;
const CDB: u64 = 24;
const TIMEOUT: u64 = 40;
const STATUS: u64 = 64;
const HOST_STATUS: u64 = 68;

const NO_DATA: i32 = -1;
const TO_DEVICE: i32 = -2;

/// Gives the disk a command that sends `data`, and gives the SCSI status: 0 is GOOD.
pub fn send(disk: &File, cdb: &[u8], data: &mut [u8]) -> Step<u8> {
    let mut header = [0; BYTES];
    header.put(INTERFACE, &u32::from(b'S').to_ne_bytes());
    header.put(DIRECTION, &if data.is_empty() { NO_DATA } else { TO_DEVICE }.to_ne_bytes());
    header.put(CDB_BYTES, &[cdb.len() as u8]);
    header.put(DATA_BYTES, &(data.len() as u32).to_ne_bytes());
    header.put(DATA, &data.as_mut_ptr().expose_provenance().to_ne_bytes());
    header.put(CDB, &cdb.as_ptr().expose_provenance().to_ne_bytes());
    header.put(TIMEOUT, &20_000_u32.to_ne_bytes());
    ioctl(disk, SG_IO, &mut header).doing(|| format!("SG_IO {:#04x}", cdb[0]))?;
    let host = u16::from_ne_bytes([header[HOST_STATUS as usize], header[HOST_STATUS as usize + 1]]);
    ensure(host == 0, || format!("SG_IO {:#04x}: host status {host}", cdb[0]))?;
    Ok(header[STATUS as usize])
}
