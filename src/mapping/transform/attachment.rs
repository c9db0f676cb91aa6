//! Attachments: a stored one (`sha256-…`) is named upstream by its hash, so that its bytes need never be held here.

/// The hash in a resource id or attachment id: 64 hexadecimal digits, with or without `sha256-`.
pub(crate) fn hash_of_id(id: &str) -> Option<&str> {
    let hash = id.strip_prefix("sha256-").unwrap_or(id);
    (hash.len() == 64 && hash.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))).then_some(hash)
}
