//! How the static binary is linked: what every run executes comes first (linking/learn says why), and the tables for
//! unwinding, which nothing reads since a panic aborts, stay out.

use std::env;

fn main() {
    println!("cargo::rerun-if-changed=linking/first.ld");
    let is = |variable: &str, value: &str| env::var(variable).is_ok_and(|found| found == value);
    if is("CARGO_CFG_TARGET_ENV", "musl") && is("PROFILE", "release") {
        let package = env::var("CARGO_MANIFEST_DIR").unwrap_or_default();
        println!("cargo::rustc-link-arg-bin=forestage=-Wl,-T,{package}/linking/first.ld");
    }
}
