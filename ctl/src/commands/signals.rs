// SPDX-License-Identifier: GPL-2.0-only
//! Signals that say stop.

use crate::error::{Error, Result};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::flag;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Becomes true with the first SIGINT, SIGTERM or SIGHUP; the second one ends the process at once.
pub fn stop() -> Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        // In this order: the signal that sets the flag finds it unset.
        flag::register_conditional_default(signal, stop.clone())
            .and_then(|_| flag::register(signal, stop.clone()))
            .map_err(|error| Error::failed(format!("signal {signal}: {error}")))?;
    }
    Ok(stop)
}

/// Sleeps until it is time, or somebody says stop.
pub fn sleep(stop: &AtomicBool, time: Duration) {
    let start = Instant::now();
    while start.elapsed() < time && !stop.load(Ordering::Relaxed) {
        thread::sleep(Duration::from_millis(50).min(time.saturating_sub(start.elapsed())));
    }
}
