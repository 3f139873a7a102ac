// SPDX-License-Identifier: GPL-2.0-only
//! Checksums of files, of the kinds that are strong enough to be believed.

use crate::error::{AtPath, Result};
use sha2::{Digest, Sha256, Sha512};
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// A checksum that is strong enough.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checksum {
    kind: Kind,
    /// Lower-case hexadecimal.
    pub hex: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Sha256,
    Sha512,
}

/// A checksum in the making.
pub enum Hasher {
    /// SHA-256.
    Sha256(Sha256),
    /// SHA-512.
    Sha512(Sha512),
}

impl Checksum {
    /// `None` for kinds that are weak or not known, and for what is none.
    pub fn new(kind: &str, text: &str) -> Option<Self> {
        let (kind, digits) = match kind {
            "sha256" => (Kind::Sha256, 64),
            "sha512" => (Kind::Sha512, 128),
            _ => return None,
        };
        let hex = text.trim().to_ascii_lowercase();
        (hex.len() == digits && hex.bytes().all(|b| b.is_ascii_hexdigit())).then_some(Checksum { kind, hex })
    }

    /// Begins a checksum of this kind.
    pub fn hasher(&self) -> Hasher {
        match self.kind {
            Kind::Sha256 => Hasher::Sha256(Sha256::new()),
            Kind::Sha512 => Hasher::Sha512(Sha512::new()),
        }
    }

    /// Whether it is that of the file.
    pub fn is_of(&self, path: &Path) -> Result<bool> {
        let mut hash = self.hasher();
        let mut file = File::open(path).at_path(path)?;
        let mut buffer = vec![0; 1 << 20];
        loop {
            match file.read(&mut buffer).at_path(path)? {
                0 => return Ok(hash.finish() == self.hex),
                read => hash.update(&buffer[..read]),
            }
        }
    }
}

impl Hasher {
    /// Takes more bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        match self {
            Hasher::Sha256(hash) => hash.update(bytes),
            Hasher::Sha512(hash) => hash.update(bytes),
        }
    }

    /// Lower-case hexadecimal.
    pub fn finish(self) -> String {
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        match self {
            Hasher::Sha256(hash) => hex(&hash.finalize()),
            Hasher::Sha512(hash) => hex(&hash.finalize()),
        }
    }
}
