# SPDX-License-Identifier: GPL-2.0-only
"""Validates SBOMs against what their formats' own projects publish: one line for each problem, exit code 1 for any.

Usage: validate.py FILE..., each named *.cdx.json or *.spdx.json
"""

import json
import sys
from pathlib import Path

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from spdx_tools.spdx.parser.jsonlikedict.json_like_dict_parser import JsonLikeDictParser
from spdx_tools.spdx.parser.error import SPDXParsingError
from spdx_tools.spdx.validation.document_validator import validate_full_spdx_document

CYCLONEDX = JsonStrictValidator(SchemaVersion.V1_5)


def cyclonedx(text):
    error = CYCLONEDX.validate_str(text)
    return [str(error)] if error else []


def spdx(text):
    try:
        document = JsonLikeDictParser().parse(json.loads(text))
    except SPDXParsingError as error:
        return error.get_messages()
    return [message.validation_message for message in validate_full_spdx_document(document, "SPDX-2.3")]


def problems(path):
    text = Path(path).read_text(encoding="utf-8")
    return cyclonedx(text) if path.endswith(".cdx.json") else spdx(text)


found = [f"{path}: {problem}" for path in sys.argv[1:] for problem in problems(path)]
print("\n".join(found))
sys.exit(1 if found else 0)
