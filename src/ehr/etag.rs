//! Versions as an EHR tells them: the `ETag` of an answer (RFC 9110, 8.8.3), kept and sent back in `If-Match` byte for
//! byte, whatever its form; a bare `meta.versionId` becomes the weak form that FHIR names
//! (<https://hl7.org/fhir/R4/http.html#concurrency>). Refuses to make one form out of another.

use reqwest::header::HeaderValue;

/// The version in an `ETag`, as it stands there; nothing where it names none. `*` would mean "any" when sent back.
pub(super) fn received(header: &HeaderValue) -> Option<String> {
    // A header's bytes are not always text: each becomes the character of the same number, and back again.
    let text: String = header.as_bytes().iter().map(|byte| char::from(*byte)).collect();
    let text = text.trim();
    (!opaque(text).is_empty() && text != "*").then(|| text.to_owned())
}

/// The version that a `meta.versionId` (or the end of a `_history` address) stands for.
#[must_use]
pub(super) fn of_version_id(id: &str) -> String {
    format!("W/\"{id}\"")
}

/// As `If-Match`.
pub(super) fn if_match(version: &str) -> Option<HeaderValue> {
    let bytes: Result<Vec<u8>, _> = version.chars().map(|c| u8::try_from(u32::from(c))).collect();
    HeaderValue::from_bytes(&bytes.unwrap_or_else(|_| version.as_bytes().to_vec())).ok()
}

/// Whether two versions of one resource are the same by what stands between the quotation marks (a weak comparison):
/// lists tell `versionId` where reads tell an `ETag`. Only for telling whether something moved, never for sending.
#[must_use]
pub fn same_version(one: &str, other: &str) -> bool {
    opaque(one) == opaque(other)
}

/// The number of a version, where versions are counted.
#[must_use]
pub fn version_number(version: &str) -> Option<u64> {
    opaque(version).parse().ok()
}

fn opaque(text: &str) -> &str {
    let text = text.strip_prefix("W/").or_else(|| text.strip_prefix("w/")).unwrap_or(text);
    text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_goes_back_as_it_came() {
        for bytes in [
            &b"W/\"1\""[..],
            b"\"1\"",
            b"1",
            b"\"h1-258\"",
            b"W/\"a\\\"b\"",
            b"W/1",
            b"w/\"7\"",
            b"\"\xe9\xff\"",
            b"\"x y\"",
        ] {
            let version = received(&HeaderValue::from_bytes(bytes).unwrap()).unwrap();
            assert_eq!(if_match(&version).unwrap().as_bytes(), bytes);
        }
        for empty in ["", "\"\"", "W/\"\"", "*"] {
            assert_eq!(received(&HeaderValue::from_static(empty)), None, "{empty}");
        }
    }

    #[test]
    fn sameness_is_weak_and_numbers_are_read_in_every_form() {
        for (one, other) in [("W/\"1\"", "\"1\""), ("1", "W/\"1\""), ("W/\"a\\\"b\"", "\"a\\\"b\"")] {
            assert!(same_version(one, other));
        }
        assert!(!same_version("W/\"1\"", "W/\"10\""));
        assert_eq!(["W/\"7\"", "\"7\"", "7", "\"h1-7\""].map(version_number), [Some(7), Some(7), Some(7), None]);
        assert_eq!(if_match(&of_version_id("3")).unwrap(), "W/\"3\"");
    }
}
