//! The data folders of the repository (`mappings/`, `profiles/`, `examples/`, `src/error/pages/`), embedded by
//! `build.rs`: tables of `(path, bytes)`, sorted by path. A leaf below every room; holds no logic.

include!(concat!(env!("OUT_DIR"), "/embedded.rs"));

/// The bytes of one embedded file, by its path below its folder.
#[must_use]
pub fn find(table: &'static [(&'static str, &'static [u8])], path: &str) -> Option<&'static [u8]> {
    table.binary_search_by(|(name, _)| (*name).cmp(path)).ok().map(|at| table[at].1)
}
