//! One answer's value: its type, and whether it is among the options or in the value set.

use std::sync::Arc;

use serde_json::Value;

use super::{Responses, choice, enable::is_same, extensions, list, text};
use crate::{
    definitions::{Membership, ValueSet},
    profile::{
        place::{Place, What},
        say::Say,
    },
};

const EXCLUSIVE: &str = "http://hl7.org/fhir/StructureDefinition/questionnaire-optionExclusive";

/// The types of value that a type of question takes, as in `valueCoding`.
fn value_types(question: &str) -> &'static [&'static str] {
    match question {
        "boolean" => &["Boolean"],
        "decimal" => &["Decimal"],
        "integer" => &["Integer"],
        "date" => &["Date"],
        "dateTime" => &["DateTime"],
        "time" => &["Time"],
        "string" | "text" => &["String"],
        "url" => &["Uri"],
        "attachment" => &["Attachment"],
        "reference" => &["Reference"],
        "quantity" => &["Quantity"],
        "choice" | "open-choice" => &["Coding", "Date", "Time", "Integer", "String", "Reference"],
        _ => &[],
    }
}

/// The FHIR type of a JSON suffix: `Coding`, `dateTime`.
fn type_name(suffix: &str) -> String {
    match suffix {
        "Coding" | "Quantity" | "Attachment" | "Reference" => suffix.to_owned(),
        other => {
            let mut letters = other.chars();
            letters.next().map(|first| first.to_ascii_lowercase()).into_iter().chain(letters).collect()
        }
    }
}

/// What stands in the way of an answer from a list.
enum Options<'f> {
    None,
    Listed(&'f [Value]),
    Set(&'f str),
}

impl<'f> Responses<'_, '_, 'f> {
    pub(super) fn answer(&mut self, question: &'f Value, answer: &'f Value, answers: usize, place: &Place<'_>) {
        let Some((suffix, value)) = choice(answer) else { return };
        let name = type_name(suffix);
        let key = format!("value{suffix}");
        let at = place.member(&key, "value", Some(&name), None, What::default());
        let kind = text(question, "type").unwrap_or_default();
        let allowed = value_types(kind);
        if !allowed.is_empty() && !allowed.contains(&suffix) {
            let names: Vec<String> = allowed.iter().map(|suffix| type_name(suffix)).collect();
            let text = format!("the answer must be of type {}, not {name}", names.join(", "));
            return self.raise(&at, Say::error("structure", "answer-type", text));
        }
        self.limits(question, suffix, value, place, &at);
        let options = list(question, "answerOption");
        let from = match text(question, "answerValueSet") {
            _ if !options.is_empty() => Options::Listed(options),
            Some(set) => Options::Set(set),
            None => Options::None,
        };
        let open = kind == "open-choice";
        match from {
            Options::Listed(options) => self.among(options, suffix, value, open, answers, place, &at),
            Options::Set(set) => match suffix {
                "Coding" => self.coding_in(set, value, place),
                "String" if kind == "choice" || open => self.no_list(place, "a text"),
                "String" => self.text_in(set, value, &at),
                _ => {}
            },
            Options::None if matches!(kind, "choice" | "open-choice") => self.no_list(place, "the answer"),
            Options::None => {}
        }
    }

    fn no_list(&mut self, place: &Place<'_>, what: &str) {
        let text = format!("{what} cannot be checked: the questionnaire has no list of such options");
        self.raise(place, Say::information("not-supported", "answer-options", text));
    }

    #[expect(clippy::too_many_arguments, reason = "the answer, where it stands, and what it may be")]
    fn among(
        &mut self,
        options: &'f [Value],
        suffix: &str,
        value: &'f Value,
        open: bool,
        answers: usize,
        place: &Place<'_>,
        at: &Place<'_>,
    ) {
        let chosen = options.iter().find(|option| {
            choice(option).is_some_and(|(kind, wanted)| kind == suffix && is_same(suffix, value, kind, wanted))
        });
        // Codings are told apart as wholes, the others by their value
        let at = if suffix == "Coding" { place } else { at };
        match chosen {
            Some(option) => {
                let exclusive = extensions(option, EXCLUSIVE).filter_map(choice).any(|(_, value)| value == true);
                if exclusive && answers > 1 {
                    let text = "this option excludes all others, yet there are several answers";
                    self.raise(place, Say::error("structure", "answer-exclusive", text));
                }
            }
            None if open && suffix == "String" => {
                let stated = value.as_str();
                let is_coded = options.iter().filter_map(choice).any(|(kind, option)| {
                    kind == "Coding" && (text(option, "display") == stated || text(option, "code") == stated)
                });
                if is_coded {
                    let text = "this text is one of the listed options; choose the coded option instead";
                    self.raise(place, Say::warning("business-rule", "answer-options", text));
                }
            }
            None => {
                let text = "the answer is not one of the questionnaire's options";
                self.raise(at, Say::error("structure", "answer-options", text));
            }
        }
    }

    fn value_set(&self, canonical: &str) -> Option<Arc<ValueSet>> {
        let definitions = &self.walk.types.definitions;
        let Some(id) = canonical.strip_prefix('#') else { return definitions.value_set(canonical) };
        // A contained questionnaire's value sets are contained beside it
        let within = |holder: &Value| {
            let found = list(holder, "contained").iter().find(|inner| text(inner, "id") == Some(id))?;
            Some(Arc::new(definitions.value_set_of(found)))
        };
        within(self.form).or_else(|| within(self.scope.container()?))
    }

    fn coding_in(&mut self, canonical: &str, value: &Value, place: &Place<'_>) {
        let Some(code) = text(value, "code") else { return };
        let Some(system) = text(value, "system") else {
            let text = "a Coding without a system has no defined meaning and cannot be checked";
            return self.raise(place, Say::warning("code-invalid", "answer-value-set", text));
        };
        let Some(set) = self.value_set(canonical) else {
            let text = format!("the value set {canonical} of the answers is not at hand");
            return self.raise(place, Say::warning("not-found", "answer-value-set", text));
        };
        match set.contains(Some(system), code) {
            Membership::Yes => {
                let known = self.walk.types.definitions.code_system(system);
                let concept = known.as_ref().and_then(|known| known.concept(code));
                let display = text(value, "display");
                let language = self.walk.options.language.as_deref();
                // The display is what the person saw and chose: with another meaning it is another answer
                if display.zip(concept).is_some_and(|(display, concept)| !concept.is_called_in(display, language)) {
                    let text = "the display of the answer is not that of its code";
                    self.raise(place, Say::error("code-invalid", "answer-display", text));
                }
            }
            Membership::No => {
                let text = format!("the code is not in the value set {} of the answers", set.url);
                self.raise(place, Say::error("code-invalid", "answer-value-set", text));
            }
            Membership::Unknown(why) => {
                let text = format!("the code cannot be checked against the value set {}: {why}", set.url);
                self.raise(place, Say::information("not-supported", "answer-value-set", text));
            }
        }
    }

    /// A text where the questionnaire names a value set: one of its codes.
    fn text_in(&mut self, canonical: &str, value: &Value, at: &Place<'_>) {
        let (Some(set), Some(stated)) = (self.value_set(canonical), value.as_str()) else { return };
        match set.contains(None, stated) {
            Membership::Yes => {}
            Membership::No => {
                let text = format!("the text is no code of the value set {}", set.url);
                self.raise(at, Say::error("code-invalid", "answer-value-set", text));
            }
            Membership::Unknown(why) => {
                let text = format!("the text cannot be checked against the value set {}: {why}", set.url);
                self.raise(at, Say::information("not-supported", "answer-value-set", text));
            }
        }
    }
}
