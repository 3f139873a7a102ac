// SPDX-License-Identifier: GPL-2.0-only
//! A client of NBD, the protocol of network block devices, as its public specification has it: fixed newstyle handshake,
//! `NBD_OPT_GO`, simple replies; reads, writes, write-zeroes and flushes.
//!
//! Of the crates there are, `nbd` calls itself a first sketch without a stable interface, and the others are servers, or for
//! asynchronous programs. The C library would have to be built with this static program.

use crate::replica::Store;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::time::Duration;

mod uri;

pub use uri::{Address, Uri};

const MAGIC: u64 = u64::from_be_bytes(*b"NBDMAGIC");
const HAVE_OPTIONS: u64 = u64::from_be_bytes(*b"IHAVEOPT");
const OPTION_REPLY: u64 = 0x0003_e889_0455_65a9;
const REQUEST: u32 = 0x2560_9513;
const REPLY: u32 = 0x6744_6698;

/// Flags of the handshake: fixed newstyle, and no 124 zeroes.
const HANDSHAKE_FLAGS: u16 = 0b11;
const OPTION_GO: u32 = 7;
const REPLY_ACK: u32 = 1;
const REPLY_INFO: u32 = 3;
const REPLY_UNKNOWN: u32 = (1 << 31) + 6;
const INFO_EXPORT: u16 = 0;
const INFO_BLOCK_SIZE: u16 = 3;

/// Flags of an export.
const READ_ONLY: u16 = 1 << 1;
const CAN_FLUSH: u16 = 1 << 2;
const CAN_WRITE_ZEROES: u16 = 1 << 6;

const READ: u16 = 0;
const WRITE: u16 = 1;
const DISCONNECT: u16 = 2;
const FLUSH: u16 = 3;
const WRITE_ZEROES: u16 = 6;

/// Bytes of an option's reply at most: what a server says of itself is short.
const MAX_OPTION_REPLY: u32 = 64 << 10;
/// Bytes of a write or read at most; the specification has every server take as many.
const MAX_PAYLOAD: usize = 1 << 20;
/// Bytes of zeroes in one request.
const MAX_ZEROES: u64 = 1 << 30;
/// Requests whose reply is not waited for. Their replies are short enough not to fill a socket's buffer.
const MAX_UNDER_WAY: usize = 64;
/// How long a server may say nothing.
const PATIENCE: Duration = Duration::from_secs(60);
/// The longest requests that a disk's smallest block allows.
const MAX_MINIMUM: u32 = 512;

trait Connection: Read + Write {}
impl<T: Read + Write> Connection for T {}

/// An export of a server.
pub struct Export {
    connection: Box<dyn Connection>,
    bytes: u64,
    flags: u16,
    /// Number of the next request.
    next: u64,
    /// Requests that have no reply yet.
    under_way: usize,
}

impl Export {
    /// Connects to an export that can be written to, and made durable.
    pub fn connect(uri: &Uri) -> io::Result<Self> {
        let connection: Box<dyn Connection> = match &uri.address {
            Address::Tcp(host, port) => {
                let stream = TcpStream::connect((host.as_str(), *port))?;
                stream.set_nodelay(true)?;
                stream.set_read_timeout(Some(PATIENCE)).and_then(|()| stream.set_write_timeout(Some(PATIENCE)))?;
                Box::new(stream)
            }
            Address::Unix(path) => {
                let stream = UnixStream::connect(path)?;
                stream.set_read_timeout(Some(PATIENCE)).and_then(|()| stream.set_write_timeout(Some(PATIENCE)))?;
                Box::new(stream)
            }
        };
        let mut export = Export { connection, bytes: 0, flags: 0, next: 0, under_way: 0 };
        export.shake_hands()?;
        export.go(&uri.export)?;
        match export.flags {
            flags if flags & READ_ONLY != 0 => Err(other("the export is read-only")),
            flags if flags & CAN_FLUSH == 0 => Err(other("the server cannot flush: nothing would be durable there")),
            _ => Ok(export),
        }
    }

    /// Its size in bytes.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    fn shake_hands(&mut self) -> io::Result<()> {
        if self.u64()? != MAGIC || self.u64()? != HAVE_OPTIONS {
            return Err(other("it is no NBD server, or one of before 2010"));
        }
        if self.u16()? & HANDSHAKE_FLAGS != HANDSHAKE_FLAGS {
            return Err(other("the server does not know the handshake \"fixed newstyle\""));
        }
        self.connection.write_all(&u32::from(HANDSHAKE_FLAGS).to_be_bytes())
    }

    /// Asks for an export, and for its block sizes, which some servers insist on.
    fn go(&mut self, name: &str) -> io::Result<()> {
        let asked = [&(name.len() as u32).to_be_bytes()[..], name.as_bytes(), &[0, 1], &INFO_BLOCK_SIZE.to_be_bytes()];
        let asked = asked.concat();
        let (option, length) = (OPTION_GO.to_be_bytes(), (asked.len() as u32).to_be_bytes());
        self.connection.write_all(&[&HAVE_OPTIONS.to_be_bytes()[..], &option, &length, &asked].concat())?;
        loop {
            if self.u64()? != OPTION_REPLY || self.u32()? != OPTION_GO {
                return Err(other("the server's answer is none to what it was asked"));
            }
            let (kind, length) = (self.u32()?, self.u32()?);
            if length > MAX_OPTION_REPLY {
                return Err(other(format!("the server's answer has {length} bytes")));
            }
            let mut data = vec![0; length as usize];
            self.connection.read_exact(&mut data)?;
            match kind {
                REPLY_ACK => return Ok(()),
                REPLY_INFO => self.note_info(&data)?,
                REPLY_UNKNOWN => return Err(other(format!("the server has no export {name:?}"))),
                kind => {
                    let said = String::from_utf8_lossy(&data);
                    return Err(other(format!("the server refuses the export {name:?}: {said} ({kind:#x})")));
                }
            }
        }
    }

    fn note_info(&mut self, data: &[u8]) -> io::Result<()> {
        let short = || other("the server tells only half of its export");
        let (kind, rest) = data.split_first_chunk::<2>().ok_or_else(short)?;
        match u16::from_be_bytes(*kind) {
            INFO_EXPORT => {
                let (bytes, rest) = rest.split_first_chunk::<8>().ok_or_else(short)?;
                let (flags, _) = rest.split_first_chunk::<2>().ok_or_else(short)?;
                (self.bytes, self.flags) = (u64::from_be_bytes(*bytes), u16::from_be_bytes(*flags));
            }
            INFO_BLOCK_SIZE => {
                let (minimum, _) = rest.split_first_chunk::<4>().ok_or_else(short)?;
                let minimum = u32::from_be_bytes(*minimum);
                if minimum > MAX_MINIMUM {
                    return Err(other(format!("the server takes no writes of less than {minimum} bytes")));
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn send(&mut self, kind: u16, offset: u64, length: u32, data: &[u8]) -> io::Result<()> {
        let head = [&REQUEST.to_be_bytes()[..], &[0, 0], &kind.to_be_bytes(), &self.next.to_be_bytes()].concat();
        let place = [&offset.to_be_bytes()[..], &length.to_be_bytes(), data].concat();
        self.next += 1;
        self.connection.write_all(&[head, place].concat())
    }

    /// The reply to one of the requests that are under way; servers need not keep their order.
    fn reply(&mut self) -> io::Result<()> {
        let (magic, error, number) = (self.u32()?, self.u32()?, self.u64()?);
        if magic != REPLY || number >= self.next {
            return Err(other("the server's answer is none to what it was asked"));
        }
        // The protocol has the numbers of Linux.
        if error == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(error as i32)) }
    }

    fn settle(&mut self, left: usize) -> io::Result<()> {
        while self.under_way > left {
            self.under_way -= 1;
            self.reply()?;
        }
        Ok(())
    }

    /// A request whose reply is waited for when there are too many, or before anything else is done.
    fn post(&mut self, kind: u16, offset: u64, length: u32, data: &[u8]) -> io::Result<()> {
        self.settle(MAX_UNDER_WAY - 1)?;
        self.send(kind, offset, length, data)?;
        self.under_way += 1;
        Ok(())
    }

    fn array<const N: usize>(&mut self) -> io::Result<[u8; N]> {
        let mut bytes = [0; N];
        self.connection.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    fn u16(&mut self) -> io::Result<u16> {
        self.array().map(u16::from_be_bytes)
    }

    fn u32(&mut self) -> io::Result<u32> {
        self.array().map(u32::from_be_bytes)
    }

    fn u64(&mut self) -> io::Result<u64> {
        self.array().map(u64::from_be_bytes)
    }
}

impl Store for Export {
    fn read(&mut self, offset: u64, to: &mut [u8]) -> io::Result<()> {
        self.settle(0)?;
        for (offset, to) in (offset..).step_by(MAX_PAYLOAD).zip(to.chunks_mut(MAX_PAYLOAD)) {
            self.send(READ, offset, to.len() as u32, &[])?;
            self.reply()?;
            self.connection.read_exact(to)?;
        }
        Ok(())
    }

    fn write(&mut self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut pieces = (offset..).step_by(MAX_PAYLOAD).zip(data.chunks(MAX_PAYLOAD));
        pieces.try_for_each(|(offset, data)| self.post(WRITE, offset, data.len() as u32, data))
    }

    fn zero(&mut self, offset: u64, bytes: u64) -> io::Result<()> {
        let (kind, piece) =
            if self.flags & CAN_WRITE_ZEROES != 0 { (WRITE_ZEROES, MAX_ZEROES) } else { (WRITE, MAX_PAYLOAD as u64) };
        let zeroes = if kind == WRITE { vec![0; piece as usize] } else { Vec::new() };
        (0..bytes).step_by(piece as usize).try_for_each(|done| {
            let length = (bytes - done).min(piece);
            let data = &zeroes[..zeroes.len().min(length as usize)];
            self.post(kind, offset + done, length as u32, data)
        })
    }

    fn sync(&mut self) -> io::Result<()> {
        self.settle(0)?;
        self.send(FLUSH, 0, 0, &[])?;
        self.reply()
    }
}

impl Drop for Export {
    fn drop(&mut self) {
        // A server that does not hear of it sees the connection end.
        let _ = self.send(DISCONNECT, 0, 0, &[]);
    }
}

fn other(cause: impl Into<String>) -> io::Error {
    io::Error::other(cause.into())
}
