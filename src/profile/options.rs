//! What a caller may ask of a validation: profiles to meet and HL7's switches by their names.
//! (<https://confluence.hl7.org/display/FHIR/Using+the+FHIR+Validator>). Refuses unknown switches, never ignores them.

use super::ValidateError;
use crate::fhir::outcome::Severity;

/// How far references to other resources are followed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ReferencePolicy {
    /// References that leave the resource and its bundle are not looked for.
    #[default]
    Ignore,
    /// The type that the reference's text names must be allowed.
    CheckTypeIfExists,
    /// The target must be at hand.
    CheckExists,
    /// The target must be at hand and of an allowed type.
    CheckExistsAndType,
    /// The target must be at hand and meet the profiles asked of it.
    CheckValid,
}

/// How contained resources are treated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ContainedPolicy {
    /// Validated as what they are.
    #[default]
    CheckValid,
    /// Not looked into.
    Ignore,
}

/// What a breach of a best-practice recommendation (dom-6 and its like) is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BestPractice {
    /// Nothing.
    Ignore,
    /// Information.
    Hint,
    /// A warning.
    #[default]
    Warning,
    /// An error.
    Error,
}

impl BestPractice {
    /// How bad a breach is; none where it is nothing.
    #[must_use]
    pub const fn severity(self) -> Option<Severity> {
        match self {
            Self::Ignore => None,
            Self::Hint => Some(Severity::Information),
            Self::Warning => Some(Severity::Warning),
            Self::Error => Some(Severity::Error),
        }
    }
}

/// What to validate against, and how strictly.
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of HL7's validator, by its name")]
#[derive(Clone, Debug)]
pub struct Options {
    /// Canonicals that the resource must meet beside its base type and its `meta.profile`.
    pub profiles: Vec<String>,
    /// `examples`: example URLs (`example.org`, `acme.com`) are allowed. Default true.
    pub examples: bool,
    /// `security-checks`: text that looks like HTML is an error, not a warning. Default false.
    pub security_checks: bool,
    /// `noHtmlInMarkdown`: HTML tags in markdown are an error, not a warning. Default false.
    pub no_html_in_markdown: bool,
    /// `for-publication`: conformance resources are held to HL7's publication rules. Default false.
    pub for_publication: bool,
    /// `assumeValidRestReferences`: the type in a reference's text is the target's type. Default false.
    pub assume_valid_rest_references: bool,
    /// `no-experimental-content`: experimental value sets and code systems are an error. Default false.
    pub no_experimental_content: bool,
    /// `allowed-extension-domain`: prefixes of extension URLs that need no definition. Naming some says that others do.
    pub extension_domains: Vec<String>,
    /// `anyExtensionsAllowed`: extensions without a definition at hand are information instead of an error. Default true,
    /// as R4 has it (nobody may refuse a resource because of extensions that he does not know); HL7's suite says false.
    pub unknown_extensions: bool,
    /// A size or hash of inline data that is not the data's is a warning instead of an error. Default false; what is taken
    /// in or handed on says true, so that a letter is not kept out for it.
    pub doubtful_data: bool,
    /// `best-practice`. Default warning.
    pub best_practice: BestPractice,
    /// `validateReference`. Default ignore.
    pub references: ReferencePolicy,
    /// `validateContains`. Default check.
    pub contained: ContainedPolicy,
    /// `language`: language that displays are compared in (BCP 47); none means any.
    pub language: Option<String>,
    /// The instant that `now()` and bounds relative to now are reckoned from; without it they are not checked.
    pub now: Option<jiff::Timestamp>,
    /// Report must-support elements that are absent, as information. Default false.
    pub must_support: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            profiles: Vec::new(),
            examples: true,
            security_checks: false,
            no_html_in_markdown: false,
            for_publication: false,
            assume_valid_rest_references: false,
            no_experimental_content: false,
            extension_domains: Vec::new(),
            unknown_extensions: true,
            doubtful_data: false,
            best_practice: BestPractice::default(),
            references: ReferencePolicy::default(),
            contained: ContainedPolicy::default(),
            language: None,
            now: None,
            must_support: false,
        }
    }
}

impl Options {
    /// The defaults with profiles to meet.
    #[must_use]
    pub fn with_profiles(profiles: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self { profiles: profiles.into_iter().map(Into::into).collect(), ..Self::default() }
    }

    /// Sets one of HL7's switches by its name, as `NAME` or `NAME=VALUE`. `allow-comments` is a matter of reading
    /// (`fhir::json::Limits::comments`); it is accepted here and changes nothing.
    ///
    /// # Errors
    /// [`ValidateError::UnknownOption`] or [`ValidateError::OptionValue`].
    pub fn set(&mut self, switch: &str) -> Result<(), ValidateError> {
        let (name, value) = match switch.split_once('=') {
            Some((name, value)) => (name.trim(), Some(value.trim())),
            None => (switch.trim(), None),
        };
        let bad = |allowed: &'static str| ValidateError::OptionValue { name: name.to_owned(), allowed };
        let flag = || match value.map(str::to_ascii_lowercase).as_deref() {
            None | Some("true" | "") => Ok(true),
            Some("false") => Ok(false),
            Some(_) => Err(bad("true, false")),
        };
        match name {
            "examples" => self.examples = flag()?,
            "security-checks" => self.security_checks = flag()?,
            "noHtmlInMarkdown" => self.no_html_in_markdown = flag()?,
            "allow-comments" => {
                flag()?;
            }
            "for-publication" => self.for_publication = flag()?,
            "assumeValidRestReferences" => self.assume_valid_rest_references = flag()?,
            "no-experimental-content" => self.no_experimental_content = flag()?,
            "must-support" => self.must_support = flag()?,
            "allowed-extension-domain" => {
                let domains = value.filter(|text| !text.is_empty()).ok_or_else(|| bad("a URL prefix"))?;
                self.extension_domains.extend(domains.split(',').map(|domain| domain.trim().to_owned()));
                self.unknown_extensions = false;
            }
            "anyExtensionsAllowed" => self.unknown_extensions = flag()?,
            "language" => self.language = value.filter(|text| !text.is_empty()).map(str::to_owned),
            "best-practice" => {
                self.best_practice = match value.map(str::to_ascii_lowercase).as_deref() {
                    Some("ignore") => BestPractice::Ignore,
                    Some("hint" | "information") => BestPractice::Hint,
                    None | Some("" | "true" | "warning") => BestPractice::Warning,
                    Some("error") => BestPractice::Error,
                    Some(_) => return Err(bad("ignore, hint, warning, error")),
                }
            }
            "validateReference" => {
                self.references = match value {
                    Some("IGNORE") => ReferencePolicy::Ignore,
                    Some("CHECK_TYPE_IF_EXISTS") => ReferencePolicy::CheckTypeIfExists,
                    Some("CHECK_EXISTS") => ReferencePolicy::CheckExists,
                    Some("CHECK_EXISTS_AND_TYPE") => ReferencePolicy::CheckExistsAndType,
                    Some("CHECK_VALID") => ReferencePolicy::CheckValid,
                    _ => {
                        return Err(bad(
                            "IGNORE, CHECK_TYPE_IF_EXISTS, CHECK_EXISTS, CHECK_EXISTS_AND_TYPE, CHECK_VALID",
                        ));
                    }
                }
            }
            "validateContains" => {
                self.contained = match value {
                    Some("IGNORE") => ContainedPolicy::Ignore,
                    Some("CHECK_VALID") => ContainedPolicy::CheckValid,
                    _ => return Err(bad("IGNORE, CHECK_VALID")),
                }
            }
            _ => return Err(ValidateError::UnknownOption { name: name.to_owned() }),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn switches_by_name() {
        let mut options = Options::default();
        for switch in ["examples=false", "security-checks", "validateReference=CHECK_EXISTS", "best-practice=error"] {
            options.set(switch).unwrap();
        }
        assert!(!options.examples && options.security_checks);
        assert_eq!(options.references, ReferencePolicy::CheckExists);
        assert_eq!(options.best_practice, BestPractice::Error);
        assert!(options.unknown_extensions, "R4: unknown extensions are no reason to refuse");
        options.set("allowed-extension-domain=http://a.example/").unwrap();
        assert!(!options.unknown_extensions, "who names domains means that there are others");
        options.set("anyExtensionsAllowed").unwrap();
        assert!(options.unknown_extensions);
        options.set("anyExtensionsAllowed=false").unwrap();
        assert!(!options.unknown_extensions);
        assert!(matches!(options.set("exampels"), Err(ValidateError::UnknownOption { .. })));
        assert!(matches!(options.set("examples=maybe"), Err(ValidateError::OptionValue { .. })));
        assert!(matches!(options.set("validateContains"), Err(ValidateError::OptionValue { .. })));
    }
}
