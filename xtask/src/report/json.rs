// SPDX-License-Identifier: GPL-2.0-only
//! `matrix.json`, as `docs/matrix-json.md` and `docs/matrix.schema.json` describe it.

use crate::error::{Error, Result};
use crate::result::{LeftOut, Results, Row};
use serde::{Deserialize, Serialize};

/// Raised when a reader of the old form would misread the new one; a field added is no such change.
const FORMAT: u32 = 1;

#[derive(Serialize)]
struct Matrix<'a> {
    format: u32,
    kernels: &'a [&'a Row],
    left_out: &'a [LeftOut],
}

#[derive(Deserialize)]
struct OwnedMatrix {
    format: u32,
    kernels: Vec<Row>,
    #[serde(default)]
    left_out: Vec<LeftOut>,
}

/// The file's text for rows in this order.
pub fn render(rows: &[&Row], left_out: &[LeftOut]) -> Result<String> {
    let text = serde_json::to_string_pretty(&Matrix { format: FORMAT, kernels: rows, left_out });
    text.map(|text| text + "\n").map_err(|error| Error::infra(format!("matrix.json: {error}")))
}

/// What the file's text says.
pub fn parse(text: &str) -> Result<Results> {
    let matrix: OwnedMatrix = serde_json::from_str(text).map_err(|error| Error::input(error.to_string()))?;
    match matrix.format {
        FORMAT => Ok(Results { rows: matrix.kernels, left_out: matrix.left_out }),
        other => Err(Error::input(format!("format {other} where {FORMAT} was expected"))
            .note("make it again with `cargo xtask build-matrix`")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;
    use serde_json::Value;

    /// Checks the parts of JSON Schema that `docs/matrix.schema.json` uses, and refuses any other.
    fn conforms(value: &Value, schema: &Value, root: &Value, place: &str) {
        for (keyword, rule) in schema.as_object().unwrap() {
            match keyword.as_str() {
                "$schema" | "$id" | "title" | "description" | "$defs" | "additionalProperties" => {}
                "$ref" => {
                    let path = rule.as_str().unwrap().trim_start_matches('#');
                    conforms(value, root.pointer(path).unwrap(), root, place);
                }
                "type" => assert!(has_type(value, rule), "{place}: {value} is no {rule}"),
                "const" => assert_eq!(value, rule, "{place}"),
                "enum" => assert!(rule.as_array().unwrap().contains(value), "{place}: {value}"),
                "minimum" => assert!(value.as_u64() >= rule.as_u64(), "{place}: {value}"),
                "pattern" => {
                    assert_eq!(rule, "^[0-9a-f]{64}$", "{place}: a pattern the test does not know");
                    let hex = |text: &str| text.len() == 64 && text.bytes().all(|b| b"0123456789abcdef".contains(&b));
                    assert!(value.as_str().is_none_or(hex), "{place}: {value}");
                }
                "items" => value.as_array().unwrap().iter().for_each(|item| conforms(item, rule, root, place)),
                "properties" => properties(value, schema, root, place),
                "required" => {
                    let all: Vec<_> = schema["properties"].as_object().unwrap().keys().map(String::as_str).collect();
                    let mut named: Vec<_> =
                        rule.as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
                    named.sort_unstable();
                    assert_eq!(named, all, "{place}: every field is always there");
                }
                other => panic!("{place}: the test does not know the keyword {other}"),
            }
        }
    }

    fn properties(value: &Value, schema: &Value, root: &Value, place: &str) {
        let fields = value.as_object().unwrap();
        let known = schema["properties"].as_object().unwrap();
        for (name, rule) in known {
            let place = format!("{place}.{name}");
            conforms(fields.get(name).unwrap_or_else(|| panic!("{place} is not there")), rule, root, &place);
        }
        for name in fields.keys() {
            assert!(known.contains_key(name), "{place}.{name} is not in the schema");
        }
    }

    fn has_type(value: &Value, rule: &Value) -> bool {
        let is = |name: &str| match name {
            "object" => value.is_object(),
            "array" => value.is_array(),
            "string" => value.is_string(),
            "integer" => value.is_u64(),
            "null" => value.is_null(),
            other => panic!("the test does not know the type {other}"),
        };
        match rule {
            Value::Array(names) => names.iter().any(|name| is(name.as_str().unwrap())),
            name => is(name.as_str().unwrap()),
        }
    }

    #[test]
    fn the_file_is_what_the_schema_says() {
        let rows = sample::rows();
        let text = render(&rows.iter().collect::<Vec<_>>(), &sample::left_out()).unwrap();
        let schema: Value = serde_json::from_str(include_str!("../../../docs/matrix.schema.json")).unwrap();
        conforms(&serde_json::from_str(&text).unwrap(), &schema, &schema, "matrix");
    }

    #[test]
    fn every_field_is_in_the_document() {
        let schema: Value = serde_json::from_str(include_str!("../../../docs/matrix.schema.json")).unwrap();
        let document = include_str!("../../../docs/matrix-json.md");
        for place in ["/properties", "/$defs/kernel/properties", "/$defs/disk/properties", "/$defs/left_out/properties"]
        {
            for name in schema.pointer(place).unwrap().as_object().unwrap().keys() {
                assert!(document.contains(&format!("`{name}`")), "docs/matrix-json.md does not name {name}");
            }
        }
    }

    #[test]
    fn a_later_format_is_refused() {
        let error = parse(r#"{"format": 2, "kernels": []}"#).unwrap_err();
        assert_eq!(error.kind.exit_code(), 2);
    }
}
