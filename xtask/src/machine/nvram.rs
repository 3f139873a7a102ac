// SPDX-License-Identifier: GPL-2.0-only
//! The firmware's variables: Microsoft's keys, as machines come with them, and an enrolled Machine Owner Key.
//!
//! Formats: the volume and variable headers are edk2's `MdePkg/Include/Pi/PiFirmwareVolume.h` and
//! `MdeModulePkg/Include/Guid/VariableFormat.h`, signature lists are UEFI 2.10, 32.4.1, and `MokList` is what shim's
//! MokManager writes when somebody enrols a key.

use crate::error::{AtPath, Error, Result};
use std::fs;
use std::path::Path;

/// Variables with Secure Boot on and Microsoft's keys enrolled, of the package ovmf.
const TEMPLATE: &str = "/usr/share/OVMF/OVMF_VARS_4M.ms.fd";

/// `gEfiAuthenticatedVariableGuid`, aaf32c78-947b-439a-a180-2e144ec37792, as it is stored.
const STORE: [u8; 16] = guid(0xaaf3_2c78, 0x947b, 0x439a, 0xa180_2e14_4ec3_7792);
/// `SHIM_LOCK_GUID`, 605dab50-e046-4300-abb6-3dd810dd8b23.
const SHIM: [u8; 16] = guid(0x605d_ab50, 0xe046, 0x4300, 0xabb6_3dd8_10dd_8b23);
/// `EFI_CERT_X509_GUID`, a5c059a1-94e4-4aa7-87b5-ab155c2bf072.
const X509: [u8; 16] = guid(0xa5c0_59a1, 0x94e4, 0x4aa7, 0x87b5_ab15_5c2b_f072);

/// The volume's header comes first; its length is a 16-bit field at this offset.
const VOLUME_HEADER_LENGTH: usize = 48;
/// Signature, size, format, state and reserved bytes.
const STORE_HEADER: usize = 28;
/// `AUTHENTICATED_VARIABLE_HEADER`.
const HEADER: usize = 60;
/// What each variable begins with; unwritten flash is 0xff.
const START: [u8; 2] = [0xaa, 0x55];
/// `VAR_ADDED`.
const ADDED: u8 = 0x3f;
/// `EFI_VARIABLE_NON_VOLATILE | EFI_VARIABLE_BOOTSERVICE_ACCESS`: shim refuses a list that an OS could have written.
const BOOT_ONLY: u32 = 3;

const fn guid(a: u32, b: u16, c: u16, rest: u64) -> [u8; 16] {
    let (a, b, c, rest) = (a.to_le_bytes(), b.to_le_bytes(), c.to_le_bytes(), rest.to_be_bytes());
    [
        a[0], a[1], a[2], a[3], b[0], b[1], c[0], c[1], rest[0], rest[1], rest[2], rest[3], rest[4], rest[5], rest[6],
        rest[7],
    ]
}

/// Writes the variables of a machine whose owner has enrolled `certificate` (X.509, DER).
pub fn write(certificate: &[u8], to: &Path) -> Result<()> {
    let mut flash = fs::read(TEMPLATE).at_path(TEMPLATE)?;
    add(&mut flash, "MokList", &signature_list(certificate)).ok_or_else(|| {
        Error::infra(format!("{TEMPLATE}: this is no variable store of OVMF with room in it"))
            .note("apt-get install --reinstall ovmf")
    })?;
    fs::write(to, flash).at_path(to)
}

/// One certificate as an `EFI_SIGNATURE_LIST`; its owner's GUID means nothing to shim.
fn signature_list(certificate: &[u8]) -> Vec<u8> {
    let signature = 16 + certificate.len() as u32;
    let sizes = [28 + signature, 0, signature].map(u32::to_le_bytes).concat();
    [X509.as_slice(), &sizes, &SHIM, certificate].concat()
}

/// Adds one of shim's variables behind the last one; `None` where the store is none, or full.
fn add(flash: &mut [u8], name: &str, data: &[u8]) -> Option<()> {
    let volume = usize::from(u16::from_le_bytes(*flash.get(VOLUME_HEADER_LENGTH..)?.first_chunk()?));
    let store = flash.get_mut(volume..)?;
    if !store.starts_with(&STORE) {
        return None;
    }
    let size = word(store, 16)?;
    let store = store.get_mut(..size)?;
    let end = end(store)?;
    let variable = variable(name, data);
    store.get_mut(end..end + variable.len())?.copy_from_slice(&variable);
    Some(())
}

/// Where the first unwritten byte is.
fn end(store: &[u8]) -> Option<usize> {
    let mut at = STORE_HEADER;
    while store.get(at..at + 2)? == START {
        at = (at + HEADER).checked_add(word(store, at + 36)?)?.checked_add(word(store, at + 40)?)?.next_multiple_of(4);
    }
    Some(at)
}

fn word(bytes: &[u8], at: usize) -> Option<usize> {
    usize::try_from(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?)).ok()
}

fn variable(name: &str, data: &[u8]) -> Vec<u8> {
    let name: Vec<u8> = name.encode_utf16().chain([0]).flat_map(u16::to_le_bytes).collect();
    let sizes = [name.len() as u32, data.len() as u32].map(u32::to_le_bytes).concat();
    let mut variable = [START.as_slice(), &[ADDED, 0], &BOOT_ONLY.to_le_bytes()].concat();
    // Monotonic count, time stamp and key index are those of authenticated variables.
    variable.resize(36, 0);
    variable.extend([sizes.as_slice(), &SHIM, &name, data].concat());
    variable
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A store with room for `room` bytes of variables.
    fn store(room: usize) -> Vec<u8> {
        let mut flash = vec![0; 72];
        flash[48..50].copy_from_slice(&72_u16.to_le_bytes());
        flash.extend(STORE);
        flash.extend(((STORE_HEADER + room) as u32).to_le_bytes());
        flash.extend([0x5a, 0xfe, 0, 0, 0, 0, 0, 0]);
        flash.resize(flash.len() + room, 0xff);
        flash
    }

    #[test]
    fn a_variable_comes_behind_the_last_one_and_on_a_boundary() {
        let mut flash = store(400);
        add(&mut flash, "Mok", b"odd").unwrap();
        add(&mut flash, "MokList", b"second").unwrap();
        let first = 72 + STORE_HEADER;
        let second = first + (HEADER + 8 + 3usize).next_multiple_of(4);
        assert_eq!(flash[first..first + 4], [0xaa, 0x55, ADDED, 0]);
        assert_eq!(flash[second..second + 4], [0xaa, 0x55, ADDED, 0]);
        assert!(flash[second..].starts_with(&variable("MokList", b"second")));
    }

    #[test]
    fn a_full_store_and_what_is_none_are_left_as_they_are() {
        let mut full = store(20);
        assert_eq!(add(&mut full, "MokList", b"data"), None);
        assert_eq!(full, store(20));
        assert_eq!(add(&mut [], "MokList", b"data"), None);
        assert_eq!(add(&mut vec![0; 4096], "MokList", b"data"), None);
    }

    #[test]
    fn a_guid_is_stored_as_efi_does() {
        assert_eq!(SHIM[..8], [0x50, 0xab, 0x5d, 0x60, 0x46, 0xe0, 0x00, 0x43]);
        let list = signature_list(&[1, 2, 3]);
        assert_eq!((list.len(), list[16], list[24]), (47, 47, 19));
    }
}
