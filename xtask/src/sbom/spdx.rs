// SPDX-License-Identifier: GPL-2.0-only
//! SPDX 2.3, JSON.

use super::{About, FileHash, LICENCE, Part, Relation, Subject, sha1};
use serde_json::{Value, json};

/// When the documents were made; SPDX demands a time. It is that of every file in the packages (`package::DATE`).
pub const CREATED: &str = "2026-11-01T00:00:00Z";

pub fn render(subject: &Subject<'_>) -> Value {
    let files: Vec<Value> = subject.files.iter().enumerate().map(|(index, file)| entry(index, file)).collect();
    let parts = subject.parts.iter().enumerate().map(|(index, one)| part(index, one));
    let packages: Vec<Value> = [package(subject)].into_iter().chain(parts).collect();
    json!({
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": "SPDXRef-DOCUMENT",
        "name": subject.recipe.file_name(),
        "documentNamespace": format!("https://spdx.org/spdxdocs/{}-{}", subject.recipe.name, subject.uuid()),
        "creationInfo": { "created": CREATED, "creators": ["Organization: The involflt developers"] },
        "packages": packages,
        "files": files,
        "relationships": relationships(subject),
    })
}

fn package(subject: &Subject<'_>) -> Value {
    json!({
        "SPDXID": "SPDXRef-Package",
        "name": subject.recipe.name,
        "versionInfo": subject.recipe.version(),
        "packageFileName": subject.recipe.file_name(),
        "supplier": "Organization: The involflt developers",
        "downloadLocation": "NOASSERTION",
        "filesAnalyzed": true,
        "packageVerificationCode": { "packageVerificationCodeValue": verification_code(&subject.files) },
        "checksums": [checksum("SHA256", &subject.sha256)],
        "licenseConcluded": LICENCE,
        "licenseDeclared": LICENCE,
        "copyrightText": "NOASSERTION",
        "externalRefs": [reference(&subject.purl())],
    })
}

/// Section 7.9 of the specification: the SHA-1 of all files' SHA-1s, sorted.
fn verification_code(files: &[FileHash]) -> String {
    let mut hashes: Vec<&str> = files.iter().map(|file| file.sha1.as_str()).collect();
    hashes.sort_unstable();
    sha1(hashes.concat().as_bytes())
}

fn part(index: usize, part: &Part) -> Value {
    let licence = part.licence.as_deref().unwrap_or("NOASSERTION");
    let mut value = json!({
        "SPDXID": format!("SPDXRef-Part-{index}"),
        "name": part.name,
        "versionInfo": part.version,
        "downloadLocation": "NOASSERTION",
        "filesAnalyzed": false,
        "licenseConcluded": "NOASSERTION",
        "licenseDeclared": licence,
        "copyrightText": "NOASSERTION",
        "externalRefs": [reference(&part.purl)],
    });
    if let Some(hash) = &part.sha256 {
        value["checksums"] = json!([checksum("SHA256", hash)]);
    }
    value
}

fn entry(index: usize, file: &FileHash) -> Value {
    json!({
        "SPDXID": format!("SPDXRef-File-{index}"),
        "fileName": format!(".{}", file.path),
        "checksums": [checksum("SHA1", &file.sha1), checksum("SHA256", &file.sha256)],
        "licenseConcluded": "NOASSERTION",
        "licenseInfoInFiles": ["NOASSERTION"],
        "copyrightText": "NOASSERTION",
    })
}

fn relationships(subject: &Subject<'_>) -> Vec<Value> {
    let relation = |from: &str, kind: &str, to: &str| json!({ "spdxElementId": from, "relationshipType": kind, "relatedSpdxElement": to });
    let mut all = vec![relation("SPDXRef-DOCUMENT", "DESCRIBES", "SPDXRef-Package")];
    for index in 0..subject.files.len() {
        all.push(relation("SPDXRef-Package", "CONTAINS", &format!("SPDXRef-File-{index}")));
    }
    for (index, part) in subject.parts.iter().enumerate() {
        let id = format!("SPDXRef-Part-{index}");
        all.push(match part.relation {
            Relation::Linked => relation("SPDXRef-Package", "STATIC_LINK", &id),
            Relation::BuiltWith => relation(&id, "BUILD_DEPENDENCY_OF", "SPDXRef-Package"),
        });
    }
    all
}

fn checksum(algorithm: &str, value: &str) -> Value {
    json!({ "algorithm": algorithm, "checksumValue": value })
}

fn reference(purl: &str) -> Value {
    json!({ "referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl", "referenceLocator": purl })
}

/// What a document says of its package.
pub fn read(document: &Value) -> Option<About> {
    if document["spdxVersion"] != "SPDX-2.3" {
        return None;
    }
    let package = document["packages"].as_array()?.iter().find(|package| package["SPDXID"] == "SPDXRef-Package")?;
    let text = |value: &Value| value.as_str().map(String::from);
    let sha256 = |value: &Value| {
        let all = value["checksums"].as_array()?;
        text(&all.iter().find(|one| one["algorithm"] == "SHA256")?["checksumValue"])
    };
    let file = |file: &Value| Some((text(&file["fileName"])?.strip_prefix('.')?.to_string(), sha256(file)?));
    Some(About {
        name: text(&package["name"])?,
        version: text(&package["versionInfo"])?,
        licence: text(&package["licenseDeclared"])?,
        sha256: sha256(package)?,
        files: document["files"].as_array()?.iter().map(file).collect::<Option<_>>()?,
    })
}
