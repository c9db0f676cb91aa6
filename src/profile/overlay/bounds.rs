//! Bounds that a profile states on values: least and greatest, lengths, forms, sizes
//! (<https://hl7.org/fhir/R4/elementdefinition.html>).

use std::cmp::Ordering;

use serde_json::Value;

use super::{Demand, value};
use crate::{
    definitions::{Limits, Structure},
    fhirpath::matches,
    profile::{place::Place, primitive::base64_length, say::Say, suggest, walk::Walk},
};

impl Walk<'_> {
    /// Least, greatest, and how long.
    pub(super) fn bounds(&mut self, structure: &Structure, demand: &Demand, value: &Value, place: &Place<'_>) {
        if let Some(length) = demand.max_length
            && let Some(text) = value.as_str()
            && u64::try_from(text.chars().count()).unwrap_or(u64::MAX) > length
        {
            let text = format!("{} is longer than the {length} characters that the profile allows", demand.id);
            self.raise(place, Some(structure), Say::error("too-long", "max-length", text));
        }
        if let Some(limits) = &demand.limits {
            self.limits(structure, demand, limits, value, place);
        }
        let sides = [
            (&demand.min_value, Ordering::Less, "less", "least"),
            (&demand.max_value, Ordering::Greater, "greater", "most"),
        ];
        for (bound, wrong, word, limit) in sides {
            let Some(bound) = bound else { continue };
            let relative = value::relative(bound, value, wrong == Ordering::Less, self.options.now);
            let bound = relative.as_ref().unwrap_or(bound);
            let say = match value::compare(bound, value) {
                Some(ordering) if ordering == wrong => {
                    let text = format!(
                        "{} is {word} than the {limit} that the profile allows: {}",
                        demand.id,
                        shown(&bound.value)
                    );
                    Say::error("value", if wrong == Ordering::Less { "min-value" } else { "max-value" }, text)
                }
                Some(_) => continue,
                None => Say::information(
                    "not-supported",
                    "not-checked",
                    format!("{} cannot be compared with the profile's bound", demand.id),
                ),
            };
            self.raise(place, Some(structure), say);
        }
    }

    fn limits(&mut self, structure: &Structure, demand: &Demand, limits: &Limits, value: &Value, place: &Place<'_>) {
        let length = value.as_str().map(|text| u64::try_from(text.chars().count()).unwrap_or(u64::MAX));
        // A quantity's number is bounded by what is said of the quantity
        let number = value.get("value").unwrap_or(value).as_number();
        let decimals = number.map(|number| {
            let mantissa = number.as_str().split(['e', 'E']).next().unwrap_or_default();
            mantissa.split_once('.').map_or(0, |(_, fraction)| u64::try_from(fraction.len()).unwrap_or(u64::MAX))
        });
        let text = if let (Some(least), Some(length)) = (limits.min_length, length)
            && length < least
        {
            format!("{} is shorter than the {least} characters that the profile demands", demand.id)
        } else if let (Some(regex), Some(text)) = (&limits.regex, value.as_str())
            && matches(regex, text) == Some(false)
        {
            format!("{} does not have the form that the profile demands: {}", demand.id, suggest::name(regex))
        } else if let (Some(most), Some(decimals)) = (limits.decimals, decimals)
            && decimals > most
        {
            format!("{} has more than the {most} decimal places that the profile allows", demand.id)
        } else if let (Some(most), Some(size)) = (limits.size, size(value))
            && size > most
        {
            format!("{} has {size} bytes; the profile allows {most}", demand.id)
        } else {
            return;
        };
        self.raise(place, Some(structure), Say::error("value", "limit", text));
    }
}

/// Bytes of base64 text, or of an attachment as far as it says.
fn size(value: &Value) -> Option<u64> {
    let data = value.get("data").unwrap_or(value).as_str().and_then(base64_length);
    data.and_then(|size| u64::try_from(size).ok()).or_else(|| value.get("size")?.as_number()?.as_str().parse().ok())
}

/// A value that a profile states, cut to a reasonable length.
pub(super) fn shown(value: &Value) -> String {
    suggest::name(&value.to_string())
}
