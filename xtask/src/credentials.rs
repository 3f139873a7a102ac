// SPDX-License-Identifier: GPL-2.0-only
//! What archives that are not public want to be shown.

/// What one server is shown. It has no `Debug`: a secret must not come into a log by accident.
#[derive(Clone, Default)]
pub struct Access(Vec<(&'static str, String)>);

impl Access {
    /// Nothing: the server is public.
    pub fn public() -> Self {
        Access::default()
    }

    /// Options of curl and their values.
    pub fn options(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.0.iter().map(|(option, value)| (*option, value.as_str()))
    }
}
