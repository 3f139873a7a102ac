// SPDX-License-Identifier: GPL-2.0-only
//! What may be wrong with the driver on this machine, and what to do about it.
//!
//! [`facts`] are gathered first, without judgement; [`checks`] judge them, without looking at the machine.

mod certificate;
pub mod checks;
pub mod facts;
pub mod module_file;
mod system;

use serde::Serialize;

/// How a check came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// As it should be.
    Ok,
    /// Worth knowing; nothing is broken.
    Note,
    /// Something does not work.
    Wrong,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What was looked at.
    pub name: &'static str,
    /// How it came out.
    pub verdict: Verdict,
    /// What was found, in one line.
    pub found: String,
    /// What to do, in one line.
    pub cure: Option<String>,
}
