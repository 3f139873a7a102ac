// SPDX-License-Identifier: GPL-2.0-only
//! Replicas: where a disk's changes go to, and how it is known that none is missing.

mod chain;
mod compare;
mod pump;
mod remote;
mod sink;
mod store;
mod target;

pub use chain::{Chain, Progress};
pub use compare::{Side, compare};
pub use pump::{Ended, Event, Listener, Next, Pump};
pub use remote::Remote;
pub use sink::{Durable, Sink, StreamSink, Tag};
pub use store::{Kind, Local, Store};
pub(crate) use target::target_path;
pub use target::{JournalAt, Overwrite, Replica, Source};
