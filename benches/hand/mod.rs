//! Conversions between internal objects and FHIR as a programmer would write them by hand: typed structs, serde, one
//! function a direction. What `mapping` is measured against (`benches/mapping.rs`); they say the same and make the same.

use std::borrow::Cow;

use liaison::domain::Time;
use serde::{Deserialize, Serialize};

pub mod appointment;
pub mod letter;
pub mod patient;

/// The instance of all identifiers here.
pub const INSTANCE: &str = "bench";

/// A word or code: borrowed where it comes out of a table.
pub type Word = Cow<'static, str>;

/// A struct whose absent members are left out.
macro_rules! record {
    ($(#[$doc:meta])* $name:ident { $($(#[$more:meta])* $field:ident : $type:ty),* $(,)? }) => {
        #[derive(Clone, Debug, Default, Deserialize, Serialize)]
        $(#[$doc])*
        #[serde(deny_unknown_fields)]
        pub struct $name {
            $($(#[$more])* #[serde(default, skip_serializing_if = "crate::hand::Missing::missing")] pub $field: $type),*
        }
    };
}
pub(crate) use record;

pub trait Missing {
    fn missing(&self) -> bool;
}

impl<T> Missing for Option<T> {
    fn missing(&self) -> bool {
        self.is_none()
    }
}

impl<T> Missing for Vec<T> {
    fn missing(&self) -> bool {
        self.is_empty()
    }
}

record!(Identifier { system: Option<String>, value: Option<String> });
record!(Pointer {
    object: Option<String>, id: Option<String>, identifier: Option<Identifier>, reference: Option<String>,
    r#type: Option<String>, display: Option<String>,
});
record!(Reference { reference: Option<String>, r#type: Option<Word>, identifier: Option<Identifier>, display: Option<String> });
record!(Coding { system: Option<String>, version: Option<String>, code: Option<String>, display: Option<String> });
record!(Concept { codes: Vec<Coding>, text: Option<String> });
record!(CodeableConcept { coding: Vec<Coding>, text: Option<String> });
record!(Span { from: Option<String>, to: Option<String> });
record!(Beside { extension: Vec<Extension> });
record!(Period {
    start: Option<String>, #[serde(rename = "_start")] start_: Option<Beside>,
    end: Option<String>, #[serde(rename = "_end")] end_: Option<Beside>,
});
record!(
    #[serde(rename_all = "camelCase")]
    Extension {
        url: Option<Word>, extension: Vec<Extension>, value_code: Option<Word>, value_string: Option<String>,
        value_url: Option<String>, value_boolean: Option<bool>, value_positive_int: Option<u32>,
        value_coding: Option<Coding>,
    }
);

impl Extension {
    pub fn named(url: &'static str) -> Self {
        Self { url: Some(url.into()), ..Self::default() }
    }
}

const TYPES: [(&str, &str); 13] = [
    ("patient", "Patient"),
    ("practitioner", "Practitioner"),
    ("practitioner-role", "PractitionerRole"),
    ("organization", "Organization"),
    ("location", "Location"),
    ("encounter", "Encounter"),
    ("condition", "Condition"),
    ("procedure", "Procedure"),
    ("observation", "Observation"),
    ("slot", "Slot"),
    ("referral", "ServiceRequest"),
    ("diagnostic-report", "DiagnosticReport"),
    ("letter", "DocumentReference"),
];

/// The other side of a word in a table; what is in none is refused.
pub fn code(table: &[(&'static str, &'static str)], word: &str) -> Word {
    table.iter().find(|row| row.0 == word).expect("a word of the list").1.into()
}

/// The word of a code; none for an unknown one.
pub fn word(table: &[(&'static str, &'static str)], code: &str) -> Option<Word> {
    table.iter().find(|row| row.1 == code).map(|row| row.0.into())
}

pub fn identifiers(object: &str, id: Option<String>, others: Vec<Identifier>) -> Vec<Identifier> {
    let own = id.map(|id| Identifier { system: Some(format!("urn:liaison:{INSTANCE}:{object}")), value: Some(id) });
    own.into_iter().chain(others).collect()
}

/// Our id and the other identifiers.
pub fn parted(object: &str, all: Vec<Identifier>) -> (Option<String>, Vec<Identifier>) {
    let own = format!("urn:liaison:{INSTANCE}:{object}");
    let (ours, others): (Vec<_>, Vec<_>) =
        all.into_iter().partition(|identifier| identifier.system.as_ref() == Some(&own));
    (ours.into_iter().next().and_then(|own| own.value), others)
}

pub fn reference(pointer: Pointer) -> Reference {
    let kind = pointer.object.as_deref().map(|object| code(&TYPES, object));
    let own =
        |object: &String, id| Identifier { system: Some(format!("urn:liaison:{INSTANCE}:{object}")), value: Some(id) };
    let identifier = match (&pointer.object, pointer.id) {
        (Some(object), Some(id)) => Some(own(object, id)),
        _ => pointer.identifier,
    };
    let r#type = kind.or(pointer.r#type.map(Word::Owned));
    Reference { reference: pointer.reference, r#type, identifier, display: pointer.display }
}

pub fn pointer(reference: Reference) -> Pointer {
    let display = reference.display;
    let Some(Identifier { system, value }) = reference.identifier else {
        return Pointer { reference: reference.reference, display, ..Pointer::default() };
    };
    let own = system.as_deref().and_then(|system| {
        system.strip_prefix("urn:liaison:")?.strip_prefix(INSTANCE)?.strip_prefix(':').map(str::to_owned)
    });
    if own.is_some() {
        return Pointer { object: own, id: value, display, ..Pointer::default() };
    }
    let object = reference.r#type.as_deref().and_then(|kind| word(&TYPES, kind)).map(Word::into_owned);
    Pointer { object, identifier: Some(Identifier { system, value }), display, ..Pointer::default() }
}

const ZONE: &str = "http://hl7.org/fhir/StructureDefinition/tz-code";

/// A time as FHIR has it, its zone beside it; impossible ones are refused, as the mapping does.
pub fn time(text: Option<String>) -> (Option<String>, Option<Beside>) {
    let Some(text) = text else { return (None, None) };
    let time = Time::parse(&text).expect("a time");
    let beside = time.zone().map(|zone| Beside {
        extension: vec![Extension { value_code: Some(zone.to_owned().into()), ..Extension::named(ZONE) }],
    });
    (Some(time.without_zone()), beside)
}

pub fn moment(text: Option<String>, beside: Option<Beside>) -> Option<String> {
    let zone = beside.and_then(|beside| beside.extension.into_iter().find(|e| e.url.as_deref() == Some(ZONE)));
    match (text?, zone.and_then(|zone| zone.value_code)) {
        (text, Some(zone)) => Some(Time::parse(&text).map_or(text, |time| time.in_zone(&zone).to_string())),
        (text, None) => Some(text),
    }
}

pub fn period(span: Span) -> Period {
    let ((start, start_), (end, end_)) = (time(span.from), time(span.to));
    Period { start, start_, end, end_ }
}

pub fn span(period: Period) -> Span {
    Span { from: moment(period.start, period.start_), to: moment(period.end, period.end_) }
}

pub fn codeable(concept: Concept) -> CodeableConcept {
    CodeableConcept { coding: concept.codes, text: concept.text }
}

pub fn concept(codeable: CodeableConcept) -> Concept {
    Concept { codes: codeable.coding, text: codeable.text }
}

/// Each of a list.
pub fn each<A, B>(list: Vec<A>, with: impl FnMut(A) -> B) -> Vec<B> {
    list.into_iter().map(with).collect()
}
