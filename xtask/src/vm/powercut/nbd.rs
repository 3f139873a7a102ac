// SPDX-License-Identifier: GPL-2.0-only
//! Serves a disk to QEMU: as much of the NBD protocol (fixed newstyle, simple replies) as QEMU needs.

use super::disk::{Disk, PastEnd, Power};
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::Mutex;

const OPTION_MAGIC: u64 = u64::from_be_bytes(*b"IHAVEOPT");
const OPTION_REPLY_MAGIC: u64 = 0x0003_e889_0455_65a9;
const REQUEST_MAGIC: u32 = 0x2560_9513;
const REPLY_MAGIC: u32 = 0x6744_6698;
/// Fixed newstyle, and no zeroes behind the old export reply.
const HANDSHAKE_FLAGS: u16 = 0b11;
const OPTION_GO: u32 = 7;
const REPLY_ACK: u32 = 1;
const REPLY_INFO: u32 = 3;
const REPLY_UNSUPPORTED: u32 = 1 << 31 | 1;
/// Flags are there; flush and write-through are served.
const EXPORT_FLAGS: u16 = 1 | 4 | 8;
const READ: u16 = 0;
const WRITE: u16 = 1;
const DISCONNECT: u16 = 2;
const FLUSH: u16 = 3;
const THROUGH: u16 = 1;
const EINVAL: u32 = 22;
/// Longest request that QEMU makes.
const LONGEST: u32 = 32 << 20;

/// Serves the disk until QEMU goes. Once the power is off, nothing is answered any more.
pub fn serve(mut stream: UnixStream, disk: &Mutex<Disk>, power: &Power) -> io::Result<()> {
    let size = disk.lock().expect("nothing panics with the disk").size();
    handshake(&mut stream, size)?;
    while let Some(request) = Request::read(&mut stream)? {
        if request.kind != READ && !power.spend() {
            return wait_for_the_end(stream);
        }
        let answer = request.carry_out(&mut disk.lock().expect("nothing panics with the disk"));
        if power.is_off() {
            return wait_for_the_end(stream);
        }
        reply(&mut stream, request.cookie, answer)?;
    }
    Ok(())
}

/// QEMU is killed soon. An error until then would be one that the machine sees.
fn wait_for_the_end(mut stream: UnixStream) -> io::Result<()> {
    io::copy(&mut stream, &mut io::sink()).map(drop)
}

fn handshake(stream: &mut UnixStream, size: u64) -> io::Result<()> {
    stream.write_all(b"NBDMAGIC")?;
    stream.write_all(&OPTION_MAGIC.to_be_bytes())?;
    stream.write_all(&HANDSHAKE_FLAGS.to_be_bytes())?;
    u32_from(stream)?;
    loop {
        let magic = u64_from(stream)?;
        if magic != OPTION_MAGIC {
            return Err(io::Error::other(format!("an option begins with {magic:#x}")));
        }
        let option = u32_from(stream)?;
        let length = u32_from(stream)?.min(LONGEST);
        stream.read_exact(&mut vec![0; length as usize])?;
        if option != OPTION_GO {
            option_reply(stream, option, REPLY_UNSUPPORTED, &[])?;
            continue;
        }
        let export = [&0_u16.to_be_bytes()[..], &size.to_be_bytes(), &EXPORT_FLAGS.to_be_bytes()].concat();
        option_reply(stream, option, REPLY_INFO, &export)?;
        return option_reply(stream, option, REPLY_ACK, &[]);
    }
}

fn option_reply(stream: &mut UnixStream, option: u32, kind: u32, data: &[u8]) -> io::Result<()> {
    stream.write_all(&OPTION_REPLY_MAGIC.to_be_bytes())?;
    stream.write_all(&option.to_be_bytes())?;
    stream.write_all(&kind.to_be_bytes())?;
    stream.write_all(&(data.len() as u32).to_be_bytes())?;
    stream.write_all(data)
}

struct Request {
    kind: u16,
    through: bool,
    cookie: u64,
    offset: u64,
    length: usize,
    data: Vec<u8>,
}

impl Request {
    /// `None` when QEMU is done.
    fn read(stream: &mut UnixStream) -> io::Result<Option<Request>> {
        let magic = u32_from(stream)?;
        let (flags, kind) = (u16_from(stream)?, u16_from(stream)?);
        let (cookie, offset, length) = (u64_from(stream)?, u64_from(stream)?, u32_from(stream)?);
        if magic != REQUEST_MAGIC || length > LONGEST {
            return Err(io::Error::other(format!("a request {magic:#x} of {length} bytes")));
        }
        let length = length as usize;
        let mut data = vec![0; if kind == WRITE { length } else { 0 }];
        stream.read_exact(&mut data)?;
        let request = Request { kind, through: flags & THROUGH != 0, cookie, offset, length, data };
        Ok((kind != DISCONNECT).then_some(request))
    }

    /// The data that was read, or an errno.
    fn carry_out(&self, disk: &mut Disk) -> Result<Vec<u8>, u32> {
        let refused = |PastEnd| EINVAL;
        match self.kind {
            READ => disk.read(self.offset, self.length).map(<[u8]>::to_vec).map_err(refused),
            WRITE => disk.write(self.offset, self.data.clone(), self.through).map(|()| Vec::new()).map_err(refused),
            FLUSH => {
                disk.flush();
                Ok(Vec::new())
            }
            _ => Err(EINVAL),
        }
    }
}

fn reply(stream: &mut UnixStream, cookie: u64, answer: Result<Vec<u8>, u32>) -> io::Result<()> {
    let (error, data) = match answer {
        Ok(data) => (0, data),
        Err(errno) => (errno, Vec::new()),
    };
    let header = [&REPLY_MAGIC.to_be_bytes()[..], &error.to_be_bytes(), &cookie.to_be_bytes()].concat();
    stream.write_all(&header)?;
    stream.write_all(&data)
}

fn u16_from(stream: &mut UnixStream) -> io::Result<u16> {
    let mut bytes = [0; 2];
    stream.read_exact(&mut bytes)?;
    Ok(u16::from_be_bytes(bytes))
}

fn u32_from(stream: &mut UnixStream) -> io::Result<u32> {
    let mut bytes = [0; 4];
    stream.read_exact(&mut bytes)?;
    Ok(u32::from_be_bytes(bytes))
}

fn u64_from(stream: &mut UnixStream) -> io::Result<u64> {
    let mut bytes = [0; 8];
    stream.read_exact(&mut bytes)?;
    Ok(u64::from_be_bytes(bytes))
}
