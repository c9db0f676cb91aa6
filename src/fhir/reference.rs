//! References as FHIR writes them (<https://hl7.org/fhir/R4/references.html>): relative, absolute, contained,
//! `urn:uuid`, versioned. Splitting only; nothing is fetched.

use url::Url;

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

/// A server's own base URL: references under it are its own, in every form that it may be written in (scheme, default port,
/// case of the host, trailing slash, relative). Under another base the same `Type/id` is somebody else's.
#[derive(Clone, Debug, Default)]
pub struct OwnBase(Option<Url>);

impl OwnBase {
    /// Of a server with this base URL.
    #[must_use]
    pub fn new(base: &str) -> Self {
        Self(Url::parse(&format!("{}/", base.trim_end_matches('/'))).ok())
    }

    /// Of a server whose base is not known: only relative references are its own.
    #[must_use]
    pub const fn unknown() -> Self {
        Self(None)
    }

    /// Whether a reference's base, as [`Reference::Literal`] has it, is this one.
    #[must_use]
    pub fn is_own(&self, base: &str) -> bool {
        if base.is_empty() {
            return true;
        }
        let Some(own) = &self.0 else { return false };
        let given = match Url::parse(base) {
            Err(url::ParseError::RelativeUrlWithoutBase) => own.join(base),
            given => given,
        };
        given.is_ok_and(|given| place_of(&given) == place_of(own))
    }

    /// `Type/id` of a reference to one of its own resources.
    #[must_use]
    pub fn own(&self, reference: &str) -> Option<(String, String)> {
        match Reference::parse(reference) {
            Reference::Literal { base, kind, id, .. } if self.is_own(base) => Some((kind.to_owned(), id.to_owned())),
            _ => None,
        }
    }
}

/// Host, port and path; the scheme is left out, because behind a proxy a server seldom knows its own.
fn place_of(url: &Url) -> Option<(String, Option<u16>, String)> {
    if !matches!(url.scheme(), "http" | "https") || url.query().is_some() || url.fragment().is_some() {
        return None;
    }
    let host = url.host_str()?.trim_end_matches('.').to_ascii_lowercase();
    let port = url.port().filter(|port| !matches!(port, 80 | 443));
    Some((host, port, url.path().trim_end_matches('/').to_owned()))
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
    use super::{OwnBase, Reference};

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

    #[test]
    fn a_base_is_part_of_a_reference() {
        let own = OwnBase::new("https://ehr.example.com/fhir/");
        for same in [
            "",
            "https://ehr.example.com/fhir",
            "https://ehr.example.com/fhir/",
            "http://ehr.example.com/fhir",
            "https://ehr.example.com:443/fhir",
            "http://ehr.example.com:80/fhir",
            "https://EHR.Example.com/fhir",
            "HTTPS://ehr.example.com./fhir",
            "https://ehr.example.com/x/../fhir",
            "//ehr.example.com/fhir",
            "/fhir",
        ] {
            assert!(own.is_own(same), "{same}");
        }
        for other in [
            "https://regional.example/fhir",
            "https://ehr.example.com/fhir2",
            "https://ehr.example.com/FHIR",
            "https://ehr.example.com:8443/fhir",
            "https://ehr.example.com",
            "https://ehr.example.com.evil.com/fhir",
            "https://evil.com/ehr.example.com/fhir",
            "https://ehr.example.com/fhir/tenant",
            "/",
            "/other",
            "ftp://ehr.example.com/fhir",
            "https://ehr.example.com/fhir?x",
        ] {
            assert!(!own.is_own(other), "{other}");
        }
        assert_eq!(own.own("/fhir/Patient/1"), Some(("Patient".to_owned(), "1".to_owned())));
        assert_eq!(own.own("https://regional.example/fhir/Patient/1"), None);
        assert!(OwnBase::unknown().is_own("") && !OwnBase::unknown().is_own("https://ehr.example.com/fhir"));
    }
}
