// SPDX-License-Identifier: GPL-2.0-only
//! Files with a mistake in them, and what is said of it.
