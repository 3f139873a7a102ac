// SPDX-License-Identifier: GPL-2.0-only
//! CycloneDX 1.5, JSON.

use super::{About, FileHash, LICENCE, Part, Relation, Subject};
use serde_json::{Value, json};

pub fn render(subject: &Subject<'_>) -> Value {
    let recipe = subject.recipe;
    let components: Vec<Value> = subject.parts.iter().map(part).chain(subject.files.iter().map(file)).collect();
    let depends: Vec<&str> = subject.parts.iter().map(|part| part.purl.as_str()).collect();
    json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "serialNumber": format!("urn:uuid:{}", subject.uuid()),
        "version": 1,
        "metadata": {
            "component": {
                "type": "application",
                "bom-ref": subject.purl(),
                "supplier": { "name": "The involflt developers" },
                "name": recipe.name,
                "version": recipe.version(),
                "hashes": [sha256(&subject.sha256)],
                "licenses": [{ "license": { "id": LICENCE } }],
                "purl": subject.purl(),
            },
        },
        "components": components,
        "dependencies": [{ "ref": subject.purl(), "dependsOn": depends }],
    })
}

fn part(part: &Part) -> Value {
    let mut value = json!({
        "type": "library",
        "bom-ref": part.purl,
        "name": part.name,
        "version": part.version,
        "scope": match part.relation { Relation::Linked => "required", Relation::BuiltWith => "excluded" },
        "purl": part.purl,
    });
    if let Some(licence) = &part.licence {
        value["licenses"] = json!([{ "expression": licence }]);
    }
    if let Some(hash) = &part.sha256 {
        value["hashes"] = json!([sha256(hash)]);
    }
    value
}

fn file(file: &FileHash) -> Value {
    json!({ "type": "file", "name": file.path, "hashes": [sha256(&file.sha256)] })
}

fn sha256(hash: &str) -> Value {
    json!({ "alg": "SHA-256", "content": hash })
}

/// What a document says of its package.
pub fn read(document: &Value) -> Option<About> {
    if document["bomFormat"] != "CycloneDX" || document["specVersion"] != "1.5" {
        return None;
    }
    let package = &document["metadata"]["component"];
    let text = |value: &Value| value.as_str().map(String::from);
    let hash =
        |value: &Value| text(&value["hashes"].as_array()?.iter().find(|one| one["alg"] == "SHA-256")?["content"]);
    let files = document["components"].as_array()?.iter().filter(|one| one["type"] == "file");
    Some(About {
        name: text(&package["name"])?,
        version: text(&package["version"])?,
        licence: text(&package["licenses"][0]["license"]["id"])?,
        sha256: hash(package)?,
        files: files.map(|file| Some((text(&file["name"])?, hash(file)?))).collect::<Option<_>>()?,
    })
}
