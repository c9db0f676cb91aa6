//! One page of a list. Where its JSON breaks the reader's rules, it is taken apart: the entries that can be read are,
//! those that cannot are handed on as bytes, so that one broken record does not hide the others. Each piece still goes
//! through the one reader. Refuses to guess: where the page itself cannot be taken apart, it is unreadable as a whole.

use bytes::Bytes;
use serde_json::Value;

use crate::fhir;

/// A list as far as it can be read.
#[derive(Debug)]
pub struct Listed {
    /// The bundle with its readable entries.
    pub bundle: Value,
    /// Entries that cannot be read.
    pub unreadable: Vec<Bytes>,
    /// What the EHR's clock said, where it says so.
    pub at: Option<jiff::Timestamp>,
}

/// Reads a page; nothing where it is no JSON object at all.
#[must_use]
pub fn read(body: &[u8]) -> Option<Listed> {
    if let Ok(bundle) = fhir::read(body) {
        return Some(Listed { bundle, unreadable: Vec::new(), at: None });
    }
    let (from, to, pieces) = apart(body)?;
    let mut bundle = fhir::read(&[&body[..from], &body[to..]].concat()).ok()?;
    let (mut entries, mut unreadable) = (Vec::new(), Vec::new());
    for piece in pieces {
        match fhir::read(piece) {
            Ok(entry) => entries.push(entry),
            Err(_) => unreadable.push(Bytes::copy_from_slice(piece)),
        }
    }
    bundle.as_object_mut()?.insert("entry".to_owned(), Value::Array(entries));
    Some(Listed { bundle, unreadable, at: None })
}

/// Where the content of the top level's `entry` array begins and ends, and its items, told by brackets alone.
fn apart(body: &[u8]) -> Option<(usize, usize, Vec<&[u8]>)> {
    let mut pieces = Vec::new();
    let (mut depth, mut string, mut begun) = (0_usize, None, 0);
    // The last text at the top level, and where the array of that name begins.
    let (mut name, mut array): (&[u8], Option<usize>) = (b"", None);
    let mut at = 0;
    while let Some(byte) = body.get(at) {
        match (string, byte) {
            (Some(_), b'\\') => at += 1,
            (Some(from), b'"') => {
                if depth == 1 {
                    name = &body[from..at];
                }
                string = None;
            }
            (Some(_), _) => {}
            (None, b'"') => string = Some(at + 1),
            (None, b'{' | b'[') => {
                depth += 1;
                if array.is_none() && depth == 2 && *byte == b'[' && name == b"entry" {
                    array = Some(at + 1);
                } else if array.is_some() && depth == 3 {
                    begun = at;
                }
            }
            (None, b'}' | b']') => {
                depth = depth.checked_sub(1)?;
                if let Some(from) = array {
                    match depth {
                        2 => pieces.push(&body[begun..=at]),
                        1 => return Some((from, at, pieces)),
                        _ => {}
                    }
                }
            }
            _ => {}
        }
        at += 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_broken_entry_does_not_hide_the_others() {
        let page = br#"{"resourceType": "Bundle", "link": [{"relation": "next", "url": "?page=2"}], "total": 4,
            "entry": [{"resource": {"resourceType": "Patient", "id": "1", "note": "a \"quoted\" ] brace }"}},
            {"resource": {"resourceType": "Patient", "id": "2", "id": "3"}},
            {"resource": {"resourceType": "Patient", "id": "4", "birthDate": }},
            {"resource": {"resourceType": "Patient", "id": "5"}}], "meta": {"entry": [1]}}"#;
        let listed = read(page).expect("taken apart");
        let ids: Vec<&Value> =
            listed.bundle["entry"].as_array().unwrap().iter().map(|entry| &entry["resource"]["id"]).collect();
        assert_eq!(ids, ["1", "5"]);
        assert_eq!(listed.unreadable.len(), 2);
        assert_eq!(listed.bundle["link"][0]["url"], "?page=2");
        assert_eq!(listed.bundle["total"], 4);
    }

    #[test]
    fn what_is_cut_off_or_no_list_is_unreadable() {
        for page in [
            "{\"resourceType\": \"Bundle\", \"entry\": [{\"resource\": {\"id\": \"1\"}},",
            "<html>sorry</html>",
            "{\"resourceType\": \"Bundle\", \"total\": }",
            "]]]]",
            "",
        ] {
            assert!(read(page.as_bytes()).is_none(), "{page}");
        }
    }
}
