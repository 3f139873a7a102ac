// SPDX-License-Identifier: GPL-2.0-only
//! The few fields of an X.509 certificate that tie a module's signature to a key that the kernel trusts.

/// A certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// Issuer and serial number, DER, as a PKCS#7 signature names its signer.
    issuer_and_serial: Vec<u8>,
    /// Subject key identifier, lower-case hexadecimal: `/proc/keys` shows a key under it.
    pub key_id: String,
}

/// The extension `subjectKeyIdentifier`, 2.5.29.14.
const KEY_ID: &[u8] = &[0x06, 0x03, 0x55, 0x1d, 0x0e];
const OCTETS: u8 = 0x04;
const SEQUENCE: u8 = 0x30;
const INTEGER: u8 = 0x02;
const VERSION: u8 = 0xa0;

impl Certificate {
    /// Reads a certificate in DER; `None` where it is none, or has no subject key identifier.
    pub fn parse(der: &[u8]) -> Option<Self> {
        let certificate = value(SEQUENCE, take(der)?.0)?;
        let body = value(SEQUENCE, take(certificate)?.0)?;
        let (first, rest) = take(body)?;
        let rest = if first[0] == VERSION { rest } else { body };
        let (serial, rest) = take(rest)?;
        let (_algorithm, rest) = take(rest)?;
        let (issuer, _) = take(rest)?;
        value(INTEGER, serial)?;
        value(SEQUENCE, issuer)?;
        let at = der.windows(KEY_ID.len()).position(|window| window == KEY_ID)? + KEY_ID.len();
        let key_id = value(OCTETS, take(value(OCTETS, take(&der[at..])?.0)?)?.0)?;
        let key_id = key_id.iter().map(|byte| format!("{byte:02x}")).collect();
        Some(Certificate { issuer_and_serial: [issuer, serial].concat(), key_id })
    }

    /// Whether a PKCS#7 signature names this certificate as its signer's.
    pub fn has_signed(&self, signature: &[u8]) -> bool {
        signature.windows(self.issuer_and_serial.len()).any(|window| window == self.issuer_and_serial)
    }
}

/// The first element of DER, header and all, and what follows it.
fn take(der: &[u8]) -> Option<(&[u8], &[u8])> {
    der.split_at_checked(header(der)?.1)
}

/// The value of one element with this tag.
fn value(tag: u8, element: &[u8]) -> Option<&[u8]> {
    let (start, end) = header(element)?;
    (element[0] == tag).then_some(element.get(start..end)?)
}

/// Where an element's value begins and ends.
fn header(der: &[u8]) -> Option<(usize, usize)> {
    let first = usize::from(*der.get(1)?);
    let (start, length) = match first.checked_sub(0x80) {
        None => (2, first),
        Some(count @ 1..=4) => {
            let digits = der.get(2..2 + count)?;
            (2 + count, digits.iter().fold(0, |sum, &digit| sum << 8 | usize::from(digit)))
        }
        Some(_) => return None,
    };
    Some((start, start.checked_add(length)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    // openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=involflt test" -outform DER
    const CERTIFICATE: &[u8] = include_bytes!("testdata/certificate.der");
    // openssl cms -sign -binary -nocerts -noattr -outform DER, by that certificate
    const SIGNATURE: &[u8] = include_bytes!("testdata/signature.p7s");

    #[test]
    fn a_signature_by_the_certificate_is_told_from_another() {
        let certificate = Certificate::parse(CERTIFICATE).unwrap();
        assert!(certificate.has_signed(SIGNATURE));
        let other = Certificate { issuer_and_serial: vec![1, 2, 3, 4, 5, 6, 7, 8], ..certificate };
        assert!(!other.has_signed(SIGNATURE));
        assert!(!other.has_signed(b""));
    }

    #[test]
    fn the_key_id_is_what_openssl_prints() {
        let expected = include_str!("testdata/key-id").trim();
        assert_eq!(Certificate::parse(CERTIFICATE).unwrap().key_id, expected);
    }

    #[test]
    fn a_certificate_cut_anywhere_is_no_certificate_or_the_same_one() {
        let whole = Certificate::parse(CERTIFICATE).unwrap();
        for length in 0..CERTIFICATE.len() {
            assert!(Certificate::parse(&CERTIFICATE[..length]).is_none_or(|cut| cut == whole));
        }
    }
}
