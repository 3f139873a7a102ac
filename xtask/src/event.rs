// SPDX-License-Identifier: GPL-2.0-only
//! What the farm tells its display: one event type, three ways to show it.

use serde::Serialize;

/// A step in the life of one kernel (or of one shared thing, such as a build root).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event {
    /// Work on `subject` has entered `stage` (`fetch`, `root`, `kdir`, `compile`, `check`, `boot`…).
    Stage {
        /// Kernel id, or the name of a shared thing.
        subject: String,
        /// What is being done now.
        stage: String,
    },
    /// A line worth reading that changes no state.
    Note {
        /// Kernel id, or the name of a shared thing.
        subject: String,
        /// The text, one line.
        text: String,
    },
    /// Work on `subject` is over.
    Done {
        /// Kernel id, or the name of a shared thing.
        subject: String,
        /// Whether it went well.
        ok: bool,
        /// One line: what came out, or the first error.
        text: String,
        /// Wall-clock time, in milliseconds.
        millis: u64,
    },
}

/// Receives events; library code never prints.
pub trait Listener: Sync {
    /// Takes one event, from any thread.
    fn event(&self, event: Event);
}
