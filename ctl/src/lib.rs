// SPDX-License-Identifier: GPL-2.0-only
//! The involflt driver from user space: what `involfltctl` is made of.
//!
//! ```no_run
//! use involfltctl::{disk::Disk, driver::Driver};
//!
//! let driver = Driver::open()?;
//! driver.start(&Disk::find("/dev/sdb")?)?;
//! for name in driver.protected()? {
//!     println!("{name}: {} bytes changed", driver.statistics(&name)?.pending_bytes);
//! }
//! # Ok::<(), involfltctl::error::Error>(())
//! ```
//!
//! [`agent`] drains a disk: the example `churn` is an agent made of it. [`replica`] brings the changes to where they are kept.

pub mod agent;
pub mod blocks;
pub mod cli;
pub mod commands;
pub mod config;
pub mod disk;
pub mod doctor;
pub mod driver;
pub mod error;
pub mod journal;
pub mod nbd;
pub mod output;
pub mod point;
pub mod position;
pub mod ranges;
pub mod replica;
pub mod request;
pub mod statistics;
pub mod stream;
pub mod svd;
pub mod time;
