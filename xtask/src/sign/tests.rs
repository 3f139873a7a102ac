// SPDX-License-Identifier: GPL-2.0-only

use super::module_key::{join, split};

#[test]
fn a_signed_module_comes_apart_and_anything_else_does_not() {
    let trailer = [0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 3];
    let signed = [b"module".as_slice(), b"sig", &trailer, b"~Module signature appended~\n"].concat();
    assert_eq!(join(b"module", b"sig"), signed);
    assert_eq!(split(&signed), Some((b"module".as_slice(), b"sig".as_slice())));
    assert_eq!(split(b"module"), None);
    assert_eq!(split(b"~Module signature appended~\n"), None);
    let too_long = [b"m".as_slice(), &[0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 9], b"~Module signature appended~\n"].concat();
    assert_eq!(split(&too_long), None);
}
