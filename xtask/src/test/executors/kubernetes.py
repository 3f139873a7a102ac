# SPDX-License-Identifier: GPL-2.0-only
"""Validates the object in YAML on standard input strictly: prints what is wrong with it, and ends with 1."""
import sys

import kubernetes_validate
import yaml

try:
    kubernetes_validate.validate(yaml.safe_load(sys.stdin), kubernetes_validate.latest_version(), strict=True)
except kubernetes_validate.ValidationError as error:
    sys.exit(f"{'.'.join(map(str, error.path))}: {error.message}")
