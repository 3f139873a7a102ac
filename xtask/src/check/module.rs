// SPDX-License-Identifier: GPL-2.0-only
//! A module's ELF file, as far as the checks look into it.

use crate::error::{Error, Result};
use object::elf::{RelocationType, SHF_ALLOC, SHF_EXECINSTR, SHF_WRITE, SectionFlags as ElfFlags};
use object::{
    File, Object, ObjectSection, ObjectSymbol, RelocationFlags, RelocationTarget, SectionFlags, SectionIndex,
    SymbolKind,
};
use std::collections::BTreeSet;

/// A section's index and an offset in it.
pub type Place = (usize, u64);

/// A parsed module.
pub struct Module<'a> {
    /// The ELF file.
    pub file: File<'a>,
    /// Every section with a readable name, in the file's order.
    pub sections: Vec<Section<'a>>,
}

/// One section with what the checks ask of it.
pub struct Section<'a> {
    /// Its index, as symbols have it.
    pub index: SectionIndex,
    /// Its name.
    pub name: &'a str,
    /// Its bytes; empty where it has none in the file.
    pub data: &'a [u8],
    /// In the kernel's memory once the module is loaded.
    pub loaded: bool,
    /// Its bytes are run.
    pub executable: bool,
    /// Its bytes are written to.
    pub writable: bool,
}

/// A relocation against a place in one of the module's own sections.
#[derive(Debug, Clone, Copy)]
pub struct Reference {
    /// Where the relocated bytes are in the section that has the relocation.
    pub at: u64,
    /// `R_X86_64_…`.
    pub kind: RelocationType,
    /// The symbol that is referred to, without the addend.
    pub base: Place,
    /// The relocation's addend.
    pub addend: i64,
}

impl<'a> Module<'a> {
    /// Parses a module; any other file is the build's failure.
    pub fn parse(data: &'a [u8]) -> Result<Module<'a>> {
        let broken = |error: object::Error| Error::kernel(format!("not a kernel module: {error}"));
        let file = File::parse(data).map_err(broken)?;
        let sections = file.sections().map(|section| Section::read(&section)).collect::<object::Result<_>>();
        Ok(Module { sections: sections.map_err(broken)?, file })
    }

    /// The bytes of a section; empty where there is no such section.
    pub fn data(&self, name: &str) -> &'a [u8] {
        self.sections.iter().find(|section| section.name == name).map_or(&[], |section| section.data)
    }

    /// All values of a key of `.modinfo`, which is a row of `key=value` strings.
    pub fn modinfo(&self, key: &str) -> Vec<&'a str> {
        let strings = self.data(".modinfo").split(|byte| *byte == 0).filter_map(|text| str::from_utf8(text).ok());
        strings.filter_map(|text| text.split_once('=').filter(|pair| pair.0 == key).map(|pair| pair.1)).collect()
    }

    /// The symbols that the kernel must have, sorted; weak ones may be missing and are left out.
    pub fn undefined(&self) -> Vec<&str> {
        let wanted = self.file.symbols().filter(|symbol| symbol.is_undefined() && !symbol.is_weak());
        let mut names: Vec<_> =
            wanted.filter_map(|symbol| symbol.name().ok()).filter(|name| !name.is_empty()).collect();
        names.sort_unstable();
        names
    }

    /// The names of other objects' symbols that a section's relocations refer to, one per relocation.
    pub fn outside(&self, section: &Section) -> Vec<&str> {
        let Ok(section) = self.file.section_by_index(section.index) else { return Vec::new() };
        let name = |relocation: object::Relocation| {
            let RelocationTarget::Symbol(index) = relocation.target() else { return None };
            let symbol = self.file.symbol_by_index(index).ok()?;
            symbol.is_undefined().then(|| symbol.name().ok()).flatten()
        };
        section.relocations().filter_map(|(_, relocation)| name(relocation)).collect()
    }

    /// Where each function begins.
    pub fn functions(&self) -> BTreeSet<Place> {
        let text = self.file.symbols().filter(|symbol| symbol.kind() == SymbolKind::Text);
        text.filter_map(|symbol| Some((symbol.section_index()?.0, symbol.address()))).collect()
    }

    /// The name of the function that begins at a place.
    pub fn name_of(&self, (section, offset): Place) -> String {
        let here = |symbol: &object::Symbol| {
            symbol.kind() == SymbolKind::Text
                && symbol.section_index() == Some(SectionIndex(section))
                && symbol.address() == offset
        };
        let symbol = self.file.symbols().find(here);
        symbol.and_then(|symbol| symbol.name().ok()).unwrap_or("?").to_string()
    }

    /// What a section's relocations refer to within the module.
    pub fn references(&self, section: &Section) -> Vec<Reference> {
        let Ok(section) = self.file.section_by_index(section.index) else { return Vec::new() };
        let reference = |at: u64, relocation: object::Relocation| {
            let RelocationFlags::Elf { r_type } = relocation.flags() else { return None };
            let RelocationTarget::Symbol(index) = relocation.target() else { return None };
            let symbol = self.file.symbol_by_index(index).ok()?;
            let section = symbol.section_index()?;
            Some(Reference { at, kind: r_type, base: (section.0, symbol.address()), addend: relocation.addend() })
        };
        section.relocations().filter_map(|(at, relocation)| reference(at, relocation)).collect()
    }
}

impl<'a> Section<'a> {
    fn read<'file>(section: &impl ObjectSection<'a>) -> object::Result<Section<'a>>
    where
        'a: 'file,
    {
        let flags = match section.flags() {
            SectionFlags::Elf { sh_flags, .. } => sh_flags,
            _ => Default::default(),
        };
        let has = |flag: ElfFlags| flags.0 & flag.0 != 0;
        Ok(Section {
            index: section.index(),
            name: section.name()?,
            data: section.data()?,
            loaded: has(SHF_ALLOC),
            executable: has(SHF_EXECINSTR),
            writable: has(SHF_WRITE),
        })
    }
}
