// SPDX-License-Identifier: GPL-2.0-only
//! Real servers on the loopback address.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// A server that runs until it is dropped.
pub struct Service {
    process: Child,
    /// Where it answers.
    pub address: SocketAddr,
}

impl Drop for Service {
    fn drop(&mut self) {
        // A server that is gone already is as good as one that was stopped.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Service {
    /// Starts the command that is made for a free address, and waits until it answers there: 30 seconds at most.
    pub fn start(command: impl FnOnce(SocketAddr) -> Command) -> Result<Self, String> {
        let address = free_address()?;
        let mut command = command(address);
        let program = command.get_program().to_string_lossy().into_owned();
        let process = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let service = Service { process: process.map_err(|error| format!("{program}: {error}"))?, address };
        for _ in 0..300 {
            if TcpStream::connect(address).is_ok() {
                return Ok(service);
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        Err(format!("{program} does not answer at {address}"))
    }
}

/// An address that nobody listens at.
pub fn free_address() -> Result<SocketAddr, String> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(|error| error.to_string())?;
    listener.local_addr().map_err(|error| error.to_string())
}
