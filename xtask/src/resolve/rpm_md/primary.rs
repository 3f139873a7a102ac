// SPDX-License-Identifier: GPL-2.0-only
//! `primary.xml`: the packages of a repository, read one after the other as they come.

use super::repomd::inside;
use crate::checksum::Checksum;
use crate::error::{Error, Result};
use quick_xml::XmlVersion;
use quick_xml::events::{BytesStart, Event};
use quick_xml::reader::Reader;
use std::cell::Cell;
use std::io::{self, BufRead, BufReader, Read};
use std::rc::Rc;

/// Bytes of one element, with its text or attributes; the longest there are (descriptions) have some kilobytes.
const LONGEST: usize = 1 << 20;
/// Bytes that a package of a kernel may have; the largest there are have some 150 MB.
const LARGEST_PACKAGE: u64 = 1 << 30;
/// Things that one package of interest may provide: a kernel's symbols are some 20,000.
const PROVIDES: usize = 200_000;

/// One package.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Package {
    /// Name.
    pub name: String,
    /// `x86_64`, `noarch`.
    pub arch: String,
    /// Version without epoch and release.
    pub version: String,
    /// Release.
    pub release: String,
    /// Path below the repository.
    pub path: String,
    /// Bytes.
    pub size: u64,
    /// SHA-256.
    pub sha256: String,
    /// What it provides of the name `kernel…` and no symbols: names, and versions with their releases.
    pub provides: Vec<(String, String)>,
}

/// Reads the packages whose names are `wanted`.
pub fn read(text: impl Read, wanted: &dyn Fn(&str) -> bool) -> Result<Vec<Package>> {
    let used = Rc::new(Cell::new(0));
    let metered = Metered { inner: BufReader::with_capacity(1 << 17, text), used: Rc::clone(&used) };
    let mut reader = Reader::from_reader(metered);
    reader.config_mut().check_end_names = true;
    let mut builder = Builder::default();
    let (mut packages, mut buffer) = (Vec::new(), Vec::new());
    loop {
        used.set(0);
        buffer.clear();
        let event = reader.read_event_into(&mut buffer).map_err(|error| Error::infra(words(&error)))?;
        if matches!(event, Event::Eof) {
            return match builder.depth {
                0 => Ok(packages),
                _ => Err(Error::infra("the index `primary` ends in the middle of an element")),
            };
        }
        if let Some(package) = builder.take(&event)?
            && wanted(&package.name)
        {
            packages.push(checked(package)?);
        }
    }
}

fn words(error: &quick_xml::Error) -> String {
    match error {
        quick_xml::Error::Io(error) => error.to_string(),
        error => format!("the index `primary` is no XML: {error}"),
    }
}

/// A package whose every field is what it should be. Its file must be below the repository, whatever its name is.
fn checked(package: Package) -> Result<Package> {
    let Package { name, arch, version, release, path, sha256, .. } = &package;
    let parts = [name, arch, version, release];
    let plain = |part: &&String| inside(part) && !part.contains('/');
    if let Some(odd) = parts.iter().find(|part| !plain(part)) {
        return Err(Error::infra(format!(
            "a package of the index `primary` is called {odd:?}, which no package can be"
        ))
        .at(format!("{name:?}")));
    }
    if !inside(path) || !path.ends_with(".rpm") {
        return Err(Error::infra(format!("the package {name} is at {path:?}, which is no path below the repository")));
    }
    if package.size > LARGEST_PACKAGE {
        let size = package.size;
        return Err(Error::infra(format!(
            "the package {name} {version} is to have {size} bytes: more than {LARGEST_PACKAGE} are refused"
        )));
    }
    match sha256.is_empty() {
        true => Err(Error::infra(format!("the package {name} {version} has no SHA-256 checksum in the index"))),
        false => Ok(package),
    }
}

/// Puts a package together from the elements that are its own.
#[derive(Default)]
struct Builder {
    depth: usize,
    package: Package,
    /// The element whose text comes next.
    text_of: Option<&'static str>,
    checksum_kind: String,
    in_provides: bool,
}

/// `<metadata><package><name>`.
const FIELD: usize = 3;

impl Builder {
    fn take(&mut self, event: &Event<'_>) -> Result<Option<Package>> {
        match event {
            Event::Start(start) => {
                self.depth += 1;
                if self.depth > 16 {
                    return Err(Error::infra("the index `primary` has elements in elements without end"));
                }
                self.start(start)?;
            }
            Event::Empty(start) => {
                self.depth += 1;
                self.start(start)?;
                return Ok(self.end(start.name().local_name().as_ref()));
            }
            Event::Text(text) => {
                if let Some(name) = self.text_of {
                    self.text(name, text.trim());
                }
            }
            Event::End(end) => return Ok(self.end(end.name().local_name().as_ref())),
            Event::DocType(_) => return Err(Error::infra("the index `primary` has a document type: it is refused")),
            _ => {}
        }
        Ok(None)
    }

    fn start(&mut self, start: &BytesStart<'_>) -> Result<()> {
        let name = start.name();
        let name = name.local_name();
        if self.depth == FIELD - 1 {
            self.package = Package::default();
        }
        if name.as_ref() == "provides" {
            self.in_provides = true;
        }
        match (self.depth, name.as_ref()) {
            (FIELD, "name") => self.text_of = Some("name"),
            (FIELD, "arch") => self.text_of = Some("arch"),
            (FIELD, "checksum") => {
                self.text_of = Some("checksum");
                self.checksum_kind = attribute(start, "type")?;
            }
            (FIELD, "version") => {
                self.package.version = attribute(start, "ver")?;
                self.package.release = attribute(start, "rel")?;
            }
            (FIELD, "size") => self.package.size = attribute(start, "package")?.parse().unwrap_or(0),
            (FIELD, "location") => self.package.path = attribute(start, "href")?,
            (_, "entry") if self.in_provides => self.provides(start)?,
            _ => {}
        }
        Ok(())
    }

    fn provides(&mut self, start: &BytesStart<'_>) -> Result<()> {
        let name = attribute(start, "name")?;
        // `kernel(symbol)` and `ksym(…)` are by far the most.
        if !name.starts_with("kernel") || name.contains('(') || self.package.provides.len() >= PROVIDES {
            return Ok(());
        }
        let (version, release) = (attribute(start, "ver")?, attribute(start, "rel")?);
        let version = if release.is_empty() { version } else { format!("{version}-{release}") };
        self.package.provides.push((name, version));
        Ok(())
    }

    fn text(&mut self, name: &str, text: &str) {
        match name {
            "name" => self.package.name += text,
            "arch" => self.package.arch += text,
            _ if self.checksum_kind == "sha256" => {
                self.package.sha256 = Checksum::new("sha256", text).map_or(String::new(), |checksum| checksum.hex);
            }
            _ => {}
        }
    }

    fn end(&mut self, name: &str) -> Option<Package> {
        self.depth = self.depth.saturating_sub(1);
        self.text_of = None;
        if name == "provides" {
            self.in_provides = false;
        }
        (name == "package" && self.depth == 1).then(|| std::mem::take(&mut self.package))
    }
}

/// An attribute's value, by its name without a prefix; empty where it is not there.
fn attribute(start: &BytesStart<'_>, name: &str) -> Result<String> {
    let bad = |error: &dyn std::fmt::Display| Error::infra(format!("the index `primary` is no XML: {error}"));
    for attribute in start.attributes() {
        let attribute = attribute.map_err(|error| bad(&error))?;
        if attribute.key.as_ref() == name {
            let value = attribute.normalized_value(XmlVersion::Implicit1_0).map_err(|error| bad(&error))?;
            return Ok(value.into_owned());
        }
    }
    Ok(String::new())
}

/// Stops the reader where one element becomes too long to be kept in memory.
struct Metered<R> {
    inner: R,
    used: Rc<Cell<usize>>,
}

impl<R: Read> Read for Metered<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.inner.read(buffer)
    }
}

impl<R: BufRead> BufRead for Metered<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.used.get() > LONGEST {
            return Err(io::Error::other(format!("the index `primary` has an element of more than {LONGEST} bytes")));
        }
        self.inner.fill_buf()
    }

    fn consume(&mut self, amount: usize) {
        self.used.set(self.used.get() + amount);
        self.inner.consume(amount);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(name: &str, href: &str, checksum: &str) -> String {
        format!(
            "<package type=\"rpm\"><name>{name}</name><arch>x86_64</arch><version epoch=\"0\" ver=\"5.14.21\" rel=\"150500.55.88.1\"/>\
             {checksum}<summary>a &lt; b</summary><size package=\"77\" installed=\"1\"/><location href=\"{href}\"/>\
             <format><rpm:provides><rpm:entry name=\"kernel-default-devel\" flags=\"EQ\" epoch=\"0\" ver=\"5.14.21\" rel=\"150500.55.88\"/>\
             <rpm:entry name=\"ksym(default:kfree)\"/></rpm:provides><rpm:requires><rpm:entry name=\"kernel-devel\"/></rpm:requires></format></package>"
        )
    }

    fn sum() -> String {
        format!("<checksum type=\"sha256\" pkgid=\"YES\">{}</checksum>", "0a".repeat(32))
    }

    fn all(text: &str) -> Result<Vec<Package>> {
        let text = format!("<metadata xmlns=\"c\" xmlns:rpm=\"r\" packages=\"1\">{text}</metadata>");
        read(text.as_bytes(), &|name| name.starts_with("kernel") || name.contains('/'))
    }

    #[test]
    fn a_package_has_its_fields_and_only_what_it_provides_itself() {
        let text = package("kernel-default-devel", "x86_64/a.rpm", &sum()) + &package("bash", "x86_64/b.rpm", &sum());
        let packages = all(&text).unwrap();
        let [found] = &packages[..] else { panic!("{packages:?}") };
        assert_eq!((found.name.as_str(), found.arch.as_str(), found.size), ("kernel-default-devel", "x86_64", 77));
        assert_eq!((found.version.as_str(), found.release.as_str()), ("5.14.21", "150500.55.88.1"));
        assert_eq!(found.provides, [("kernel-default-devel".into(), "5.14.21-150500.55.88".into())]);
        assert_eq!(found.sha256, "0a".repeat(32));
    }

    #[test]
    fn what_leads_out_or_is_not_hashed_is_refused_by_name() {
        let error = |name: &str, href: &str, sum: &str| all(&package(name, href, sum)).unwrap_err().message;
        assert!(error("kernel-devel", "../../etc/cron.d/a.rpm", &sum()).contains("no path below the repository"));
        assert!(error("kernel-devel", "/etc/a.rpm", &sum()).contains("no path below the repository"));
        assert!(error("../../kernel", "a.rpm", &sum()).contains("which no package can be"));
        let huge = package("kernel-devel", "a.rpm", &sum()).replace("package=\"77\"", "package=\"9999999999\"");
        assert!(all(&huge).unwrap_err().message.contains("9999999999 bytes: more than"));
        assert!(error("kernel-devel", "a.rpm", "<checksum type=\"md5\">0</checksum>").contains("no SHA-256"));
    }

    #[test]
    fn an_index_that_is_cut_off_or_endless_or_clever_is_refused() {
        let whole = format!("<metadata>{}</metadata>", package("kernel-devel", "a.rpm", &sum()));
        let read = |text: &str| read(text.as_bytes(), &|_| true);
        assert_eq!(read(&whole).unwrap().len(), 1);
        for cut in [1, 30, 200, whole.len() - 3] {
            assert!(read(&whole[..cut]).is_err(), "{}", &whole[..cut]);
        }
        let endless = format!("<metadata><package><name>{}", "a".repeat(LONGEST * 2));
        assert!(read(&endless).unwrap_err().message.contains("an element of more than"));
        assert!(read(&"<a>".repeat(100)).unwrap_err().message.contains("without end"));
        assert!(read("<!DOCTYPE a [<!ENTITY b \"c\">]><metadata/>").unwrap_err().message.contains("document type"));
    }
}
