// SPDX-License-Identifier: GPL-2.0-only
//! Change tracking: pure, safe Rust. No kernel, no I/O, no globals.

mod bitmap;
mod capture;
mod churn;
mod clock;
mod common;
mod counters;
mod data;
mod drain;
mod latency;
mod news;
pub mod nvme;
pub mod passthrough;
mod point;
mod pool;
mod queue;
mod registry;
mod resync;
pub mod scsi;
mod session;
mod svd;
mod tag;
mod timeouts;
mod times;
mod tracker;
mod waits;

pub use bitmap::{Bitmap, Run};
pub use capture::{Capture, Next, State};
pub use churn::{Churn, ChurnLimits, DiskSeen, Jump, Row, LOOK};
pub use clock::{Clock, Stamp};
pub use common::{Common, Limits, Service};
pub use counters::{Counters, Op};
pub use data::{DataBlock, DataNode, Split};
pub use drain::{Block, Changes, Drain, Previous, Stream};
pub use latency::{Latencies, Latency, BUCKETS};
pub use point::{Expired, Frozen, FrozenVolume, Point, MAX_FROZEN};
pub use pool::{Chunks, Pool, Share, MIN_POOL_BYTES, PROMISED_BYTES};
pub use queue::{Full, Oldest, Queue};
pub use registry::{Disk, Filtered, Name, Registry, MAX_DISKS};
pub use resync::{Hole, Resync, ResyncReport};
pub use session::{Moment, Network, Seen, Session, Supported, CHURN_BUCKETS, THRESHOLD};
pub use tag::{Fate, Records, Tag, TagId, TagSet, Tags, MAX_ID, MAX_RECORDS, MAX_TAGS};
pub use timeouts::Timeouts;
pub use times::{DiskTimes, Time, Times};
pub use tracker::Tracker;
pub use waits::Waits;
