// SPDX-License-Identifier: GPL-2.0-only
//! Replicas: where a disk's changes go to, and how it is known that none is missing.

mod chain;
mod file;
mod pump;
mod sink;

pub use chain::{Chain, Progress};
pub use file::{Overwrite, Replica};
pub use pump::{Ended, Event, Listener, Pump};
pub use sink::{Durable, Sink, StreamSink, Tag};
