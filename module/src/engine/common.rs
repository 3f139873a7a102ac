// SPDX-License-Identifier: GPL-2.0-only
//! What all disks share: the clock, and the limits of what is kept in memory. Atomics only.

use crate::engine::Clock;
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

/// Whether the agent's service is there. Numbers as in the ABI.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Service {
    /// It has not been seen since the driver was loaded.
    NotStarted = 1,
    /// It is there.
    Running = 2,
    /// It was there, and is gone.
    Shutdown = 3,
}

/// How much is kept in memory, each a tunable of the ABI: first how many extents of one disk may wait.
#[derive(Debug)]
pub struct Limits {
    /// Before the service has come: `DirtyBlockHighWaterMarkServiceNotStarted`.
    pub high_not_started: AtomicU64,
    /// While it is there: `DirtyBlockHighWaterMarkServiceRunning`.
    pub high_running: AtomicU64,
    /// After it has gone: `DirtyBlockHighWaterMarkServiceShutdown`.
    pub high_shutdown: AtomicU64,
    /// Below it dirty bits are delivered, and extents noted again: `DirtyBlockLowWaterMarkServiceRunning`.
    pub low: AtomicU64,
    /// Not 0: data is captured, where the disk says so too: `VolumeDataFiltering`.
    pub data: AtomicU64,
    /// Whether a disk says so at first: `VolumeDataFilteringForNewVolumes`.
    pub data_for_new: AtomicU64,
    /// Longest stream of one block in MiB, 1 to 64: `MaxDataSizeForDataModeDirtyBlock`.
    pub stream: AtomicU64,
}

/// What all disks share.
#[derive(Debug)]
pub struct Common {
    /// Stamps of all disks.
    pub clock: Clock,
    /// The limits.
    pub limits: Limits,
    /// 0: the machine stopped while the agent's service ran, and was not asked to. The ABI's `CleanShutdown`.
    pub clean_shutdown: AtomicU64,
    before_root: AtomicBool,
    service: AtomicU32,
    /// Files that are the agent's service.
    services: AtomicU32,
}

impl Common {
    /// No stamp given, the ABI's default limits, no service.
    pub const fn new() -> Self {
        let limits = Limits {
            high_not_started: AtomicU64::new(8192),
            high_running: AtomicU64::new(65536),
            high_shutdown: AtomicU64::new(2048),
            low: AtomicU64::new(16384),
            data: AtomicU64::new(1),
            data_for_new: AtomicU64::new(1),
            stream: AtomicU64::new(4),
        };
        Common {
            clock: Clock::new(),
            limits,
            clean_shutdown: AtomicU64::new(1),
            before_root: AtomicBool::new(false),
            service: AtomicU32::new(Service::NotStarted as u32),
            services: AtomicU32::new(0),
        }
    }

    /// Whether the root file system is not there yet: nothing is read from files or written to any.
    pub fn is_before_root(&self) -> bool {
        self.before_root.load(Ordering::Relaxed)
    }

    /// The driver is loaded before the root file system is there.
    pub fn begin_before_root(&self) {
        self.before_root.store(true, Ordering::Relaxed);
    }

    /// The root file system is there. Whether it was not before.
    pub fn end_before_root(&self) -> bool {
        self.before_root.swap(false, Ordering::Relaxed)
    }

    /// Whether the agent's service is there.
    pub fn service(&self) -> Service {
        match self.service.load(Ordering::Relaxed) {
            2 => Service::Running,
            3 => Service::Shutdown,
            _ => Service::NotStarted,
        }
    }

    /// The agent's service has come or gone.
    pub fn set_service(&self, service: Service) {
        self.service.store(service as u32, Ordering::Relaxed);
    }

    /// A file has become the agent's service.
    pub fn service_comes(&self) {
        self.services.fetch_add(1, Ordering::Relaxed);
        self.set_service(Service::Running);
    }

    /// Such a file is closed; whether it was the last one.
    pub fn service_goes(&self) -> bool {
        let last = self.services.fetch_sub(1, Ordering::Relaxed) == 1;
        if last {
            self.set_service(Service::Shutdown);
        }
        last
    }

    /// A disk with this many extents waiting notes only dirty bits. 0: no disk notes extents.
    pub fn high_water(&self) -> u64 {
        let limit = match self.service() {
            Service::NotStarted => &self.limits.high_not_started,
            Service::Running => &self.limits.high_running,
            Service::Shutdown => &self.limits.high_shutdown,
        };
        limit.load(Ordering::Relaxed)
    }

    /// Whether data is captured: an agent's service is there to take it, and nobody has forbidden it.
    pub fn captures_data(&self) -> bool {
        self.service() == Service::Running && self.limits.data.load(Ordering::Relaxed) != 0
    }

    /// Longest stream of one block, in bytes.
    pub fn longest_stream(&self) -> u64 {
        self.limits.stream.load(Ordering::Relaxed).clamp(1, 64) << 20
    }

    /// A disk with fewer extents waiting notes extents again: well below the other limit, so that it does not go back and
    /// forth.
    pub fn low_water(&self) -> u64 {
        self.limits.low.load(Ordering::Relaxed).min(self.high_water() / 2)
    }
}

impl Default for Common {
    fn default() -> Self {
        Self::new()
    }
}
