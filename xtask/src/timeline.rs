// SPDX-License-Identifier: GPL-2.0-only
//! When each step of a run began and ended, and which of them bounded the run.

use crate::display::seconds;
use crate::event::{Event, Listener};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Passes events on, and remembers when they came.
pub struct Timeline {
    display: Box<dyn Listener>,
    start: Instant,
    steps: Mutex<Steps>,
}

/// Work on one subject in one stage.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Step {
    subject: String,
    stage: String,
    /// What followed the stage and a colon, if something did.
    detail: String,
    begin: Duration,
    end: Duration,
}

#[derive(Debug, Default)]
struct Steps {
    over: Vec<Step>,
    open: BTreeMap<String, Step>,
}

impl Steps {
    fn end(&mut self, subject: &str, end: Duration) {
        if let Some(step) = self.open.remove(subject) {
            self.over.push(Step { end, ..step });
        }
    }

    fn take(&mut self, event: &Event, now: Duration) {
        match event {
            Event::Note { .. } => {}
            Event::Stage { subject, stage } => {
                self.end(subject, now);
                let (stage, detail) = stage.split_once(": ").unwrap_or((stage, ""));
                let (stage, detail) = (stage.to_string(), detail.to_string());
                let step = Step { subject: subject.clone(), stage, detail, begin: now, end: now };
                self.open.insert(subject.clone(), step);
            }
            Event::Done { subject, .. } => self.end(subject, now),
        }
    }
}

impl Timeline {
    /// A timeline that begins now.
    pub fn new(display: Box<dyn Listener>) -> Self {
        Timeline { display, start: Instant::now(), steps: Mutex::default() }
    }

    /// What was worked on in a stage, in the order in which that ended, each with what was said of it.
    pub fn of_stage(&self, stage: &str) -> Vec<(String, String)> {
        let steps = self.steps.lock().unwrap_or_else(PoisonError::into_inner);
        let of_stage = steps.over.iter().filter(|step| step.stage == stage);
        of_stage.map(|step| (step.subject.clone(), step.detail.clone())).collect()
    }

    /// The path until now.
    pub fn critical_path(&self) -> CriticalPath {
        let steps = self.steps.lock().unwrap_or_else(PoisonError::into_inner);
        CriticalPath::new(&steps.over, self.start.elapsed())
    }
}

impl Listener for Timeline {
    fn event(&self, event: Event) {
        self.steps.lock().unwrap_or_else(PoisonError::into_inner).take(&event, self.start.elapsed());
        self.display.event(event);
    }
}

/// The steps that a run waited for, one after the other, from its end to its beginning: before each comes the step that ended
/// last before it began.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CriticalPath {
    /// How long the run took.
    pub whole: Duration,
    /// Time on the path by stage, the longest first.
    pub stages: Vec<(String, Duration)>,
    /// The longest step: its stage, whose it is, and its time.
    longest: Option<(String, String, Duration)>,
}

impl CriticalPath {
    fn new(steps: &[Step], whole: Duration) -> Self {
        let mut by_end: Vec<&Step> = steps.iter().collect();
        by_end.sort_by_key(|step| step.end);
        let mut path: Vec<&Step> = Vec::new();
        for step in by_end.into_iter().rev() {
            if path.last().is_none_or(|next| step.end <= next.begin) {
                path.push(step);
            }
        }
        let time = |step: &Step| step.end - step.begin;
        let mut stages: BTreeMap<&str, Duration> = BTreeMap::new();
        path.iter().for_each(|step| *stages.entry(&step.stage).or_default() += time(step));
        let mut stages: Vec<(String, Duration)> = stages.into_iter().map(|(name, time)| (name.into(), time)).collect();
        stages.sort_by_key(|(_, time)| std::cmp::Reverse(*time));
        let longest = path.into_iter().max_by_key(|step| time(step));
        let longest = longest.map(|step| (step.stage.clone(), step.subject.clone(), time(step)));
        CriticalPath { whole, stages, longest }
    }
}

/// In one line: what bounded the run.
impl fmt::Display for CriticalPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |time: Duration| seconds(u64::try_from(time.as_millis()).unwrap_or(u64::MAX));
        write!(f, "{}", text(self.whole))?;
        for (index, (stage, time)) in self.stages.iter().enumerate() {
            write!(f, "{} {stage} {}", if index == 0 { ":" } else { "," }, text(*time))?;
        }
        match &self.longest {
            Some((stage, subject, time)) => write!(f, "; the longest step: {stage} of {subject}, {}", text(*time)),
            None => write!(f, ": nothing had to be made"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn stage(steps: &mut Steps, subject: &str, stage: &str, now: u64) {
        steps.take(&Event::Stage { subject: subject.into(), stage: stage.into() }, at(now));
    }

    fn done(steps: &mut Steps, subject: &str, now: u64) {
        let (subject, text) = (subject.into(), String::new());
        steps.take(&Event::Done { subject, ok: true, text, millis: 0 }, at(now));
    }

    #[test]
    fn the_path_is_of_the_steps_that_were_waited_for() {
        let mut steps = Steps::default();
        stage(&mut steps, "a", "download", 0);
        stage(&mut steps, "b", "download", 0);
        stage(&mut steps, "b", "compile: for the first time", 1);
        stage(&mut steps, "a", "compile: glue/hook.c changed", 3);
        done(&mut steps, "b", 6);
        done(&mut steps, "a", 8);
        stage(&mut steps, "packages", "pack", 8);
        done(&mut steps, "packages", 10);
        let path = CriticalPath::new(&steps.over, at(11));
        let expected = "11.0 s: compile 5.0 s, download 3.0 s, pack 2.0 s; the longest step: compile of a, 5.0 s";
        assert_eq!(path.to_string(), expected);
    }

    #[test]
    fn a_run_that_made_nothing_says_so() {
        assert_eq!(CriticalPath::new(&[], at(1)).to_string(), "1.0 s: nothing had to be made");
    }
}
