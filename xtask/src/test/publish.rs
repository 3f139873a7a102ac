// SPDX-License-Identifier: GPL-2.0-only
//! `cargo xtask publish` to each kind of place, with real apt, zypper and dnf that hold an older index, and killed at every
//! step.

mod clients;
mod fixture;
mod places;

use super::{Context, Tally};
use crate::parallel;
use crate::sign::{KeyOptions, Keys};
use crate::store::remove;
use clients::Clients;
use fixture::Fixture;
use places::Site;
use std::path::Path;

/// Each generation has the demonstration package in a version of this number.
const GENERATIONS: [u32; 4] = [1, 2, 3, 4];

/// Runs the stage: about 60 s.
pub fn run(context: &Context<'_>, tally: &mut Tally) {
    let again = context.again("publish");
    let work = std::env::temp_dir().join(format!("involflt-test-publish-{}", std::process::id()));
    let fixture = remove(&work).map_err(text).and_then(|()| fixture(context, &work));
    match fixture {
        Err(error) => tally.check("repositories to publish", Err(error), &again),
        Ok(fixture) => {
            type Start = fn(&Context<'_>, &Path) -> Result<Site, String>;
            let sites: [(&str, Start); 4] = [
                ("publish to a directory", |_, work| places::directory(work)),
                ("publish to an rsync daemon", |_, work| places::rsync(work)),
                ("publish over ssh", |_, work| places::ssh(work)),
                ("publish to S3 (moto stands in)", places::s3),
            ];
            // Most of it is waiting.
            let outcomes = parallel::map(&sites, sites.len(), |(_, start)| {
                start(context, &work).and_then(|site| published(context, &site, &fixture))
            });
            for ((name, _), outcome) in sites.iter().zip(outcomes) {
                tally.check(name, outcome, &again);
            }
        }
    }
    tally.check("publish: scratch", remove(&work).map(|()| "nothing is left".into()).map_err(text), &again);
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

fn fixture(context: &Context<'_>, work: &Path) -> Result<Fixture, String> {
    let key = Keys::open(&KeyOptions::default(), context.listener).map_err(text)?.archive;
    let fixture = Fixture::new(work, key)?;
    GENERATIONS.iter().try_for_each(|&number| fixture.make(number, context.store))?;
    Ok(fixture)
}

/// Clients of the first generation install it when the second one is there in parts, and when it is there; then they look, and
/// have the second. The first one goes when it is old.
fn published(context: &Context<'_>, site: &Site, fixture: &Fixture) -> Result<String, String> {
    let dry = site.publish(fixture, 1, &["--dry-run"])?;
    if dry["dry_run"] != true || !site.is_empty()? {
        return Err(format!("a dry run: {dry}"));
    }
    site.publish(fixture, 1, &[])?;
    let clients = Clients::new(context, &site.name, &site.url, fixture)?;
    clients.refresh()?;
    let kills = site.killed_everywhere(fixture, &clients)?;
    clients.install_again("1")?;
    clients.refresh()?;
    clients.upgrade("2")?;
    if !site.publish(fixture, 2, &[])?["generation"].is_null() {
        return Err("what is published was published again".into());
    }
    for number in [3, 4] {
        site.publish(fixture, number, &["--keep=2"])?;
    }
    site.has_only(fixture, &[3, 4])?;
    clients.refresh()?;
    clients.upgrade("4")?;
    Ok(format!("killed at {kills} steps; apt, zypper and dnf found every file of what they knew"))
}
