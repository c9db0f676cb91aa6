//! The form in which values are compared: what does not matter is left out, so that sameness is an equivalence and can
//! be hashed. White space and case where the mapping names them, times as instants, numbers by value, a code's display,
//! the order of a set. Nothing is ever written in this form.

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use serde_json::{Map, Number, Value};
use sha2::{Digest, Sha256};

use super::field::{FieldRule, Sameness};
use crate::{
    domain::Time,
    fhir::{canonical_bytes, canonically_equal, stored},
    mapping::plan::{Forms, Name},
};

/// Of what no rule is about: compared as it stands, but for numbers.
static UNKNOWN: std::sync::LazyLock<FieldRule> =
    std::sync::LazyLock::new(|| FieldRule { ordered: true, unit: super::field::Unit::Whole, ..FieldRule::default() });

/// The rule of a member, or that of what has none.
pub(super) fn member<'r>(rule: &'r FieldRule, name: &str) -> &'r FieldRule {
    rule.members.get(name).unwrap_or(&UNKNOWN)
}

/// The form; none where there is nothing: null, an empty list, an empty object, a text of white space where that does not
/// matter.
pub(super) fn in_form(value: &Value, rule: &FieldRule) -> Option<Value> {
    match value {
        Value::Null => None,
        Value::Bool(_) => Some(value.clone()),
        Value::Number(number) => Some(Value::Number(by_value(number))),
        Value::String(text) => self::text(text, rule).map(Value::String),
        Value::Array(items) => {
            let mut items: Vec<Value> = items.iter().filter_map(|item| in_form(item, rule)).collect();
            if !rule.ordered {
                items.sort_by_cached_key(canonical_bytes);
                items.dedup();
            }
            (!items.is_empty()).then_some(Value::Array(items))
        }
        Value::Object(members) => {
            let members = members.iter().filter_map(|(name, value)| {
                let rule = member(rule, name);
                Some((name.clone(), in_form(value, rule)?))
            });
            let members = without_labels(members.collect(), &rule.same);
            (!members.is_empty()).then_some(Value::Object(members))
        }
    }
}

/// Whether two values are the same; both may be absent.
pub(super) fn same(a: Option<&Value>, b: Option<&Value>, rule: &FieldRule) -> bool {
    if let (Some(a), Some(b)) = (a, b)
        && canonically_equal(a, b)
    {
        return true;
    }
    let form = |value: Option<&Value>| value.and_then(|value| in_form(value, rule));
    match (form(a), form(b)) {
        (Some(a), Some(b)) => canonically_equal(&a, &b),
        (a, b) => a.is_none() && b.is_none(),
    }
}

/// Whether nothing is there.
pub(super) fn absent(value: Option<&Value>, rule: &FieldRule) -> bool {
    value.is_none_or(|value| in_form(value, rule).is_none())
}

/// The form as bytes; two are equal where the values are the same.
pub(super) fn bytes(value: &Value, rule: &FieldRule) -> Option<Vec<u8>> {
    in_form(value, rule).map(|form| canonical_bytes(&form))
}

/// A short hash of what is in form: 128 bits, hexadecimal.
pub(super) fn sum(form: &[u8]) -> String {
    Sha256::digest(form).iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

/// Whether `more` says all that `less` says, and something beside it: an EHR has added to what it was sent.
pub(super) fn extends(less: &Value, more: &Value, rule: &FieldRule) -> bool {
    let (Value::Object(small), Value::Object(large)) = (less, more) else { return false };
    rule.unit != super::field::Unit::Strict
        && small.iter().all(|(name, value)| {
            let (rule, other) = (member(rule, name), large.get(name));
            same(Some(value), other, rule) || other.is_some_and(|other| holds(value, other, rule))
        })
}

fn holds(less: &Value, more: &Value, rule: &FieldRule) -> bool {
    match (less, more) {
        (Value::Array(few), Value::Array(many)) if !rule.ordered => few
            .iter()
            .all(|item| many.iter().any(|other| same(Some(item), Some(other), rule) || extends(item, other, rule))),
        _ => extends(less, more, rule),
    }
}

fn text(text: &str, rule: &FieldRule) -> Option<String> {
    match rule.same {
        Sameness::Moment => match Time::parse(text).ok().and_then(|time| time.instant()) {
            Some(instant) => Some(instant.to_string()),
            None => Some(text.to_owned()),
        },
        Sameness::Clock => Some(match text.split_once('.') {
            Some((clock, fraction)) if fraction.bytes().all(|digit| digit == b'0') => clock.to_owned(),
            Some((clock, fraction)) => format!("{clock}.{}", fraction.trim_end_matches('0')),
            None => text.to_owned(),
        }),
        _ => worded(text, rule.forms),
    }
}

fn worded(text: &str, forms: Forms) -> Option<String> {
    let mut text = text.to_owned();
    if forms.white_space {
        text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        if text.is_empty() {
            return None;
        }
    }
    if forms.case {
        text = text.to_lowercase();
    }
    Some(text)
}

/// The number's value: `1.10`, `1.1` and `11e-1` are one. One whose exponent is beyond counting stays as written.
fn by_value(number: &Number) -> Number {
    let text = number.as_str();
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", text),
    };
    let (mantissa, exponent) = digits.split_once(['e', 'E']).unwrap_or((digits, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let all = [whole, fraction].concat();
    let digits = all.trim_start_matches('0');
    let kept = digits.trim_end_matches('0');
    if kept.is_empty() {
        return Number::from(0);
    }
    let zeros = i64::try_from(digits.len() - kept.len()).unwrap_or(0);
    let places = i64::try_from(fraction.len()).unwrap_or(0);
    let exponent = exponent.parse::<i64>().ok().and_then(|own| own.checked_add(zeros)?.checked_sub(places));
    exponent.and_then(|exponent| format!("{sign}{kept}e{exponent}").parse().ok()).unwrap_or_else(|| number.clone())
}

/// Members that only label the others are left out; a file is known by its bytes.
fn without_labels(mut members: Map<String, Value>, same: &Sameness) -> Map<String, Value> {
    let has = |members: &Map<String, Value>, names: &[Name]| names.iter().all(|name| members.contains_key(&**name));
    match same {
        Sameness::Labelled { label, by } if has(&members, by) => {
            members.shift_remove(&**label);
        }
        Sameness::Reference if ["id", "identifier", "reference"].iter().any(|name| members.contains_key(*name)) => {
            members.shift_remove("display");
        }
        Sameness::File => {
            if let Some(id) = members.get("data").and_then(Value::as_str).and_then(name_of) {
                members.shift_remove("data");
                members.insert("id".to_owned(), Value::String(id));
            }
            if members.contains_key("id") {
                members.shift_remove("size");
            }
        }
        _ => {}
    }
    members
}

/// The name under which bytes are stored.
fn name_of(data: &str) -> Option<String> {
    if let Some(name) = stored::name(data) {
        return Some(name.to_owned());
    }
    let bytes = BASE64.decode(data).ok()?;
    let hash: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    Some(format!("sha256-{hash}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn rule(same: Sameness) -> FieldRule {
        FieldRule { same, ..FieldRule::default() }
    }

    #[test]
    fn numbers_are_the_same_by_value() {
        let number = |text: &str| by_value(&text.parse().unwrap()).to_string();
        for same in ["1.10", "1.1", "11e-1", "0.11E1", "110e-2"] {
            assert_eq!(number(same), number("1.1"), "{same}");
        }
        assert_eq!(number("-0.0"), number("0"));
        assert_ne!(number("-1"), number("1"));
        assert_ne!(number("10"), number("1"));
        assert_ne!(number("1e9999999999999999999"), number("2e9999999999999999999"), "as written");
    }

    #[test]
    fn moments_are_instants_and_dates_stay_as_exact_as_they_are() {
        let same = |a: &str, b: &str| super::same(Some(&json!(a)), Some(&json!(b)), &rule(Sameness::Moment));
        assert!(same("2026-10-25T01:30:00+01:00[Europe/London]", "2026-10-25T00:30:00Z"));
        assert!(same("2026-10-25T01:30:00.000+01:00", "2026-10-25T01:30:00+01:00"));
        assert!(!same("2026-10-25T01:30:00Z", "2026-10-25T01:30:00+01:00"));
        assert!(!same("2026-10", "2026-10-01"));
    }

    #[test]
    fn labels_sets_and_nothing_do_not_matter() {
        let label = Sameness::Labelled { label: "display".into(), by: vec!["system".into(), "code".into()] };
        let coding = rule(label);
        let same = |a: Value, b: Value, rule: &FieldRule| super::same(Some(&a), Some(&b), rule);
        assert!(same(
            json!({"system": "s", "code": "c", "display": "x"}),
            json!({"code": "c", "system": "s"}),
            &coding
        ));
        assert!(
            !same(json!({"code": "c", "display": "x"}), json!({"code": "c", "display": "y"}), &coding),
            "no system"
        );
        let set = FieldRule::default();
        assert!(same(json!(["a", "b"]), json!(["b", "a", null, "a"]), &set));
        assert!(!same(json!(["a", "b"]), json!(["b", "a"]), &FieldRule { ordered: true, ..FieldRule::default() }));
        assert!(super::same(None, Some(&json!({"a": [], "b": null})), &set));
        let file = rule(Sameness::File);
        let id = format!("sha256-{}", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert!(same(json!({"data": "YWJj", "title": "t"}), json!({"id": id, "title": "t", "size": 3}), &file));
        assert!(!same(json!({"data": "YWJk", "title": "t"}), json!({"id": id, "title": "t"}), &file));
    }

    #[test]
    fn white_space_and_case_where_the_mapping_says_so() {
        let forms = |white_space, case| FieldRule { forms: Forms { white_space, case }, ..FieldRule::default() };
        let same = |a: &str, b: &str, rule: &FieldRule| super::same(Some(&json!(a)), Some(&json!(b)), rule);
        assert!(same(" a  b\n", "a b", &forms(true, false)) && !same("a B", "a b", &forms(true, false)));
        assert!(same("a B", "A b", &forms(false, true)) && !same("a ", "a", &forms(false, true)));
        assert!(super::same(Some(&json!(" ")), None, &forms(true, false)));
    }
}
