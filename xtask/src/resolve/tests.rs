// SPDX-License-Identifier: GPL-2.0-only
//! Resolving as a whole, offline, from indices that are cut out of Debian's own.

use super::candidate::{self, SuiteIndex};
use super::survey::Available;
use super::{MatrixArgs, Resolution, gone, index, lockfile, matrix, pick, resolution, verdict};
use crate::error::Kind;
use crate::event::{Event, Listener};
use crate::kernels::{Selector, Series};
use crate::lock::{LockedKernel, Platform, Role};
use crate::store::Store;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

const KERNELS: &str = "\
format: 1
distros:
  debian:
    mirror: http://mirror.test/debian
    security-mirror: http://mirror.test/debian-security
groups:
  default:
    - distro: debian
      suites: [bullseye, trixie, trixie-backports, sid]
      pockets: [security]
      flavours: [amd64, cloud-amd64]
      newest: 1
  all:
    - distro: debian
      suites: [bullseye, trixie, trixie-backports, sid]
      pockets: [security]
      flavours: [amd64, cloud-amd64, rt-amd64]
      series: all
  old:
    - distro: debian
      suites: [bullseye]
      pockets: [security]
      flavours: [amd64]
      series: all
      version: \"!= 5.10\"
";

const SUITES: [&str; 6] = ["bullseye", "bullseye-security", "trixie", "trixie-security", "trixie-backports", "sid"];

/// A store with indices and facts, and a `kernels.yaml`; removed at the end of the test.
struct World {
    dir: PathBuf,
    store: Store,
    events: Mutex<Vec<Event>>,
}

impl World {
    fn new() -> Self {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let dir = std::env::temp_dir().join(format!("involflt-resolve-{}-{number}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        fs::write(dir.join("kernels.yaml"), KERNELS).unwrap();
        let store = Store::open(Some(&dir.join("store"))).unwrap();
        let world = World { dir, store, events: Mutex::default() };
        SUITES.iter().for_each(|suite| world.add_index(suite));
        world
    }

    fn add_index(&self, suite: &str) {
        let lists = self.store.kind("apt").unwrap().join("state/lists");
        fs::create_dir_all(&lists).unwrap();
        let text = fs::read_to_string(testdata(&format!("{suite}.Packages"))).unwrap();
        let archive = if suite.ends_with("-security") { "debian-security" } else { "debian" };
        fs::write(lists.join(format!("mirror.test_{archive}_dists_{suite}_main_binary-amd64_Packages")), &text)
            .unwrap();
        for stanza in text.split("\n\n").filter(|stanza| stanza.starts_with("Package: linux-headers-")) {
            self.add_facts(stanza);
        }
    }

    /// What the headers package would tell, were it there.
    fn add_facts(&self, stanza: &str) {
        let version = stanza.split("Version: ").nth(1).unwrap();
        let sha256 = stanza.split("SHA256: ").nth(1).unwrap().trim();
        let gcc = if version.starts_with("7.2.13") { 16 } else { [(5, 10), (6, 14), (7, 14)][major(version) - 5].1 };
        let gcc = if version.contains("deb11") { 10 } else { gcc };
        let facts = serde_json::json!({
            "compiler": format!("gcc-{gcc}"),
            "compiler_version": format!("gcc-{gcc} (Debian) {gcc}.1.0"),
            "rustc": (major(version) == 7).then_some("rustc 1.85.1 (built from a source tarball)"),
            "modversions": major(version) < 7,
        });
        fs::write(self.store.kind("facts").unwrap().join(format!("{sha256}.json")), facts.to_string()).unwrap();
    }

    fn args(&self, select: &[&str]) -> MatrixArgs {
        MatrixArgs {
            select: select.iter().map(|text| text.to_string()).collect(),
            locked: false,
            offline: true,
            store: None,
            kernels: Some(self.dir.join("kernels.yaml")),
            lock: None,
        }
    }

    fn select(&self, select: &[&str]) -> Vec<String> {
        names(&matrix(&self.args(select), &self.store, self).unwrap())
    }

    fn notes(&self) -> Vec<String> {
        let note = |event: &Event| match event {
            Event::Note { text, .. } => Some(text.clone()),
            _ => None,
        };
        self.events.lock().unwrap().iter().filter_map(note).collect()
    }
}

impl Listener for World {
    fn event(&self, event: Event) {
        self.events.lock().unwrap().push(event);
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.dir);
    }
}

fn testdata(name: &str) -> PathBuf {
    Path::new("src/resolve/testdata").join(name)
}

fn major(version: &str) -> usize {
    version.split('.').next().unwrap().parse().unwrap()
}

fn names(kernels: &[LockedKernel]) -> Vec<String> {
    kernels.iter().map(|kernel| format!("{} {}", kernel.suite, kernel.kernel)).collect()
}

/// Names of Ubuntu's packages that `newest: 1` of a series takes for a flavour.
fn ubuntu(flavour: &str, series: Series) -> Vec<String> {
    let text = fs::read(testdata("noble-updates.Packages")).unwrap();
    let (suite, archive) = ("noble-updates".to_string(), "http://archive.test/ubuntu".to_string());
    let index = SuiteIndex { suite, archive, stanzas: index::read(&text[..]).unwrap() };
    let found = candidate::find(&[index]);
    assert!(found.incomplete.is_empty(), "{:?}", found.incomplete);
    let available = found.kernels.into_iter().map(|candidate| Available {
        distro: "ubuntu",
        release: "noble",
        arch: "amd64".into(),
        candidate,
    });
    let available: Vec<_> = available.collect();
    let views: Vec<_> = available.iter().map(Available::view).collect();
    let yaml = format!("{{distro: ubuntu, suites: [noble], flavours: [{flavour}], newest: 1}}");
    let selector = Selector { series, ..serde_yaml::from_str(&yaml).unwrap() };
    let chosen = pick::pick(&selector, &views).into_iter();
    chosen.flat_map(|at| available[at].candidate.packages.iter().map(|package| package.name.clone())).collect()
}

#[test]
fn ubuntus_headers_are_two_packages_and_a_flavours_own_series_has_its_name() {
    let generic = [
        "linux-headers-6.8.0-151-generic",
        "linux-headers-6.8.0-151",
        "linux-image-6.8.0-151-generic",
        "linux-modules-6.8.0-151-generic",
        "linux-modules-extra-6.8.0-151-generic",
    ];
    assert_eq!(ubuntu("generic", Series::Own), generic);
    let azure = ubuntu("azure", Series::Own);
    assert_eq!(azure[..2], ["linux-headers-6.8.0-1074-azure", "linux-azure-headers-6.8.0-1074"]);
    let all = ubuntu("azure", Series::All);
    assert!(all.starts_with(&azure) || all.ends_with(&azure), "{all:?}");
    assert!(all.contains(&"linux-azure-7.0-headers-7.0.0-1020".to_string()), "the hardware enablement kernel: {all:?}");
}

#[test]
fn the_default_group_gives_the_golden_lock() {
    let world = World::new();
    let kernels = matrix(&world.args(&[]), &world.store, &world).unwrap();
    let text = lockfile::render(kernels);
    let golden = testdata("kernels.lock");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&golden, &text).unwrap();
    }
    assert_eq!(text, fs::read_to_string(&golden).unwrap(), "UPDATE_GOLDEN=1 cargo test writes it anew");
}

#[test]
fn the_newest_of_release_and_pockets_is_taken_and_an_incomplete_kernel_is_named() {
    let world = World::new();
    assert_eq!(
        world.select(&[]),
        [
            "bullseye-security 5.10.0-46-amd64",
            "bullseye-security 5.10.0-46-cloud-amd64",
            "trixie-backports 7.3.4+deb13-amd64",
            "trixie-security 6.12.116+deb13-amd64",
            "sid 7.2.13+deb14-cloud-amd64",
        ]
    );
    assert_eq!(
        world.notes(),
        [
            "6.12.117+deb13-amd64 6.12.117-1 in trixie-security is left out: its linux-image-6.12.117+deb13-amd64 is not in the archive"
        ]
    );
}

#[test]
fn a_whole_group_has_every_kernel_once_and_no_meta_package() {
    let world = World::new();
    let all = world.select(&["group:all"]);
    assert_eq!(all.len(), 16, "{all:#?}");
    let twice = all.iter().filter(|name| name.contains("6.12.107+deb13-rt-amd64")).collect::<Vec<_>>();
    assert_eq!(twice, ["trixie 6.12.107+deb13-rt-amd64"], "the release itself goes before its pocket");
    assert!(all.contains(&"bullseye-security 6.1.0-0.deb11.52-amd64".into()));
    assert!(!all.iter().any(|name| name.ends_with("security 6.1-amd64")));
}

#[test]
fn a_series_beside_the_suites_own_and_versions_can_be_asked_for() {
    assert_eq!(World::new().select(&["group:old"]), ["bullseye-security 6.1.0-0.deb11.52-amd64"]);
}

#[test]
fn a_selection_adds_up_and_each_part_is_bound_by_its_own_group() {
    let world = World::new();
    assert_eq!(
        world.select(&["cloud-amd64 platform=rfl", "group:all rt-amd64 kernel=6.12.94*"]),
        ["trixie 6.12.94+deb13-rt-amd64", "sid 7.2.13+deb14-cloud-amd64"]
    );
    assert_eq!(world.select(&["group:all !group:default trixie-backports"]), ["trixie-backports 7.2.12+deb13-amd64"]);
}

#[test]
fn an_empty_selection_is_the_users_to_mend() {
    let world = World::new();
    for (select, words) in [
        ("debian:bookwrm", vec!["--select `debian:bookwrm`: no kernel matches"]),
        ("6.12.94*", vec!["group default leaves out what matches (2, such as 6.12.94+deb13-", "group:"]),
        ("flavour=clod-amd64", vec!["no kernel matches", "near matches: `cloud-amd64`"]),
        ("group:sles", vec!["there is no group `sles`", "all, default, old"]),
        ("trixie platform=rfl 6.12.*", vec!["no kernel matches"]),
    ] {
        let error = matrix(&world.args(&[select]), &world.store, &world).unwrap_err();
        assert_eq!(error.kind, Kind::Input, "{error}");
        for word in words {
            assert!(error.to_string().contains(word), "wanted `{word}`, got {error}");
        }
    }
}

#[test]
fn a_selector_that_no_kernel_meets_is_shown_in_kernels_yaml() {
    let world = World::new();
    let path = world.dir.join("kernels.yaml");
    fs::write(&path, KERNELS.replace("version: \"!= 5.10\"", "version: \"> 8\"")).unwrap();
    let error = matrix(&world.args(&["group:old"]), &world.store, &world).unwrap_err();
    assert_eq!(error.kind, Kind::Input);
    let expected = format!("{}:20:7: this selects no kernel\n  20 |     - distro: debian\n", path.display());
    assert!(error.message.starts_with(&expected), "{error}");
    assert!(error.message.contains("flavours in these suites: amd64, cloud-amd64"), "{error}");
}

#[test]
fn a_rust_kernel_without_its_source_package_goes_through_the_glue() {
    let world = World::new();
    let kernels = matrix(&world.args(&["group:all trixie-backports"]), &world.store, &world).unwrap();
    let [old, new] = &kernels[..] else { panic!("{:?}", names(&kernels)) };
    assert_eq!((old.platform, new.platform), (Platform::Cglue, Platform::Rfl));
    assert!(old.rustc.is_some() && old.packages.iter().all(|package| package.role != Role::Source));
    assert!(new.packages.iter().any(|package| package.role == Role::Source && package.version == "7.3.4-1~bpo13+1"));
    assert!(world.notes().iter().any(|note| note.contains("7.2.12-1~bpo13+1 is not in the archive: platform cglue")));
}

#[test]
fn a_kernel_whose_headers_disagree_with_their_config_fails_alone() {
    let world = World::new();
    let kernels = matrix(&world.args(&["sid"]), &world.store, &world).unwrap();
    let facts = world.store.kind("facts").unwrap().join(format!("{}.json", kernels[0].packages[0].sha256));
    fs::write(&facts, fs::read_to_string(&facts).unwrap().replace("gcc-16\"", "gcc-15\"")).unwrap();
    let Resolution { kernels, refused } = resolution(&world.args(&[]), &world.store, &world).unwrap();
    assert_eq!((kernels.len(), refused.len()), (4, 1));
    assert_eq!(refused[0].id, "debian-sid-7.2.13+deb14-cloud-amd64");
    assert!(refused[0].error.message.contains("depend on gcc-16, but its .config says that gcc-15 built it"));
}

#[test]
fn offline_a_kernel_that_is_not_in_the_store_fails_alone() {
    let world = World::new();
    let kernels = matrix(&world.args(&["sid"]), &world.store, &world).unwrap();
    fs::remove_file(world.store.kind("facts").unwrap().join(format!("{}.json", kernels[0].packages[0].sha256)))
        .unwrap();
    let Resolution { kernels, refused } = resolution(&world.args(&[]), &world.store, &world).unwrap();
    assert_eq!((kernels.len(), refused.len()), (4, 1));
    assert!(refused[0].error.to_string().contains("not in the store, and --offline was given"));
    assert_eq!(verdict(&refused).unwrap_err().kind, Kind::Kernel);
}

#[test]
fn an_archive_that_cannot_be_read_costs_its_own_kernels_and_no_others() {
    let world = World::new();
    let path = world.dir.join("kernels.yaml");
    let more = "  both:\n    - distro: debian\n      suites: [bullseye]\n      pockets: [security]\n      flavours: [amd64]\n      newest: 1\n    \
                - sles: {release: '15', service_packs: [4, 5]}\n      flavours: [default]\n";
    fs::write(&path, format!("{KERNELS}{more}")).unwrap();
    let resolve = |select: &str| resolution(&world.args(&[select]), &world.store, &world);
    let Resolution { kernels, refused } = resolve("group:both").unwrap();
    assert_eq!(names(&kernels), ["bullseye-security 5.10.0-46-amd64"]);
    let ids: Vec<&str> = refused.iter().map(|one| one.id.as_str()).collect();
    assert_eq!(ids, ["sles:15-sp4", "sles:15-sp5"]);
    let error = verdict(&refused).unwrap_err();
    assert_eq!(error.kind, Kind::Infra);
    assert!(error.message.contains("sles:15-sp5: https://updates.suse.com/SUSE"), "{error}");
    assert!(error.notes.iter().any(|note| note.contains("without --offline")), "{error}");
    assert!(resolve("group:both debian:bullseye").unwrap().refused.is_empty(), "it was not asked for");
    assert_eq!(resolve("group:both sles:15-sp5").unwrap_err().kind, Kind::Infra);
    assert_eq!(resolve("group:both debian:sid").unwrap_err().kind, Kind::Input);
}

#[test]
fn offline_without_indices_says_what_to_do() {
    let world = World::new();
    fs::remove_dir_all(world.store.kind("apt").unwrap()).unwrap();
    let error = matrix(&world.args(&[]), &world.store, &world).unwrap_err();
    assert_eq!(error.kind, Kind::Infra);
    assert!(error.to_string().contains("without --offline"), "{error}");
}

#[test]
fn the_lock_is_taken_as_it_is_and_its_packages_that_left_are_known() {
    let world = World::new();
    let text = fs::read_to_string(testdata("kernels.lock")).unwrap();
    let path = world.dir.join("kernels.lock");
    fs::write(&path, text.replace("5.10.0-46-cloud-amd64", "5.10.0-40-cloud-amd64")).unwrap();
    let args = MatrixArgs { locked: true, ..world.args(&["bullseye"]) };
    let kernels = matrix(&args, &world.store, &world).unwrap();
    assert_eq!(
        names(&kernels),
        ["bullseye-security 5.10.0-46-amd64", "bullseye-security 5.10.0-40-cloud-amd64"],
        "the order of the file"
    );
    assert_eq!(gone(&kernels, &args, &world.store, &world).unwrap(), [false, true]);
}

#[test]
fn a_lock_file_with_a_mistake_is_refused_with_its_place() {
    let world = World::new();
    let text = fs::read_to_string(testdata("kernels.lock")).unwrap();
    let path = world.dir.join("kernels.lock");
    let args = MatrixArgs { locked: true, ..world.args(&[]) };
    for (old, new, place, words) in [
        ("format: 1", "format: 7", "3:9", "unknown format 7"),
        ("  suite: sid", "  colour: sid", "", "unknown key `colour`"),
        (
            "  release: bullseye\n  suite",
            "  release: bullseye\n  release: x\n  suite",
            "7:3",
            "duplicate key `release`",
        ),
    ] {
        fs::write(&path, text.replacen(old, new, 1)).unwrap();
        let error = matrix(&args, &world.store, &world).unwrap_err();
        assert_eq!(error.kind, Kind::Input);
        let place = format!("{}:{place}", path.display());
        assert!(error.message.starts_with(&place) && error.message.contains(words), "{error}");
        assert!(error.message.contains("expected: "), "{error}");
    }
    fs::remove_file(&path).unwrap();
    let error = matrix(&args, &world.store, &world).unwrap_err();
    assert!(error.to_string().ends_with("note: write it: cargo xtask resolve"), "{error}");
}

#[test]
fn writing_the_same_lock_changes_nothing() {
    let world = World::new();
    let path = world.dir.join("kernels.lock");
    let mut kernels = matrix(&world.args(&[]), &world.store, &world).unwrap();
    assert!(lockfile::write(&path, &lockfile::render(kernels.clone())).unwrap());
    kernels.reverse();
    assert!(!lockfile::write(&path, &lockfile::render(kernels)).unwrap());
    assert_eq!(fs::read_dir(&world.dir).unwrap().count(), 3, "no partial file is left");
}
