// SPDX-License-Identifier: GPL-2.0-only
//! Colour, only where a person will see it as colour.

use std::io::IsTerminal;

/// Whether text may carry colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Style {
    colour: bool,
}

impl Style {
    /// Text without colour.
    #[cfg(test)]
    pub const PLAIN: Style = Style { colour: false };

    /// Colour on a terminal, unless `NO_COLOR` is set to anything (<https://no-color.org>) or the terminal is dumb.
    pub fn detect(output: &impl IsTerminal) -> Self {
        let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        Style { colour: output.is_terminal() && !refused && !dumb }
    }

    /// Marks text as good news.
    pub fn good(self, text: &str) -> String {
        self.paint("32", text)
    }

    /// Marks text as bad news.
    pub fn bad(self, text: &str) -> String {
        self.paint("31;1", text)
    }

    /// Marks text as of less weight.
    pub fn dim(self, text: &str) -> String {
        self.paint("2", text)
    }

    fn paint(self, code: &str, text: &str) -> String {
        if self.colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}
