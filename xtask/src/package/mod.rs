// SPDX-License-Identifier: GPL-2.0-only
//! Packages: recipes, the two programs that pack them, and their versions.

mod recipe;
mod recipes;
mod serves;
mod set;
mod templates;
mod tools;
mod version;

pub use recipe::{DATE, Recipe};
pub use recipes::{Family, MAINTAINER, PublicKeys, Recipes, RpmKernel, SignedModule};
pub use set::{Home, Package, make, serving};
pub use templates::Templates;
pub use tools::Tools;
pub use version::REVISION;
pub use version::of_kernel as kernel_version;
