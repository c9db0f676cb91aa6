//! Limits on an answer's value: least and greatest, length, pattern, decimals, units, an attachment's size and type, a
//! reference's types. From elements of the item and from HL7's extensions.
//! <https://hl7.org/fhir/R4/questionnaire-profiles.html#extensions>

use std::cmp::Ordering;

use rust_decimal::Decimal;
use serde_json::Value;

use super::{Responses, choice, count, extensions, setting, text};
use crate::{
    definitions::Membership,
    fhir::Reference,
    fhirpath::{Item, Kind, Node, Quantity, Temporal, Type, matches},
    profile::{place::Place, primitive, say::Say},
};

pub(super) const MIN_OCCURS: &str = "http://hl7.org/fhir/StructureDefinition/questionnaire-minOccurs";
pub(super) const MAX_OCCURS: &str = "http://hl7.org/fhir/StructureDefinition/questionnaire-maxOccurs";
const MIN_VALUE: &str = "http://hl7.org/fhir/StructureDefinition/minValue";
const MAX_VALUE: &str = "http://hl7.org/fhir/StructureDefinition/maxValue";
const MIN_QUANTITY: &str = "http://hl7.org/fhir/uv/sdc/StructureDefinition/sdc-questionnaire-minQuantity";
const MAX_QUANTITY: &str = "http://hl7.org/fhir/uv/sdc/StructureDefinition/sdc-questionnaire-maxQuantity";
const MIN_LENGTH: &str = "http://hl7.org/fhir/StructureDefinition/minLength";
const REGEX: &str = "http://hl7.org/fhir/StructureDefinition/regex";
const MAX_DECIMALS: &str = "http://hl7.org/fhir/StructureDefinition/maxDecimalPlaces";
const MAX_SIZE: &str = "http://hl7.org/fhir/StructureDefinition/maxSize";
const MIME_TYPE: &str = "http://hl7.org/fhir/StructureDefinition/mimeType";
const UNIT_OPTION: &str = "http://hl7.org/fhir/StructureDefinition/questionnaire-unitOption";
const UNIT_VALUE_SET: &str = "http://hl7.org/fhir/StructureDefinition/questionnaire-unitValueSet";
const REFERENCE_RESOURCE: &str = "http://hl7.org/fhir/StructureDefinition/questionnaire-referenceResource";

/// Orders two texts that are dates or times. What precision leaves open is decided as texts are (`2022-06-30` is after
/// `2022-06`), as HL7's validator does.
pub(super) fn compare_times(left: &str, right: &str) -> Option<Ordering> {
    let read = |text: &str| Temporal::date_time(text).or_else(|| Temporal::time(text));
    Some(read(left)?.compare(&read(right)?).unwrap_or_else(|| left.cmp(right)))
}

fn quantity(value: &Value) -> Option<Quantity<'_>> {
    Item::Node(Node::new(Some(value), None, Type { id: 0, kind: Kind::Quantity })).quantity()
}

/// Orders an answer and a bound of the same type; none where they cannot be compared.
pub(super) fn compare(suffix: &str, value: &Value, bound: &Value) -> Option<Ordering> {
    match (value, bound) {
        (Value::Number(value), Value::Number(bound)) => {
            let read = |text: &str| text.parse().or_else(|_| Decimal::from_scientific(text)).ok();
            Some(Decimal::cmp(&read(value.as_str())?, &read(bound.as_str())?))
        }
        (Value::String(value), Value::String(bound)) if matches!(suffix, "Date" | "DateTime" | "Time") => {
            compare_times(value, bound)
        }
        (Value::String(value), Value::String(bound)) => Some(value.cmp(bound)),
        // Only coded units are comparable: the word in `unit` may mean anything
        (Value::Object(_), Value::Object(_)) if suffix == "Quantity" => {
            let unit = |value| Some((text(value, "system")?, text(value, "code")?));
            let (own, other) = (unit(value)?, unit(bound)?);
            if own.0 != other.0 {
                return None;
            }
            quantity(value)?.compare(&quantity(bound)?)
        }
        _ => None,
    }
}

impl<'f> Responses<'_, '_, 'f> {
    pub(super) fn limits(
        &mut self,
        question: &'f Value,
        suffix: &str,
        value: &'f Value,
        place: &Place<'_>,
        at: &Place<'_>,
    ) {
        for (url, refused, word) in [
            (MIN_VALUE, Ordering::Less, "less than the least"),
            (MIN_QUANTITY, Ordering::Less, "less than the least"),
            (MAX_VALUE, Ordering::Greater, "greater than the greatest"),
            (MAX_QUANTITY, Ordering::Greater, "greater than the greatest"),
        ] {
            let Some((kind, bound)) = setting(question, url) else { continue };
            match compare(suffix, value, bound) {
                Some(order) if order == refused => {
                    let text = format!("the value is {word} that is allowed");
                    self.raise(at, Say::error("business-rule", "answer-bound", text));
                }
                None if kind == "Quantity" && suffix == "Quantity" => {
                    let text = "the quantity cannot be compared with what is allowed: both need comparable coded units";
                    self.raise(at, Say::error("business-rule", "answer-bound", text));
                }
                _ => {}
            }
        }
        match (suffix, value) {
            ("String" | "Uri", Value::String(stated)) => self.text_limits(question, stated, at),
            ("Decimal", Value::Number(number)) => {
                let places = number.as_str().split_once('.').map_or(0, |(_, fraction)| fraction.len());
                if let Some(most) = count(question, MAX_DECIMALS).filter(|most| places > *most) {
                    let text = format!("at most {most} decimal places are allowed");
                    self.raise(at, Say::error("business-rule", "answer-decimals", text));
                }
            }
            ("Quantity", _) => self.unit(question, value, at),
            ("Attachment", _) => self.attachment(question, value, place),
            ("Reference", _) => self.reference(question, value, at),
            _ => {}
        }
    }

    fn text_limits(&mut self, question: &Value, stated: &str, at: &Place<'_>) {
        let length = stated.chars().count();
        let most = question.get("maxLength").and_then(Value::as_number).and_then(|most| most.as_str().parse().ok());
        if let Some(most) = most.filter(|most: &usize| length > *most) {
            let text = format!("the text is longer than the {most} characters that are allowed");
            self.raise(at, Say::error("business-rule", "answer-length", text));
        }
        if let Some(least) = count(question, MIN_LENGTH).filter(|least| length < *least) {
            let text = format!("the text is shorter than the {least} characters that are required");
            self.raise(at, Say::error("business-rule", "answer-length", text));
        }
        let pattern = setting(question, REGEX).and_then(|(_, pattern)| pattern.as_str());
        if pattern.is_some_and(|pattern| matches(pattern, stated) == Some(false)) {
            let text = "the text does not have the form that the questionnaire demands";
            self.raise(at, Say::error("business-rule", "answer-pattern", text));
        }
    }

    fn unit(&mut self, question: &'f Value, value: &Value, at: &Place<'_>) {
        let (system, code) = (text(value, "system"), text(value, "code"));
        let mut options = extensions(question, UNIT_OPTION).filter_map(choice).peekable();
        if options.peek().is_some()
            && !options.any(|(_, option)| text(option, "code") == code && text(option, "system") == system)
        {
            let text = "the unit is not one of those that the questionnaire offers";
            self.raise(at, Say::error("business-rule", "answer-unit", text));
        }
        let Some(set) = setting(question, UNIT_VALUE_SET).and_then(|(_, set)| set.as_str()) else { return };
        let Some(known) = self.walk.types.definitions.value_set(set) else { return };
        if code.is_none_or(|code| known.contains(system, code) == Membership::No) {
            let text = format!("the unit is not in the value set {} of the units", known.url);
            self.raise(at, Say::error("business-rule", "answer-unit", text));
        }
    }

    fn attachment(&mut self, question: &'f Value, value: &Value, place: &Place<'_>) {
        let read = |number: &Value| number.as_number()?.as_str().parse::<Decimal>().ok();
        let size = text(value, "data")
            .and_then(primitive::base64_length)
            .map(Decimal::from)
            .or_else(|| value.get("size").and_then(read));
        let most = setting(question, MAX_SIZE).and_then(|(_, most)| read(most));
        if let (Some(size), Some(most)) = (size, most)
            && size > most
        {
            let text = format!("the attachment has {size} bytes; at most {most} are allowed");
            self.raise(place, Say::error("business-rule", "answer-attachment", text));
        }
        let mut types = extensions(question, MIME_TYPE).filter_map(choice).peekable();
        if types.peek().is_some() {
            let own = text(value, "contentType");
            if !types.any(|(_, allowed)| own.is_some() && allowed.as_str() == own) {
                let text = "the attachment's contentType is not one of those that the questionnaire allows";
                self.raise(place, Say::error("business-rule", "answer-attachment", text));
            }
        }
    }

    fn reference(&mut self, question: &'f Value, value: &Value, at: &Place<'_>) {
        let allowed: Vec<&str> =
            extensions(question, REFERENCE_RESOURCE).filter_map(choice).filter_map(|(_, kind)| kind.as_str()).collect();
        let Some(stated) = text(value, "reference") else { return };
        let Reference::Literal { kind, .. } = Reference::parse(stated) else { return };
        if allowed.is_empty() || self.walk.types.resource(kind).is_none() || allowed.contains(&kind) {
            return;
        }
        let text = format!("a reference to {kind} is not allowed here; allowed: {}", allowed.join(", "));
        self.raise(at, Say::error("structure", "reference-target-type", text));
    }
}
