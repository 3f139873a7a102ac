// SPDX-License-Identifier: GPL-2.0-only
//! Change tracking for block devices; see `docs/design.md`.
