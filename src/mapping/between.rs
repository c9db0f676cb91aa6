//! Rules between the fields of an internal object (`checks:` in mappings and fragments): an end after its start, a message with
//! something in it, a file that is not too long. Data, so that analysts can add what their house demands; what R4 allows all
//! the same is a warning. Refuses quoting what an object says.

use jiff::{ToSpan, civil::Date};

use super::{
    check::Fault,
    plan::{Condition, Name, found},
};
use crate::{
    domain::Time,
    error::Finding,
    fhir::{Value, inner},
};

/// A rule with the place of the objects that it is about.
#[derive(Debug)]
pub(crate) struct Between {
    /// From the whole object down, through lists; empty: the whole object.
    pub(crate) path: Vec<Name>,
    pub(crate) name: Name,
    /// Fields of the object at `path`, dotted.
    pub(crate) fields: Vec<Vec<Name>>,
    pub(crate) test: Test,
    /// Only where this holds.
    pub(crate) when: Option<Condition>,
    pub(crate) says: Name,
    pub(crate) remedy: Name,
    pub(crate) warns: bool,
}

/// What is demanded.
#[derive(Debug)]
pub(crate) enum Test {
    /// The second of two times is not before the first. Told only where it is certain.
    Order,
    /// One of the fields says something.
    Some,
    /// FHIRPath.
    Holds(Condition),
    /// Base64 of so many bytes at most.
    Bytes(usize),
}

/// What holds an error of one rule.
const ERROR: &str = "LIA-MAP-016";
const WARNING: &str = "LIA-MAP-017";

impl Between {
    /// What breaks the rule in an object.
    pub(crate) fn faults(&self, internal: &Value) -> Vec<Fault> {
        let mut faults = Vec::new();
        found(internal, &self.path, "", false, &mut |at, value| {
            if value.is_object() && self.when.as_ref().is_none_or(|when| when.holds(value)) {
                self.judge(value, &at, &mut faults);
            }
        });
        faults
    }

    fn judge(&self, value: &Value, at: &str, faults: &mut Vec<Fault>) {
        match &self.test {
            Test::Order => {
                if let [first, second] = self.fields.as_slice()
                    && let (Some(start), Some(end)) = (text_at(value, first), text_at(value, second))
                    && is_before(end, start)
                {
                    faults.push(self.fault(at, pointer(at, second)));
                }
            }
            Test::Some => {
                let says =
                    |field: &Vec<Name>| self::at(value, field).is_some_and(|value| !super::run::is_absent(value));
                if !self.fields.iter().any(says) {
                    faults.push(self.fault(at, self.first(value, at)));
                }
            }
            Test::Holds(condition) => {
                if !condition.holds(value) {
                    faults.push(self.fault(at, self.first(value, at)));
                }
            }
            Test::Bytes(most) => {
                for field in &self.fields {
                    found(value, field, at, false, &mut |pointer, data| {
                        if data.as_str().is_some_and(|data| bytes_of(data) > *most) {
                            faults.push(Fault { at: pointer.clone(), about: Vec::new(), ..self.fault(at, pointer) });
                        }
                    });
                }
            }
        }
    }

    /// The first of the fields that is there, else the first that could be.
    fn first(&self, value: &Value, at: &str) -> String {
        let there = self.fields.iter().find(|field| self::at(value, field).is_some());
        there.or(self.fields.first()).map_or_else(|| at.to_owned(), |field| pointer(at, field))
    }

    fn fault(&self, at: &str, pointer: String) -> Fault {
        let about = self.fields.iter().filter_map(|field| field.first()).map(|name| name.to_string()).collect();
        let code = if self.warns { WARNING } else { ERROR };
        let finding =
            Finding { pointer, code: code.to_owned(), detail: self.says.to_string(), remedy: self.remedy.to_string() };
        Fault { finding, at: at.to_owned(), about, rule: Name::clone(&self.name) }
    }

    /// The pointers of two times that stand the wrong way round, to be exchanged: for generated objects.
    pub(crate) fn turned(&self, internal: &Value) -> Vec<(String, String)> {
        let (Test::Order, [first, second]) = (&self.test, self.fields.as_slice()) else { return Vec::new() };
        let faults = self.faults(internal);
        faults.into_iter().map(|fault| (pointer(&fault.at, first), pointer(&fault.at, second))).collect()
    }
}

fn pointer(at: &str, field: &[Name]) -> String {
    field.iter().fold(at.to_owned(), |at, name| format!("{at}/{name}"))
}

fn at<'v>(value: &'v Value, field: &[Name]) -> Option<&'v Value> {
    field.iter().try_fold(value, |at, name| inner(at, name))
}

fn text_at<'v>(value: &'v Value, field: &[Name]) -> Option<&'v str> {
    at(value, field)?.as_str()
}

/// How many bytes base64 stands for.
fn bytes_of(base64: &str) -> usize {
    base64.trim_end_matches('=').len() * 3 / 4
}

/// Whether a time is before another, whatever zone a date may be meant in; times of day as they are written.
fn is_before(a: &str, b: &str) -> bool {
    if let (Some(a), Some(b)) = (clock(a), clock(b)) {
        return a < b;
    }
    let (Ok(a), Ok(b)) = (Time::parse(a), Time::parse(b)) else { return false };
    match (a.instant(), b.instant()) {
        (Some(a), Some(b)) => a < b,
        (Some(a), None) => dates(&b).is_some_and(|(first, _)| seconds(first) - DAY > a.as_second()),
        (None, Some(b)) => dates(&a).is_some_and(|(_, after)| seconds(after) + DAY <= b.as_second()),
        (None, None) => dates(&a).zip(dates(&b)).is_some_and(|((_, after), (first, _))| after <= first),
    }
}

/// A date begins and ends somewhere on earth within so many seconds.
const DAY: i64 = 14 * 60 * 60;

fn seconds(date: Date) -> i64 {
    date.to_zoned(jiff::tz::TimeZone::UTC).map_or(0, |zoned| zoned.timestamp().as_second())
}

/// The first day of a partial date, and the first after it.
fn dates(time: &Time) -> Option<(Date, Date)> {
    let text = time.without_zone();
    let mut parts = text.split('-').map(str::parse::<i16>);
    let year = parts.next()?.ok()?;
    let mut next = || parts.next()?.ok().and_then(|part| i8::try_from(part).ok());
    let (month, day) = (next(), next());
    let first = Date::new(year, month.unwrap_or(1), day.unwrap_or(1)).ok()?;
    let length = match (month, day) {
        (None, _) => 1.year(),
        (Some(_), None) => 1.month(),
        (Some(_), Some(_)) => 1.day(),
    };
    Some((first, first.checked_add(length).ok()?))
}

/// A time of day in parts that compare.
fn clock(text: &str) -> Option<&str> {
    (text.len() >= 8 && text.as_bytes()[2] == b':' && text.as_bytes()[5] == b':').then_some(text)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::mapping::Mappings;

    #[test]
    fn what_is_before_what_for_certain() {
        for (a, b) in [
            ("2026-05-04T09:30:00Z", "2026-05-04T09:30:01Z"),
            ("2026-05-04T11:00:00+02:00", "2026-05-04T09:30:00Z"),
            ("2026-10-25T01:30:00+01:00[Europe/London]", "2026-10-25T01:30:00+00:00[Europe/London]"),
            ("2025", "2026-01"),
            ("2026-02-28", "2026-03"),
            ("2026-05-04", "2026-05-06T00:00:00Z"),
            ("2026-05-02T00:00:00Z", "2026-05-04"),
            ("08:30:00", "12:00:00.5"),
        ] {
            assert!(is_before(a, b), "{a} < {b}");
            assert!(!is_before(b, a), "{b} < {a}");
        }
        for (a, b) in [
            ("2026-05-04", "2026-05-04"),
            ("2026", "2026-05"),
            ("2026-05-04", "2026-05-04T00:00:00Z"),
            ("2026-05-04T20:00:00Z", "2026-05-05"),
            ("soon", "2026"),
            ("2026-05-04T09:30:00Z", "2026-05-04T10:30:00+01:00"),
        ] {
            assert!(!is_before(a, b) && !is_before(b, a), "{a} and {b}");
        }
    }

    fn found(object: &str, internal: &Value) -> Vec<String> {
        let mappings = Mappings::embedded().unwrap();
        let kind = mappings.object(object).unwrap();
        let told = kind.validate(internal).into_iter().chain(kind.warnings(internal));
        told.filter(|finding| finding.code.starts_with("LIA-MAP-01"))
            .map(|finding| format!("{} {}", if finding.code == ERROR { "error" } else { "warning" }, finding.pointer))
            .collect()
    }

    #[test]
    fn what_the_field_demands() {
        let who = json!([{ "who": { "display": "x" }, "reply": "accepted" }]);
        let backwards = json!({ "from": "2026-05-04", "to": "2026-05-03" });
        for (object, internal, wanted) in [
            (
                "appointment",
                json!({ "status": "booked", "participants": who, "start": "2026-05-04T09:30:00Z", "end": "2026-05-04T09:00:00Z" }),
                &["error /end"][..],
            ),
            (
                "appointment",
                json!({ "status": "booked", "participants": [{ "reply": "accepted", "time": backwards }], "wished_periods": [backwards] }),
                &["error /participants/0/time/to", "error /wished_periods/0/to"],
            ),
            (
                "waitlist-entry",
                json!({ "status": "waiting", "participants": who, "start": "2026-05-04T09:30:00Z", "end": "2026-05-04T09:00:00Z" }),
                &["error /end"],
            ),
            (
                "slot",
                json!({ "session": { "display": "x" }, "status": "free", "start": "2026-05-04T09:30:00Z", "end": "2026-05-04T09:30:00Z" }),
                &[],
            ),
            (
                "attendee-reply",
                json!({ "appointment": { "display": "x" }, "reply": "accepted", "attendee": { "display": "x" }, "proposed_start": "2026-05-04T09:30:00Z", "proposed_end": "2026-05-03T09:30:00Z" }),
                &["error /proposed_end"],
            ),
            ("patient", json!({}), &["error /names"]),
            ("patient", json!({ "names": [{ "use": "official" }], "gender": "female" }), &["error /names"]),
            ("patient", json!({ "identifiers": [{ "system": "MRN" }] }), &["error /identifiers"]),
            (
                "patient",
                json!({ "identifiers": [{ "value": "7" }], "birth_date": "1990", "died_on": "1980" }),
                &["error /died_on"],
            ),
            ("organization", json!({ "active": true }), &["error /name"]),
            ("practitioner", json!({ "active": true }), &["warning /names"]),
            ("message", json!({ "status": "sent" }), &["error /parts", "warning /recipients"]),
            ("message", json!({ "status": "being prepared" }), &[]),
            (
                "message",
                json!({ "status": "sent", "topic": { "text": "x" }, "recipients": [{ "display": "x" }], "sent_at": "2026-05-04", "received_at": "2026-05-02" }),
                &["error /received_at"],
            ),
            (
                "letter",
                json!({ "status": "current", "files": [{ "file": { "data": "A".repeat(1_398_104) } }] }),
                &["error /files/0/file/data"],
            ),
            (
                "letter",
                json!({ "status": "current", "files": [{ "file": { "data": format!("{}==", "A".repeat(1_398_102)) } }] }),
                &[],
            ),
            (
                "letter",
                json!({ "status": "current", "files": [{ "file": { "title": "x" } }] }),
                &["warning /files/0/file/data"],
            ),
            (
                "condition",
                json!({ "patient": { "display": "x" }, "began": { "on": "2026" }, "ended": { "on": "2025-12" } }),
                &["error /ended/on"],
            ),
            (
                "task",
                json!({ "status": "requested", "intent": "order", "description": "x", "made_on": "2026-05-04", "changed_on": "2026-05-03", "due": backwards }),
                &["error /changed_on", "error /due/to"],
            ),
        ] {
            let mut told = found(object, &internal);
            told.sort();
            assert_eq!(told, wanted, "{object}");
        }
    }

    #[test]
    fn a_rule_that_was_broken_locks_no_other_field() {
        let mappings = Mappings::embedded().unwrap();
        let kind = mappings.object("appointment").unwrap();
        let before = json!({ "status": "booked", "participants": [{ "reply": "accepted", "time": { "from": "2026-05-04", "to": "2026-05-03" } }],
            "start": "2026-05-04T09:30:00Z", "end": "2026-05-04T09:00:00Z" });
        let mut after = before.clone();
        after["comment"] = "x".into();
        after["participants"].as_array_mut().unwrap().insert(0, json!({ "reply": "declined" }));
        assert_eq!(kind.new_faults(&before, &after), []);
        after["start"] = "2026-05-04T09:45:00Z".into();
        after["participants"][1]["time"]["to"] = "2026-05-02".into();
        let told: Vec<String> = kind.new_faults(&before, &after).into_iter().map(|fault| fault.pointer).collect();
        assert_eq!(told.len(), 2, "{told:?}");
    }
}
