//! The program under test: the one that cargo built beside the tests, or, in `make test`, the static binary.

use std::sync::OnceLock;

/// Its path: `FORESTAGE_BINARY`, else the debug build.
pub fn path() -> &'static str {
    static PATH: OnceLock<String> = OnceLock::new();
    PATH.get_or_init(|| given().unwrap_or_else(|| env!("CARGO_BIN_EXE_forestage").to_owned()))
}

/// Whether it is optimised, so that limits of time hold for it.
#[allow(dead_code, reason = "not every suite measures")]
pub fn is_optimised() -> bool {
    given().is_some() || !cfg!(debug_assertions)
}

fn given() -> Option<String> {
    std::env::var("FORESTAGE_BINARY").ok().filter(|path| !path.is_empty())
}
