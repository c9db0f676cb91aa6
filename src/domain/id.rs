//! Newtypes for names and ids. An object's id is the client's or a UUIDv7, and is also its `/fhir` id, so it
//! keeps FHIR's rule: `[A-Za-z0-9.-]{1,64}` (<https://hl7.org/fhir/R4/datatypes.html#id>).

use std::fmt;

/// An id that breaks the rule; holds no part of the offending text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an id is 1 to 64 of the characters A-Z a-z 0-9 . -")]
pub struct BadId;

macro_rules! name_type {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(std::sync::Arc<str>);

        impl $name {
            /// Checks the rule.
            ///
            /// # Errors
            /// [`BadId`] where the text breaks it.
            pub fn new(text: &str) -> Result<Self, BadId> {
                let good = (1..=64).contains(&text.len())
                    && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'.' || b == b'-');
                if good { Ok(Self(text.into())) } else { Err(BadId) }
            }
            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = BadId;
            fn try_from(text: String) -> Result<Self, BadId> {
                Self::new(&text)
            }
        }
        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0.as_ref().to_owned()
            }
        }
        impl std::str::FromStr for $name {
            type Err = BadId;
            fn from_str(text: &str) -> Result<Self, BadId> {
                Self::new(text)
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

name_type!(
    /// An object's id: the client's, else UUIDv7.
    ObjectId
);
name_type!(
    /// An internal object's name as in `mappings/<object>/`, for example `clinic-session`.
    ObjectName
);
name_type!(
    /// The name of an external system as in `[[systems]] name`; `local` is the gateway's own `/fhir`.
    SystemName
);

#[cfg(test)]
mod tests {
    use super::ObjectId;

    #[test]
    fn rule_of_ids() {
        assert!(ObjectId::new("a.B-9").is_ok());
        for bad in ["", "a b", "ä", "a/b", &"x".repeat(65)] {
            assert!(ObjectId::new(bad).is_err(), "{bad}");
        }
    }
}
