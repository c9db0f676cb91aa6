//! Instances with one mistake each, made from right ones. What FHIR R4 forbids, not a matter of taste; the last ones are
//! forbidden by US Core, which only a validator of profiles can know.

use liaison::fhir::Value;
use serde_json::json;

use crate::support::fixtures::{appointment, patient};

fn with(mut value: Value, pointer: &str, part: Value) -> Value {
    if let Some(place) = value.pointer_mut(pointer)
        && !part.is_null()
    {
        *place = part;
        return value;
    }
    let (parent, name) = pointer.rsplit_once('/').expect("a pointer");
    let place = value.pointer_mut(parent).expect("a place");
    if part.is_null() {
        place.as_object_mut().expect("an object").shift_remove(name);
    } else {
        place[name] = part;
    }
    value
}

/// Name and instance.
pub fn instances() -> Vec<(&'static str, Value)> {
    let (p, a) = (patient, appointment);
    vec![
        ("unknown element", with(p(), "/nickname", json!("Ana"))),
        ("unknown nested element", with(p(), "/contact/0/colour", json!("red"))),
        ("a code outside its required value set", with(p(), "/gender", json!("femal"))),
        ("30 February", with(p(), "/birthDate", json!("1987-02-30"))),
        ("one value where a list stands", with(p(), "/name", json!({"family": "Ruiz"}))),
        ("an empty list", with(p(), "/telecom", json!([]))),
        ("text for a boolean", with(p(), "/active", json!("true"))),
        ("an id with an underscore", with(p(), "/id", json!("p_1"))),
        ("two choices at once", with(with(p(), "/deceasedBoolean", json!(false)), "/deceasedDateTime", json!("2020"))),
        (
            "a reference to a contained resource that is not there (ref-1)",
            with(p(), "/generalPractitioner", json!([{"reference": "#m"}])),
        ),
        ("a contact of nothing (pat-1)", with(p(), "/contact", json!([{"gender": "male"}]))),
        ("a period that ends before it starts (per-1)", with(p(), "/name/0/period/end", json!("2010-01-01"))),
        (
            "a contained resource nobody refers to (dom-3)",
            with(p(), "/contained", json!([{"resourceType": "Organization", "id": "x", "name": "X"}])),
        ),
        (
            "a script in the narrative (txt-1)",
            with(p(), "/text/div", json!("<div xmlns=\"http://www.w3.org/1999/xhtml\"><script>x</script></div>")),
        ),
        (
            "an extension with value and extensions (ext-1)",
            with(p(), "/extension/1/extension", json!([{"url": "x", "valueString": "y"}])),
        ),
        ("status missing", with(a(), "/status", Value::Null)),
        ("no participant", with(a(), "/participant", Value::Null)),
        ("start without end (app-2)", with(a(), "/end", Value::Null)),
        ("an instant without an offset", with(a(), "/start", json!("2026-10-25T09:30:00"))),
        ("a negative unsigned integer", with(a(), "/priority", json!(-1))),
        ("a participant without type and actor (app-1)", with(a(), "/participant/0", json!({"status": "accepted"}))),
        ("US Core: no name", with(p(), "/name", Value::Null)),
        ("US Core: an identifier without a system", with(p(), "/identifier/0/system", Value::Null)),
    ]
}
