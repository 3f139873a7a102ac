// SPDX-License-Identifier: GPL-2.0-only
//! From the selectors of `kernels.yaml` to exact kernels: through the archives' indices, or out of `kernels.lock`.

pub mod agreement;
mod apt;
mod candidate;
mod changes;
mod command;
pub mod facts;
mod index;
mod listing;
pub mod lockfile;
mod pick;
mod rpm_archive;
pub mod rpm_md;
pub mod survey;
mod version;

#[cfg(test)]
mod tests;

pub use changes::Changes;
pub use command::Resolve;
pub use listing::Matrix;
pub use version::compare as compare_versions;

use crate::error::{Error, Kind, Result};
use crate::event::{Event, Listener};
use crate::kernels::{DEFAULT_GROUP, DISTROS, Distro, Kernels};
use crate::lock::{LockedKernel, LockedPackage, Platform};
use crate::result::LeftOut;
use crate::select::{Expression, Subject};
use crate::store::Store;
use crate::work_tree;
use apt::{Archives, Wanted};
use candidate::{Candidate, Incomplete};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use survey::{Available, Survey, Unread};

/// Options of every command that works on a choice of kernels.
#[derive(Debug, Clone, clap::Args)]
pub struct MatrixArgs {
    /// Kernels to take, such as `debian:bookworm`, `cloud-amd64 6.1.*` or `group:debian-all !rt-amd64`; terms of one
    /// expression must all hold, several --select add up [default: group:default]
    #[arg(long, value_name = "EXPR")]
    pub select: Vec<String>,
    /// Take the kernels of kernels.lock as they are, without asking the archives
    #[arg(long)]
    pub locked: bool,
    /// Touch no network: work from the store
    #[arg(long)]
    pub offline: bool,
    /// Where packages, build roots and indices are kept [default: $XDG_CACHE_HOME/involflt or ~/.cache/involflt]
    #[arg(long, value_name = "DIR")]
    pub store: Option<PathBuf>,
    /// The selectors [default: kernels.yaml of the work tree]
    #[arg(long, value_name = "FILE")]
    pub kernels: Option<PathBuf>,
    /// The lock file [default: kernels.lock beside the selectors]
    #[arg(long, value_name = "FILE")]
    pub lock: Option<PathBuf>,
}

/// Writes what was built to `dir`, so that the same can be built again: `--locked --lock DIR/kernels.lock`.
pub fn record(kernels: &[LockedKernel], dir: &Path) -> Result<()> {
    lockfile::write(&dir.join("kernels.lock"), &lockfile::render(kernels.to_vec())).map(|_| ())
}

impl MatrixArgs {
    /// Where the selectors are.
    pub fn kernels_path(&self) -> PathBuf {
        self.kernels.clone().unwrap_or_else(|| work_tree::relative().join("kernels.yaml"))
    }

    /// Where the lock file is.
    pub fn lock_path(&self) -> PathBuf {
        self.lock.clone().unwrap_or_else(|| self.kernels_path().with_file_name("kernels.lock"))
    }

    fn expressions(&self, kernels: &Kernels) -> Result<Vec<Expression>> {
        let parsed = self.select.iter().map(|text| Expression::parse(text)).collect::<Result<Vec<_>>>()?;
        for expression in &parsed {
            if let Some(unknown) = expression.groups().into_iter().find(|group| kernels.group(group).is_none()) {
                let groups: Vec<&str> = kernels.groups().collect();
                let error = Error::input(format!("--select `{expression}`: there is no group `{unknown}`"));
                return Err(error.note(format!("groups of kernels.yaml: {}", groups.join(", "))));
            }
        }
        Ok(parsed)
    }
}

/// A kernel that was asked for and cannot be had, or a whole suite of which nothing is known.
#[derive(Debug)]
pub struct Refused {
    /// As [`LockedKernel::id`] would be; of a suite, as `--select` has it: `sles:15-sp5`.
    pub id: String,
    /// Why not.
    pub error: Error,
}

impl Refused {
    /// As the report of a run has it.
    pub fn left_out(&self) -> LeftOut {
        LeftOut { id: self.id.clone(), error: self.error.message.clone() }
    }
}

/// What the selectors came to.
#[derive(Debug, Default)]
pub struct Resolution {
    /// The kernels, in the order of the lock file.
    pub kernels: Vec<LockedKernel>,
    /// Those that failed; the others are good.
    pub refused: Vec<Refused>,
}

/// The kernels that `args` ask for: of the lock file with `--locked`, else as the archives have them now. Those that
/// cannot be resolved are told to the listener as failed, and left out.
///
/// The lock file is only read; writing it is `cargo xtask resolve`.
pub fn matrix(args: &MatrixArgs, store: &Store, listener: &dyn Listener) -> Result<Vec<LockedKernel>> {
    let Resolution { kernels, refused } = resolution(args, store, listener)?;
    for Refused { id, error } in refused {
        listener.event(Event::Done { subject: id, ok: false, text: error.message, millis: 0 });
    }
    Ok(kernels)
}

/// As [`matrix`], with the kernels that cannot be resolved returned and not told.
pub fn resolution(args: &MatrixArgs, store: &Store, listener: &dyn Listener) -> Result<Resolution> {
    let kernels = Kernels::read(&args.kernels_path())?;
    let expressions = args.expressions(&kernels)?;
    if args.locked {
        let kernels = locked(&kernels, &expressions, &args.lock_path())?;
        Ok(Resolution { kernels, refused: Vec::new() })
    } else {
        resolve(&kernels, &expressions, store, args.offline, listener)
    }
}

/// An error where something could not be resolved: of exit code 69 where an archive could not be read, else of 1.
pub fn verdict(refused: &[Refused]) -> Result<()> {
    let Some(worst) = refused.iter().find(|one| one.error.kind != Kind::Kernel).or(refused.first()) else {
        return Ok(());
    };
    let mut text = String::from("not resolved, and left out:");
    text.extend(refused.iter().map(|Refused { id, error }| format!("\n  {id}: {}", error.message)));
    let mut notes: Vec<&String> = refused.iter().flat_map(|one| &one.error.notes).collect();
    notes.sort();
    notes.dedup();
    let error = Error { kind: worst.error.kind, message: text, notes: notes.into_iter().cloned().collect() };
    Err(error.note("to do without: --select 'group:NAME !KERNEL' or '!DISTRO:SUITE', or another kernels.yaml"))
}

fn locked(kernels: &Kernels, expressions: &[Expression], path: &Path) -> Result<Vec<LockedKernel>> {
    let lock = lockfile::read(path)?;
    let views: Vec<pick::Kernel> = lock.kernels.iter().map(locked_view).collect();
    let members = members(kernels, expressions.iter().flat_map(Expression::groups), &views);
    let chosen = choose(expressions, &views, &members, |_| true)?;
    Ok(chosen.into_iter().map(|index| lock.kernels[index].clone()).collect())
}

/// The pool's layout names the source package: `pool/main/l/linux-6.12/linux-headers-…`.
fn locked_view(kernel: &LockedKernel) -> pick::Kernel<'_> {
    let headers = kernel.packages.first();
    let source_name = headers.and_then(|package| package.path.rsplit('/').nth(1)).unwrap_or("linux");
    pick::Kernel {
        subject: Subject::from(kernel),
        version: headers.map_or("", |package| package.version.as_str()),
        source_name,
    }
}

type Members<'a> = BTreeMap<&'a str, BTreeSet<usize>>;

fn members<'a>(kernels: &Kernels, groups: impl Iterator<Item = &'a str>, views: &[pick::Kernel]) -> Members<'a> {
    let of = |group: &str| {
        kernels.group(group).unwrap_or_default().iter().flat_map(|selector| pick::pick(selector, views)).collect()
    };
    groups.map(|group| (group, of(group))).collect()
}

/// The kernels that any expression takes, in their order; `bounded` tells whether an expression may take one at all.
fn choose(
    expressions: &[Expression],
    views: &[pick::Kernel],
    members: &Members,
    bounded: impl Fn((Option<&Expression>, usize)) -> bool,
) -> Result<BTreeSet<usize>> {
    if expressions.is_empty() {
        return Ok((0..views.len()).filter(|index| bounded((None, *index))).collect());
    }
    let mut chosen = BTreeSet::new();
    for expression in expressions {
        let matches = |index: &usize| {
            let in_group = |group: &str| members.get(group).is_some_and(|members| members.contains(index));
            expression.matches(&views[*index].subject, in_group)
        };
        let (inside, outside): (Vec<usize>, Vec<usize>) =
            (0..views.len()).filter(matches).partition(|index| bounded((Some(expression), *index)));
        if inside.is_empty() {
            return Err(nothing(expression, views, &outside));
        }
        chosen.extend(inside);
    }
    Ok(chosen)
}

fn nothing(expression: &Expression, views: &[pick::Kernel], outside: &[usize]) -> Error {
    let names = views.iter().flat_map(|view| {
        let Subject { distro, release, suite, arch, flavour, kernel, .. } = view.subject;
        [distro, release, suite, arch, flavour, kernel].map(String::from)
    });
    let error = expression.nothing(&names.collect());
    let Some(example) = outside.first().map(|index| views[*index].subject.kernel) else {
        let all = |of: fn(&Subject) -> String| views.iter().map(|view| of(&view.subject)).collect::<BTreeSet<_>>();
        let list = |names: BTreeSet<String>| names.into_iter().collect::<Vec<_>>().join(", ");
        let suites = list(all(|subject| format!("{}:{}", subject.distro, subject.suite)));
        let flavours = list(all(|subject| subject.flavour.to_owned()));
        return error.note(format!("suites here: {suites}; flavours: {flavours}"));
    };
    let bounds = expression.bounds().join(", ");
    error.note(format!(
        "group {bounds} leaves out what matches ({}, such as {example}): name a group that has it, as in `{expression} group:NAME`",
        outside.len()
    ))
}

fn resolve(
    kernels: &Kernels,
    expressions: &[Expression],
    store: &Store,
    offline: bool,
    listener: &dyn Listener,
) -> Result<Resolution> {
    let mut groups: BTreeSet<&str> =
        expressions.iter().flat_map(|e| e.bounds().into_iter().chain(e.groups())).collect();
    if expressions.is_empty() {
        groups.insert(DEFAULT_GROUP);
    }
    let concerns = |distro: &'static Distro, suite: &str| {
        let release = distro.release_of(suite).expect("was checked when the file was read");
        expressions.is_empty() || expressions.iter().any(|expression| expression.may_concern(distro, release))
    };
    let Survey { complete: available, incomplete, unread } =
        survey::survey(kernels, &groups, &concerns, &survey::Source { store, offline, listener })?;
    let views: Vec<pick::Kernel> = available.iter().map(Available::view).collect();
    tell_incomplete(kernels, &groups, &views, &incomplete, listener);
    let known = |distro: &'static Distro, suite: &str| {
        concerns(distro, suite) && !unread.iter().any(|one| one.has(distro, suite))
    };
    check_selectors(kernels, &groups, &views, &known)?;
    let members = members(kernels, groups.iter().copied(), &views);
    let default = [DEFAULT_GROUP];
    let chosen = choose(expressions, &views, &members, |(expression, index)| {
        let bounds = expression.map_or(default.to_vec(), Expression::bounds);
        bounds.iter().all(|group| members[group].contains(&index))
    });
    // Where nothing matches, that is because of what could not be read.
    let chosen = match chosen {
        Err(_) if !unread.is_empty() => BTreeSet::new(),
        chosen => chosen?,
    };
    let chosen: Vec<&Available<Candidate>> = chosen.into_iter().map(|index| &available[index]).collect();
    let mut resolved = look_into(&chosen, kernels, store, offline, listener)?;
    resolved.refused.extend(unread.into_iter().map(Unread::refused));
    resolved.refused.sort_by(|a, b| a.id.cmp(&b.id));
    lockfile::sort(&mut resolved.kernels);
    if resolved.kernels.is_empty() && resolved.refused.iter().any(|one| one.error.kind == Kind::Infra) {
        verdict(&resolved.refused)?;
    }
    narrow_by_platform(expressions, resolved, |expression, kernel| {
        let is = |one: &Available<Candidate>| one.candidate.kernel == kernel.kernel && one.release == kernel.release;
        let index = available.iter().position(is);
        let in_group = |group: &str| index.is_some_and(|index| members.get(group).is_some_and(|m| m.contains(&index)));
        expression.matches(&Subject::from(kernel), in_group)
    })
}

/// Terms on the platform can only be told once the `.config` was read.
fn narrow_by_platform(
    expressions: &[Expression],
    mut resolution: Resolution,
    matches: impl Fn(&Expression, &LockedKernel) -> bool,
) -> Result<Resolution> {
    let any = |expression: &Expression| resolution.kernels.iter().any(|kernel| matches(expression, kernel));
    if let Some(empty) = expressions.iter().find(|expression| resolution.refused.is_empty() && !any(expression)) {
        return Err(empty.nothing(&BTreeSet::new()).note("what there is: cargo xtask matrix"));
    }
    resolution.kernels.retain(|kernel| expressions.is_empty() || expressions.iter().any(|e| matches(e, kernel)));
    Ok(resolution)
}

/// A selector that means nothing at all is a mistake in `kernels.yaml`, if all of its suites are `known`.
fn check_selectors(
    kernels: &Kernels,
    groups: &BTreeSet<&str>,
    views: &[pick::Kernel],
    known: &dyn Fn(&'static Distro, &str) -> bool,
) -> Result<()> {
    for group in groups {
        for (index, selector) in kernels.group(group).unwrap_or_default().iter().enumerate() {
            let all_known = selector.expanded().iter().flatten().all(|suite| known(selector.distro(), suite));
            if all_known && pick::pick(selector, views).is_empty() {
                let there: BTreeSet<&str> = views.iter().map(|view| view.subject.flavour).collect();
                let there: Vec<&str> = there.into_iter().collect();
                let expected = format!("at least one kernel; flavours in these suites: {}", there.join(", "));
                return Err(kernels.selector_error(group, index, "this selects no kernel", &expected));
            }
        }
    }
    Ok(())
}

/// Names the kernels that would have been taken, were they complete.
fn tell_incomplete(
    kernels: &Kernels,
    groups: &BTreeSet<&str>,
    complete: &[pick::Kernel],
    incomplete: &[Available<Incomplete>],
    listener: &dyn Listener,
) {
    let mut all = complete.to_vec();
    all.extend(incomplete.iter().map(Available::view));
    let wanted: BTreeSet<usize> = members(kernels, groups.iter().copied(), &all).into_values().flatten().collect();
    for index in wanted.into_iter().filter_map(|index| index.checked_sub(complete.len())) {
        let Available { distro, candidate, .. } = &incomplete[index];
        let Incomplete { kernel, version, suite, missing, .. } = candidate;
        let text = format!("{kernel} {version} in {suite} is left out: its {missing} is not in the archive");
        listener.event(Event::Note { subject: (*distro).into(), text });
    }
}

/// Reads what only the packages themselves tell, a few at a time.
fn look_into(
    chosen: &[&Available<Candidate>],
    kernels: &Kernels,
    store: &Store,
    offline: bool,
    listener: &dyn Listener,
) -> Result<Resolution> {
    const AT_ONCE: usize = 4;
    let queue = Mutex::new(chosen.iter());
    let resolution = Mutex::new(Ok(Resolution::default()));
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE.min(chosen.len()) {
            scope.spawn(|| {
                while let Some(one) = { queue.lock().expect("no holder panics").next() } {
                    let outcome = look_at(one, kernels, store, offline, listener);
                    let stop = add(&mut resolution.lock().expect("no holder panics"), one, outcome);
                    if stop {
                        return;
                    }
                }
            });
        }
    });
    resolution.into_inner().expect("no holder panics")
}

fn look_at(
    one: &Available<Candidate>,
    kernels: &Kernels,
    store: &Store,
    offline: bool,
    listener: &dyn Listener,
) -> Result<LockedKernel> {
    let distro = Distro::find(one.distro).expect("is in the table");
    let settings = kernels.archive(one.distro);
    let signers = distro.signers(settings.keyring.as_deref());
    let facts = facts::read(&one.candidate, distro.layout(), signers, store, offline)?;
    let mut locked = lock(one, facts.clone(), listener);
    if distro.layout().is_some() {
        agreement::check(one.distro, &one.candidate, &facts)?;
        locked.keyring = settings.keyring;
    }
    locked.build_root = settings.build_root;
    Ok(locked)
}

/// Adds one outcome; a mistake of the user's fails everything, and `true` says so.
fn add(all: &mut Result<Resolution>, one: &Available<Candidate>, outcome: Result<LockedKernel>) -> bool {
    match (all, outcome) {
        (Ok(resolution), Ok(kernel)) => resolution.kernels.push(kernel),
        (Ok(resolution), Err(error)) if error.kind != Kind::Input => {
            let id = format!("{}-{}-{}", one.distro, one.release, one.candidate.kernel);
            resolution.refused.push(Refused { id, error });
        }
        (all @ Ok(_), Err(error)) => *all = Err(error),
        (Err(_), _) => return true,
    }
    false
}

fn lock(one: &Available<Candidate>, facts: facts::Facts, listener: &dyn Listener) -> LockedKernel {
    let candidate = &one.candidate;
    let mut locked = LockedKernel {
        distro: one.distro.into(),
        release: one.release.into(),
        suite: candidate.suite.clone(),
        arch: one.arch.clone(),
        flavour: candidate.flavour.clone(),
        kernel: candidate.kernel.clone(),
        archive: candidate.archive.clone(),
        build_root: None,
        keyring: None,
        service_pack: facts.suse.map(|suse| suse.service_pack),
        compiler: facts.compiler,
        compiler_version: facts.compiler_version,
        rustc: facts.rustc,
        modversions: facts.modversions,
        platform: Platform::Cglue,
        packages: candidate.packages.clone(),
    };
    match (&locked.rustc, &candidate.source) {
        (None, _) => {}
        (Some(_), Some(source)) => {
            locked.platform = Platform::Rfl;
            locked.packages.push(source.clone());
        }
        (Some(_), None) => listener.event(Event::Note {
            subject: locked.id(),
            text: format!(
                "has CONFIG_RUST, but its source package of version {} is not in the archive: platform cglue",
                candidate.version
            ),
        }),
    }
    locked
}

/// For each of `kernels`, whether its archive no longer has one of its packages.
///
/// Asks the archives (with `--offline` the indices that were read last; a suite that was never read tells nothing).
pub fn gone(kernels: &[LockedKernel], args: &MatrixArgs, store: &Store, listener: &dyn Listener) -> Result<Vec<bool>> {
    let settings = Kernels::read(&args.kernels_path())?;
    let mut read: BTreeSet<(&str, String)> = BTreeSet::new();
    let mut there: BTreeSet<(String, String)> = BTreeSet::new();
    for distro in DISTROS {
        let of_distro = kernels.iter().filter(|kernel| kernel.distro == distro.name);
        let wanted: BTreeSet<Wanted> =
            of_distro.map(|kernel| Wanted { suite: kernel.suite.clone(), arch: kernel.arch.clone() }).collect();
        if wanted.is_empty() {
            continue;
        }
        if distro.layout().is_some() {
            let of_distro: Vec<&LockedKernel> = kernels.iter().filter(|kernel| kernel.distro == distro.name).collect();
            let archive = rpm_archive::RpmArchive::open(distro, settings.archive(distro.name), store);
            there.extend(archive.files(&of_distro, args.offline, listener)?);
            read.extend(of_distro.iter().map(|kernel| (distro.name, kernel.suite.clone())));
            continue;
        }
        let archives = Archives::open(distro, settings.archive(distro.name), store)?;
        for index in archives.known(&wanted, args.offline, listener)? {
            read.insert((distro.name, index.suite));
            there.extend(index.stanzas.into_iter().map(|stanza| (stanza.path, stanza.sha256)));
        }
    }
    let has = |package: &LockedPackage| there.contains(&(package.path.clone(), package.sha256.clone()));
    let gone = |kernel: &LockedKernel| {
        read.contains(&(kernel.distro.as_str(), kernel.suite.clone())) && !kernel.packages.iter().all(has)
    };
    Ok(kernels.iter().map(gone).collect())
}

/// Releases sort by age, not by name.
fn release_rank(distro: &str, release: &str) -> usize {
    let releases = Distro::find(distro).map_or(&[][..], |distro| distro.releases);
    releases.iter().position(|known| known.name == release).unwrap_or(usize::MAX)
}
