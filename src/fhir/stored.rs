//! Bytes that a resource's `data` stands for without holding them: instead of base64 it names them, `sha256-…`. No base64
//! has a `-`, so neither can be taken for the other. Who sends such a resource puts the bytes in on the way out.

use serde_json::Value;

use super::Object;

/// The name of the bytes, if `data` is one.
#[must_use]
pub fn name(data: &str) -> Option<&str> {
    let hash = data.strip_prefix("sha256-")?;
    (hash.len() == 64 && hash.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))).then_some(data)
}

/// Tells `found` every object below `value` whose `data` is a name, with the name.
pub fn each<'a>(value: &'a Value, found: &mut dyn FnMut(&'a Object, &'a str)) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| each(item, found)),
        Value::Object(members) => {
            if let Some(name) = super::member(members, "data").and_then(Value::as_str).and_then(name) {
                found(members, name);
            }
            members.values().for_each(|inner| each(inner, found));
        }
        _ => {}
    }
}

/// The same with a few bytes in each such place, for whoever judges all but the bytes; none where there is no such place.
#[must_use]
pub fn stand_in(value: &Value) -> Option<Value> {
    let mut any = false;
    each(value, &mut |_, _| any = true);
    any.then(|| {
        let mut copy = value.clone();
        fill(&mut copy);
        copy
    })
}

fn fill(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(fill),
        Value::Object(members) => {
            let named = super::member(members, "data").and_then(Value::as_str).and_then(name).is_some();
            if named {
                members.shift_remove("hash");
            }
            for (key, inner) in members.iter_mut() {
                match (named, key.as_str()) {
                    (true, "data") => *inner = "AAAA".into(),
                    // The size of what stands there now; what was said of the bytes is judged elsewhere.
                    (true, "size") if inner.is_number() => *inner = 3.into(),
                    _ => fill(inner),
                }
            }
        }
        _ => {}
    }
}

/// A resource's JSON, cut where such bytes belong: text, name, text, name, …, text. The quotes stand in the texts.
#[must_use]
pub fn cut(json: &[u8]) -> Vec<&[u8]> {
    // Within a string every quote has a backslash before it, so this can only be a member.
    const MARK: &[u8] = b"\"data\":\"sha256-";
    const LENGTH: usize = "sha256-".len() + 64;
    let (mut pieces, mut from, mut at) = (Vec::new(), 0, 0);
    while at + MARK.len() + 64 < json.len() {
        let begins = at + b"\"data\":\"".len();
        let named = json[at..].starts_with(MARK)
            && std::str::from_utf8(&json[begins..begins + LENGTH]).is_ok_and(|text| name(text).is_some())
            && json[begins + LENGTH] == b'"';
        if named {
            pieces.extend([&json[from..begins], &json[begins..begins + LENGTH]]);
            (from, at) = (begins + LENGTH, begins + LENGTH);
        } else {
            at += 1;
        }
    }
    pieces.push(&json[from..]);
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn named_bytes_are_found_and_nothing_else() {
        let hash = "0123456789abcdef".repeat(4);
        let named = format!("sha256-{hash}");
        let resource = json!({
            "text": format!("\"data\":\"{named}\""), "data": named, "other": named,
            "content": [{ "attachment": { "data": named, "size": 9, "hash": "x" } }, { "attachment": { "data": "AAAA" } }],
        });
        let mut found = 0;
        each(&resource, &mut |_, name| {
            assert_eq!(name, named);
            found += 1;
        });
        assert_eq!(found, 2);
        let text = resource.to_string();
        let pieces = cut(text.as_bytes());
        assert_eq!((pieces.len(), pieces[1], pieces[3]), (5, named.as_bytes(), named.as_bytes()));
        assert_eq!(pieces.concat(), text.as_bytes());
        let stand_in = stand_in(&resource).unwrap();
        assert_eq!((&stand_in["data"], &stand_in["other"]), (&json!("AAAA"), &json!(named)));
        assert_eq!(stand_in["content"][0]["attachment"], json!({ "data": "AAAA", "size": 3 }));
        assert!(super::stand_in(&json!({ "data": "AAAA" })).is_none());
        assert_eq!(cut(b"{}"), [b"{}"]);
    }
}
