//! What stands beside the repository and not in it: test data that others made, programs that others wrote. Where it is missing a
//! test is skipped, in one line that is seen; where it must not be missing (`LIAISON_REQUIRE_SHARED=1`,
//! `LIAISON_REQUIRE_PEERS=1`) the test fails. This file alone decides, for tests, unit tests and benches.

use std::{
    env,
    io::{self, Write},
    path::PathBuf,
};

/// A file or folder of the test data that others made, by its path below `data/`; `None`, said in one line, where it is missing.
pub fn shared(path: &str) -> Option<PathBuf> {
    let beside = || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../shared"));
    let found = env::var_os("LIAISON_SHARED").map_or_else(beside, PathBuf::from).join("data").join(path);
    if found.exists() {
        return Some(found);
    }
    let remedy = "put the test data into ../shared, or name its folder in LIAISON_SHARED";
    missing("LIAISON_REQUIRE_SHARED", &format!("shared/data/{path}"), remedy);
    None
}

/// A program that others wrote cannot be had here: what it is, and what it needs.
pub fn no_peer(what: &str, remedy: &str) {
    missing("LIAISON_REQUIRE_PEERS", what, remedy);
}

fn missing(variable: &str, what: &str, remedy: &str) {
    let thread = std::thread::current();
    let test = thread.name().unwrap_or("a test");
    assert!(env::var(variable).as_deref() != Ok("1"), "{variable}=1, but {what} is missing: {remedy}");
    // Not `eprintln!`: the test harness keeps to itself what a passing test prints. One write, so that lines stay whole.
    let line = format!("skipped: {test}: {what} is missing; to run it, {remedy}\n");
    let _ = io::stderr().write_all(line.as_bytes());
}
