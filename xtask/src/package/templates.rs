// SPDX-License-Identifier: GPL-2.0-only
//! The templates of `packaging/`: every file that ends in `.j2` is rendered, every other one is taken as it is.

use crate::error::{AtPath, Error, Result};
use minijinja::{AutoEscape, Environment, UndefinedBehavior};
use std::fs;
use std::path::{Path, PathBuf};

/// The directory `packaging/`, read once.
pub struct Templates {
    environment: Environment<'static>,
    root: PathBuf,
}

impl Templates {
    /// Reads the templates below a directory. A template that cannot be parsed is named with its line.
    pub fn read(root: &Path) -> Result<Templates> {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_auto_escape_callback(|_| AutoEscape::None);
        environment.set_keep_trailing_newline(true);
        for name in files(root)?.into_iter().filter(|name| name.ends_with(".j2")) {
            let text = fs::read_to_string(root.join(&name)).at_path(root.join(&name))?;
            environment.add_template_owned(name, text).map_err(|error| refused(root, &error))?;
        }
        Ok(Templates { environment, root: root.to_path_buf() })
    }

    /// Every file of one package's directory, by its name without `.j2`, and those that all packages share.
    pub fn render(&self, template: &str, values: &serde_json::Value) -> Result<Vec<(String, Vec<u8>)>> {
        let dir = self.root.join(template);
        let mut rendered = Vec::new();
        for shared in ["copyright", "changelog"] {
            let path = self.root.join(shared);
            rendered.push((shared.to_string(), fs::read(&path).at_path(&path)?));
        }
        for name in files(&dir)? {
            let text = match name.strip_suffix(".j2") {
                None => (name.clone(), fs::read(dir.join(&name)).at_path(dir.join(&name))?),
                Some(plain) => {
                    let found = self.environment.get_template(&format!("{template}/{name}"));
                    let text = found.and_then(|found| found.render(values));
                    (plain.to_string(), text.map_err(|error| refused(&self.root, &error))?.into_bytes())
                }
            };
            rendered.push(text);
        }
        Ok(rendered)
    }
}

/// The files below a directory by their names from there, sorted.
fn files(dir: &Path) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).at_path(dir)? {
        let entry = entry.at_path(dir)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if entry.path().is_dir() {
            found.extend(files(&entry.path())?.into_iter().map(|below| format!("{name}/{below}")));
        } else {
            found.push(name);
        }
    }
    found.sort();
    Ok(found)
}

fn refused(root: &Path, error: &minijinja::Error) -> Error {
    let place = format!("{}:{}", root.join(error.name().unwrap_or_default()).display(), error.line().unwrap_or(1));
    Error::input(format!("{place}: {error}")).note("packaging/README.md says what each template is given")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_undefined_variable_is_an_error_with_its_place() {
        let root = std::env::temp_dir().join(format!("involflt-templates-{}", std::process::id()));
        fs::create_dir_all(root.join("p")).unwrap();
        for (name, text) in [("copyright", "c"), ("changelog", "c"), ("p/Cargo.toml.j2", "name\n= {{ nmae }}\n")] {
            fs::write(root.join(name), text).unwrap();
        }
        let templates = Templates::read(&root).unwrap();
        let error = templates.render("p", &serde_json::json!({"name": "x"})).unwrap_err();
        fs::remove_dir_all(&root).unwrap();
        assert_eq!(error.kind.exit_code(), 2);
        assert!(error.message.contains("p/Cargo.toml.j2:2: undefined value"), "{error}");
    }
}
