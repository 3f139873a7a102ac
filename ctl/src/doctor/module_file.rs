// SPDX-License-Identifier: GPL-2.0-only
//! What a module's file says of itself.

use object::read::elf::ElfFile64;
use object::{LittleEndian, Object, ObjectSection};

/// Ends a signed module (`MODULE_SIG_STRING` of the kernel's `linux/module_signature.h`).
const SIGNED: &[u8] = b"~Module signature appended~\n";
/// Bytes of `struct module_signature` before it, the last four of which are the signature's length, big-endian.
const TRAILER: usize = 12;

/// A module's file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModuleFile {
    /// The kernel release that it was built for.
    pub release: String,
    /// How it meets the kernel: `rfl` (the kernel's own Rust) or `cglue`. Empty from a module that does not say.
    pub platform: String,
    /// The build id, which the loaded module has too.
    pub build_id: Option<Vec<u8>>,
    /// The PKCS#7 signature.
    pub signature: Option<Vec<u8>>,
}

impl ModuleFile {
    /// Reads a module that is not compressed. Fails with one line.
    pub fn parse(data: &[u8]) -> Result<Self, String> {
        let file = ElfFile64::<LittleEndian>::parse(data).map_err(|error| format!("is no module: {error}"))?;
        let modinfo = file.section_by_name(".modinfo").and_then(|section| section.data().ok());
        let modinfo = modinfo.ok_or("is no module: it has no .modinfo")?;
        let vermagic = info(modinfo, "vermagic").ok_or("has no vermagic")?;
        Ok(ModuleFile {
            release: vermagic.split(' ').next().unwrap_or_default().to_string(),
            platform: info(modinfo, "platform").unwrap_or_default(),
            build_id: file.build_id().ok().flatten().map(<[u8]>::to_vec),
            signature: signature(data).map(<[u8]>::to_vec),
        })
    }
}

/// The value of `key=value` among NUL-terminated strings.
fn info(modinfo: &[u8], key: &str) -> Option<String> {
    let strings = modinfo.split(|&byte| byte == 0);
    let mut values = strings.filter_map(|string| string.strip_prefix(key.as_bytes())?.strip_prefix(b"="));
    values.next().map(|value| String::from_utf8_lossy(value).into_owned())
}

fn signature(data: &[u8]) -> Option<&[u8]> {
    let signed = data.strip_suffix(SIGNED)?;
    let (signed, trailer) = signed.split_at_checked(signed.len().checked_sub(TRAILER)?)?;
    let length = u32::from_be_bytes(*trailer.last_chunk::<4>()?) as usize;
    signed.get(signed.len().checked_sub(length)?..)
}

/// The build id in a note, as `/sys/module/NAME/notes/.note.gnu.build-id` has it: three words, `GNU`, the id.
pub fn build_id_of_note(note: &[u8]) -> Option<Vec<u8>> {
    let bytes = u32::from_le_bytes(*note.get(4..)?.first_chunk::<4>()?) as usize;
    note.get(16..16_usize.checked_add(bytes)?).map(<[u8]>::to_vec)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_that_of_its_whole_key() {
        let modinfo = b"srcplatform=x\0platform=rfl\0vermagic=6.1 SMP \0";
        assert_eq!(info(modinfo, "platform").as_deref(), Some("rfl"));
        assert_eq!(info(modinfo, "plat"), None);
    }

    #[test]
    fn a_signature_is_found_at_the_end_and_a_length_that_lies_is_none() {
        let signed = |length: u8| [b"ELF...SIG", &[0; 8][..], &[0, 0, 0, length], SIGNED].concat();
        assert_eq!(signature(&signed(3)), Some(&b"SIG"[..]));
        assert_eq!(signature(&signed(200)), None);
        assert_eq!(signature(b"ELF...SIG"), None);
        assert_eq!(signature(SIGNED), None);
    }

    #[test]
    fn a_note_gives_its_id_and_a_short_one_none() {
        let note = [&4_u32.to_le_bytes()[..], &2_u32.to_le_bytes(), &3_u32.to_le_bytes(), b"GNU\0", &[7, 9]].concat();
        assert_eq!(build_id_of_note(&note), Some(vec![7, 9]));
        assert_eq!(build_id_of_note(&note[..17]), None);
        assert_eq!(build_id_of_note(b""), None);
    }

    #[test]
    fn what_is_no_module_says_so() {
        assert!(ModuleFile::parse(b"\xfd7zXZ").unwrap_err().starts_with("is no module"));
    }
}
