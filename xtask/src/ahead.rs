// SPDX-License-Identifier: GPL-2.0-only
//! What is begun before it is wanted, so that it is not waited for.

use crate::build::Farm;
use crate::core_object::Telemetry;
use crate::event::{Event, Listener};
use crate::kdir;
use crate::lock::LockedKernel;
use crate::package::Tools;
use crate::plan::millis;
use crate::store::Store;
use std::cell::Cell;
use std::time::Instant;

/// The Rust object with telemetry, which the source packages have: one processor makes it, while another makes the one without.
/// What fails here fails again where it is wanted, and is told there.
pub fn rust_object(kernels: &[LockedKernel], farm: &Farm<'_>, listener: &dyn Listener) {
    let (subject, start) = ("involflt-dkms", Instant::now());
    let made = Cell::new(false);
    let stage = |stage: &str| {
        made.set(true);
        listener.event(Event::Stage { subject: subject.into(), stage: stage.into() });
    };
    let is_there = kernels.first().is_some_and(|any| farm.core_object(any, Telemetry::Yes, &stage).is_ok());
    if is_there && made.get() {
        let (subject, text) = (subject.into(), "the Rust object is made".into());
        listener.event(Event::Done { subject, ok: true, text, millis: millis(start) });
    }
}

/// The programs that pack, while archives and build roots are waited for. What fails here fails again where it is wanted, and is
/// told there.
pub fn tools(store: &Store, listener: &dyn Listener) {
    let (subject, start) = ("tools", Instant::now());
    let made = Cell::new(false);
    let stage = |stage: &str| {
        made.set(true);
        listener.event(Event::Stage { subject: subject.into(), stage: stage.into() });
    };
    if Tools::get(store, false, &stage).is_ok() && made.get() {
        let (subject, text) = (subject.into(), "the programs that pack are made".into());
        listener.event(Event::Done { subject, ok: true, text, millis: millis(start) });
    }
}

/// What the listener knows the work on headers as.
const SUBJECT: &str = "headers";

/// Gets the headers of the kernels, in their order: archives are waited for while processors build. What fails here fails again
/// where it is wanted, and is told there.
pub fn headers<'a>(kernels: impl Iterator<Item = &'a LockedKernel>, store: &Store, listener: &dyn Listener) {
    let (start, mut got) = (Instant::now(), 0);
    for kernel in kernels {
        let made = Cell::new(false);
        let stage = |stage: &str| {
            made.set(true);
            listener.event(Event::Stage { subject: SUBJECT.into(), stage: format!("{stage}: {}", kernel.id()) });
        };
        let is_there = kdir::headers(kernel, store, false, &stage).is_ok();
        got += usize::from(is_there && made.get());
    }
    if got > 0 {
        let text = format!("{got} unpacked");
        listener.event(Event::Done { subject: SUBJECT.into(), ok: true, text, millis: millis(start) });
    }
}
