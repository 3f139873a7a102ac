// SPDX-License-Identifier: GPL-2.0-only
//! One Debian package: its own signature, its fields against its name, its contents.

use super::apt::field;
use super::content::Package;
use super::{Checker, name};
use crate::error::{AtPath, Result};
use crate::unpack::ask;
use std::fs;
use std::path::Path;
use std::process::Command;

/// The parts of a .deb that debsigs(1) signs, in this order, and the part that has the packager's signature.
const PARTS: [&str; 3] = ["debian-binary", "control.tar", "data.tar"];
const SIGNATURE: &str = "_gpgorigin";

impl Checker<'_> {
    /// Checks a package below the checked directory.
    pub(super) fn deb(&self, file: &Path) -> Result<()> {
        self.deb_signature(file)?;
        let control = ask(Command::new("dpkg-deb").arg("--field").arg(self.dist.join(file)))?;
        let control = match control {
            Ok(control) => String::from_utf8_lossy(&control).into_owned(),
            Err(said) => {
                self.found(file, said);
                return Ok(());
            }
        };
        let field = |name: &str| field(&control, name).unwrap_or_default();
        let expected = format!("{}_{}_{}.deb", field("Package"), field("Version"), field("Architecture"));
        if name(file) != expected {
            self.found(file, format!("inside it is {expected}"));
        }
        let licence = |text: &str| text.contains("\nLicense: GPL-2\n") || text.contains("\nLicense: GPL-2.0-only\n");
        self.contents(&Package { file, name: field("Package"), version: field("Version") }, |tree| {
            let path = tree.join(format!("usr/share/doc/{}/copyright", field("Package")));
            match fs::read_to_string(path) {
                Ok(text) if licence(&text) => None,
                _ => Some("its copyright file does not say GPL-2".into()),
            }
        })
    }

    fn deb_signature(&self, file: &Path) -> Result<()> {
        let path = self.dist.join(file);
        let listing = match ask(Command::new("ar").arg("t").arg(&path))? {
            Ok(listing) => String::from_utf8_lossy(&listing).into_owned(),
            Err(said) => {
                self.found(file, said);
                return Ok(());
            }
        };
        let Some(signed) = signed_parts(&listing) else {
            let parts = listing.lines().collect::<Vec<_>>().join(" ");
            self.found(file, format!("it has no packager's signature, or parts that none covers: {parts}"));
            return Ok(());
        };
        let work = self.work.join(crate::store::key([file.to_string_lossy().as_ref()]));
        let (data, signature) = (work.with_extension("parts"), work.with_extension("gpg"));
        fs::write(&data, self.member(&path, &signed)?).at_path(&data)?;
        fs::write(&signature, self.member(&path, &[SIGNATURE])?).at_path(&signature)?;
        if let Err(cause) = self.trust.detached(&signature, &data)? {
            self.found(file, format!("{SIGNATURE}: {cause}"));
        }
        fs::remove_file(&data).at_path(&data)
    }

    fn member(&self, deb: &Path, names: &[&str]) -> Result<Vec<u8>> {
        let mut data = Vec::new();
        for name in names {
            // What ar cannot read is not what was signed; gpgv says so.
            data.extend(ask(Command::new("ar").arg("p").arg(deb).arg(name))?.unwrap_or_default());
        }
        Ok(data)
    }
}

/// The names of the three signed parts where they, in order, and one signature are all there is.
fn signed_parts(listing: &str) -> Option<Vec<&str>> {
    let names: Vec<&str> = listing.lines().collect();
    let (signature, signed) = names.split_last()?;
    let in_order = signed.len() == PARTS.len() && signed.iter().zip(PARTS).all(|(name, part)| name.starts_with(part));
    (in_order && *signature == SIGNATURE).then(|| signed.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_that_no_signature_covers_is_refused() {
        assert!(signed_parts("debian-binary\ncontrol.tar.xz\ndata.tar.xz\n_gpgorigin\n").is_some());
        assert!(signed_parts("debian-binary\ncontrol.tar.xz\ndata.tar.xz\n").is_none());
        assert!(signed_parts("debian-binary\ncontrol.tar.xz\ndata.tar.xz\ndata.tar.gz\n_gpgorigin\n").is_none());
        assert!(signed_parts("debian-binary\ncontrol.tar.xz\ncontrol.tar.gz\ndata.tar\n_gpgorigin\n").is_none());
        assert!(signed_parts("").is_none());
    }
}
