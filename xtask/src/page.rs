// SPDX-License-Identifier: GPL-2.0-only
//! Pages for a browser: templates, and links that hold whatever a name has in it.

use crate::error::{Error, Result};
use minijinja::{AutoEscape, Environment, UndefinedBehavior};
use serde::Serialize;

/// What every page is made in.
const SHARED: [(&str, &str); 2] =
    [("layout.html", include_str!("../templates/layout.html")), ("style.css", include_str!("../templates/style.css"))];

/// The text of a page. Every value in it is escaped, and one that the template wants and does not get is an error.
pub fn render(name: &str, template: &str, values: impl Serialize) -> Result<String> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_auto_escape_callback(|_| AutoEscape::Html);
    environment.set_trim_blocks(true);
    environment.set_lstrip_blocks(true);
    environment.set_keep_trailing_newline(true);
    let shared = SHARED.into_iter().try_for_each(|(name, text)| environment.add_template(name, text));
    let page = shared.and_then(|()| environment.render_str(template, values));
    page.map_err(|error| Error::infra(format!("{name}: {error:#}")))
}

/// A relative path as a relative URL; what is not plainly allowed in one is percent-encoded.
pub fn url(path: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/+".contains(&byte);
    path.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odd_names_make_good_links() {
        assert_eq!(url("a b/6.1+x#1?.log"), "a%20b/6.1+x%231%3F.log");
    }
}
