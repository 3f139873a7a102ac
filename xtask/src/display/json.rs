// SPDX-License-Identifier: GPL-2.0-only
//! One JSON object a line for each event: for programs.

use crate::event::{Event, Listener};
use std::io::Write;
use std::sync::Mutex;

/// Writes JSON lines, whole ones even when several threads report at once.
pub struct Json<W> {
    output: Mutex<W>,
}

impl<W: Write> Json<W> {
    /// Lines go to `output`.
    pub fn new(output: W) -> Self {
        Json { output: Mutex::new(output) }
    }
}

impl<W: Write + Send> Listener for Json<W> {
    fn event(&self, event: Event) {
        let (Ok(line), Ok(mut output)) = (serde_json::to_string(&event), self.output.lock()) else { return };
        // A closed pipe must not stop the work that is being told about.
        let _ = writeln!(output, "{line}").and_then(|()| output.flush());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_event_is_one_line_of_json() {
        let json = Json::new(Vec::new());
        json.event(Event::Note { subject: "k".into(), text: "two\nlines".into() });
        json.event(Event::Done { subject: "k".into(), ok: true, text: "built".into(), millis: 7 });
        let text = String::from_utf8(json.output.into_inner().unwrap()).unwrap();
        let lines: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines.len(), 2);
        assert_eq!(lines[0]["text"], "two\nlines");
        assert_eq!(lines[1], serde_json::json!({"event":"done","subject":"k","ok":true,"text":"built","millis":7}));
    }
}
