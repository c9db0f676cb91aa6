//! What an element definition demands must suit the types of the element: codes, lengths, bounds, values.
//! <https://hl7.org/fhir/R4/elementdefinition.html>

use serde_json::{Map, Value};

use super::{
    characteristics::{Has, has},
    choice,
    structure::Subject,
    text,
    types::codes,
};
use crate::profile::{place::Place, say::Say, walk::Walk};

impl<'a> Walk<'a> {
    /// Whether the element's types can have what is demanded of them; `inherited` gives the types where it names none.
    pub fn characteristics(
        &mut self,
        subject: &Subject<'a>,
        element: &'a Value,
        inherited: Option<&Map<String, Value>>,
        at: &Place<'_>,
    ) {
        let Some(members) = element.as_object() else { return };
        let path = text(element, "path").unwrap_or_default();
        let own = codes(element);
        let known = inherited.map(|inherited| Value::Object(inherited.clone()));
        let types: Vec<&str> = match (own.is_empty(), path.contains('.')) {
            (false, _) => own,
            (true, false) => vec![path],
            (true, true) => known.as_ref().map(codes).unwrap_or_default(),
        };
        if types.is_empty() {
            return;
        }
        let demands = [
            ("binding", Has::Codes, "element-binding", "a binding"),
            ("maxLength", Has::Length, "element-max-length", "a greatest length"),
            ("minValue", Has::Range, "element-bounds", "a least value"),
            ("maxValue", Has::Range, "element-bounds", "a greatest value"),
        ];
        for (name, what, rule, called) in demands {
            let stated = members.contains_key(name) || choice(members, name).is_some();
            if stated && types.iter().all(|code| has(code, what) == Some(false)) {
                let sentence = format!("an element of type {} cannot have {called}", types.join(" or "));
                self.raise(at, Some(&subject.rules), Say::error("business-rule", rule, sentence));
            }
        }
        for prefix in ["fixed", "pattern", "defaultValue"] {
            let Some((given, _)) = choice(members, prefix) else { continue };
            let fits = |code: &&str| **code == given || matches!(*code, "*" | "Element" | "Resource");
            if !types.iter().any(fits) {
                let sentence = format!("{prefix} is of type {given}, which the element is not: {}", types.join(" or "));
                self.raise(at, Some(&subject.rules), Say::error("business-rule", "element-value-type", sentence));
            }
        }
    }
}
