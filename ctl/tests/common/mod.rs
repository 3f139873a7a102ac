// SPDX-License-Identifier: GPL-2.0-only
//! The driver's own code in this process, on its host platform, whose disks exist in name only.

use involflt::control::{File, ioctl, release};
use involflt::engine::Registry;
use involflt::host::{Host, OwnMemory};
use involflt::platform::User;
use involfltctl::request::{Argument, Request, Transport};
use std::io;
use std::rc::Rc;

/// A connection to the driver. A copy of it is another one.
pub struct InThisProcess {
    /// The driver.
    pub registry: Rc<Registry<Host>>,
    file: File,
}

impl Clone for InThisProcess {
    fn clone(&self) -> Self {
        InThisProcess { registry: self.registry.clone(), file: File::default() }
    }
}

impl InThisProcess {
    /// A connection to a driver that was just loaded.
    pub fn load() -> Self {
        InThisProcess { registry: Rc::new(Registry::new().unwrap()), file: File::default() }
    }
}

const ARGUMENT: u64 = OwnMemory::BASE;
const BUFFER: u64 = OwnMemory::BASE + (16 << 10);

impl Transport for InThisProcess {
    fn send(&self, request: &Request, argument: &mut Argument, buffers: &mut [&mut [u8]]) -> io::Result<()> {
        OwnMemory::reset((16 << 10) + buffers.iter().map(|buffer| buffer.len()).sum::<usize>(), 0);
        let mut next = BUFFER;
        let mut place = |buffer: &mut &mut [u8]| {
            let address = next;
            next += buffer.len() as u64;
            OwnMemory::write(address, buffer).unwrap();
            (address, buffer.len())
        };
        let places: Vec<_> = buffers.iter_mut().map(&mut place).collect();
        request.put_buffers(argument, &places);
        OwnMemory::write(ARGUMENT, argument.bytes()).unwrap();
        ioctl(&self.registry, &self.file, request.word(), ARGUMENT)
            .map_err(|errno| io::Error::from_raw_os_error(errno.0))?;
        OwnMemory::read(ARGUMENT, argument.bytes_mut()).unwrap();
        buffers.iter_mut().zip(places).for_each(|(buffer, (address, _))| OwnMemory::read(address, buffer).unwrap());
        Ok(())
    }

    fn mapped(&self, address: u64, to: &mut [u8]) -> io::Result<()> {
        OwnMemory::read(address, to).map_err(|errno| io::Error::from_raw_os_error(errno.0))
    }
}

impl Drop for InThisProcess {
    fn drop(&mut self) {
        release(&self.registry, &self.file);
    }
}
