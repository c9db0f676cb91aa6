//! References as FHIR writes them (<https://hl7.org/fhir/R4/references.html>): relative, absolute, contained,
//! `urn:uuid`, versioned. Splitting only; nothing is fetched.

/// A parsed `Reference.reference`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reference<'a> {
    /// `#id`; `#` alone is the container.
    Contained(&'a str),
    /// `Type/id`, maybe with a base URL and a version.
    Literal {
        /// What stands before `Type/id`, without the slash; empty for a relative reference.
        base: &'a str,
        /// Resource type.
        kind: &'a str,
        /// Logical id.
        id: &'a str,
        /// Version after `/_history/`.
        version: Option<&'a str>,
    },
    /// `urn:uuid:…`, `urn:oid:…`.
    Urn(&'a str),
    /// Any other URI.
    Other(&'a str),
}

impl<'a> Reference<'a> {
    /// Takes the text apart; never fails, what fits no form is [`Reference::Other`].
    #[must_use]
    pub fn parse(text: &'a str) -> Self {
        if let Some(id) = text.strip_prefix('#') {
            return Self::Contained(id);
        }
        if text.starts_with("urn:") {
            return Self::Urn(text);
        }
        let (path, version) = match text.split_once("/_history/") {
            Some((path, version)) => (path, Some(version)),
            None => (text, None),
        };
        let mut parts = path.rsplitn(3, '/');
        let (id, kind, base) = (parts.next(), parts.next(), parts.next().unwrap_or(""));
        match (kind, id) {
            (Some(kind), Some(id)) if is_type(kind) && is_id(id) => Self::Literal { base, kind, id, version },
            _ => Self::Other(text),
        }
    }
}

fn is_type(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_uppercase()) && text.bytes().all(|b| b.is_ascii_alphanumeric())
}

/// Whether the text keeps FHIR's rule of ids.
#[must_use]
pub fn is_id(text: &str) -> bool {
    (1..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'.')
}

#[cfg(test)]
mod tests {
    use super::Reference;

    #[test]
    fn forms() {
        assert_eq!(Reference::parse("#a"), Reference::Contained("a"));
        assert_eq!(
            Reference::parse("http://x/fhir/Patient/1/_history/2"),
            Reference::Literal { base: "http://x/fhir", kind: "Patient", id: "1", version: Some("2") }
        );
        assert_eq!(
            Reference::parse("Patient/1"),
            Reference::Literal { base: "", kind: "Patient", id: "1", version: None }
        );
        assert_eq!(Reference::parse("urn:uuid:x"), Reference::Urn("urn:uuid:x"));
        assert_eq!(Reference::parse("Patient?identifier=x"), Reference::Other("Patient?identifier=x"));
    }
}
