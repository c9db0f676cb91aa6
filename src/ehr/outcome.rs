//! An EHR's error body in plain words: an OperationOutcome's issue codes, paths and error numbers, or another JSON's
//! error code. Free text is never repeated (it may quote patients): the whole answer is kept in the ledger instead.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::fhir;

/// What the body says, as sentences; none where it says nothing usable (HTML, empty, unreadable).
#[must_use]
pub fn sentence(body: &[u8]) -> Option<String> {
    let body = fhir::read(body).ok()?;
    if fhir::resource_type(&body) == Some("OperationOutcome") {
        return of_issues(body.get("issue")?.as_array()?);
    }
    let code = ["error", "code", "errorCode"].iter().find_map(|key| body.get(*key)?.as_str()).filter(|c| is_code(c))?;
    Some(format!("It names the error {code}."))
}

/// Whether an OperationOutcome calls the trouble passing.
#[must_use]
pub fn is_transient(body: &[u8]) -> bool {
    let Ok(body) = fhir::read(body) else { return false };
    let issues = body.get("issue").and_then(Value::as_array);
    issues
        .into_iter()
        .flatten()
        .filter_map(|issue| issue.get("code")?.as_str())
        .any(|code| matches!(code, "transient" | "lock-error" | "throttled" | "timeout" | "incomplete" | "no-store"))
}

/// The error numbers of an OperationOutcome, or of those among a list's entries.
#[must_use]
pub fn codes(body: &[u8]) -> Vec<String> {
    let Ok(body) = fhir::read(body) else { return Vec::new() };
    let entries = body.get("entry").and_then(Value::as_array).into_iter().flatten();
    let inside = entries.filter_map(|entry| entry.get("resource"));
    std::iter::once(&body)
        .chain(inside)
        .filter(|resource| fhir::resource_type(resource) == Some("OperationOutcome"))
        .filter_map(|outcome| outcome.get("issue")?.as_array())
        .flatten()
        .filter_map(|issue| issue.pointer("/details/coding")?.as_array())
        .flatten()
        .filter_map(|coding| coding.get("code")?.as_str().map(str::to_owned))
        .collect()
}

/// Whether a searchset carries an OperationOutcome that says the list is wrong or incomplete.
#[must_use]
pub fn error_in(bundle: &Value) -> Option<String> {
    let entries = bundle.get("entry")?.as_array()?;
    let issues: Vec<Value> = entries
        .iter()
        .filter_map(|entry| entry.get("resource"))
        .filter(|resource| fhir::resource_type(resource) == Some("OperationOutcome"))
        .filter_map(|outcome| outcome.get("issue")?.as_array())
        .flatten()
        .filter(|issue| issue.get("severity").and_then(Value::as_str).is_some_and(is_error))
        .cloned()
        .collect();
    if issues.is_empty() { None } else { Some(of_issues(&issues).unwrap_or_default()) }
}

fn is_error(severity: &str) -> bool {
    severity == "fatal" || severity == "error"
}

fn of_issues(issues: &[Value]) -> Option<String> {
    let bad: Vec<&Value> =
        issues.iter().filter(|i| i.get("severity").and_then(Value::as_str).is_none_or(is_error)).collect();
    let mut said = BTreeSet::new();
    for issue in bad.iter().take(5) {
        let mut words = plain(issue.get("code").and_then(Value::as_str).unwrap_or_default()).to_owned();
        let paths: Vec<&str> = ["expression", "location"]
            .iter()
            .filter_map(|key| issue.get(*key)?.as_array())
            .flatten()
            .filter_map(Value::as_str)
            .filter(|path| is_path(path))
            .take(3)
            .collect();
        if !paths.is_empty() {
            words.push_str(" at ");
            words.push_str(&paths.join(", "));
        }
        let codings = issue.pointer("/details/coding").and_then(Value::as_array);
        let codes: Vec<&str> = codings
            .into_iter()
            .flatten()
            .filter_map(|coding| coding.get("code")?.as_str())
            .filter(|code| is_code(code))
            .take(3)
            .collect();
        if !codes.is_empty() {
            words.push_str(" (the EHR's error ");
            words.push_str(&codes.join(", "));
            words.push(')');
        }
        said.insert(words);
    }
    (!said.is_empty()).then(|| format!("It says: {}.", said.into_iter().collect::<Vec<_>>().join("; ")))
}

/// A path of element names and indexes; nothing with literals in it.
fn is_path(text: &str) -> bool {
    text.len() <= 128
        && text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b".[]:".contains(&b))
}

/// An error number or constant such as `59141`, `MSG_PARAM_UNKNOWN`, `invalid_client`; never a word of prose.
fn is_code(text: &str) -> bool {
    (1..=40).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b))
        && (text.contains('_') || (text.len() <= 6 && text.bytes().all(|b| b.is_ascii_digit())))
}

/// FHIR's IssueType in plain words (<https://hl7.org/fhir/R4/valueset-issue-type.html>).
fn plain(code: &str) -> &'static str {
    match code {
        "structure" => "the structure is wrong",
        "required" => "something required is missing",
        "value" => "a value is not allowed",
        "invariant" => "a rule is broken",
        "code-invalid" => "a code is not known there",
        "security" | "login" | "expired" | "forbidden" => "access is not allowed",
        "unknown" => "the cause is not known",
        "suppressed" => "something is withheld",
        "not-supported" => "this is not supported",
        "duplicate" => "it is there already",
        "multiple-matches" => "several records match",
        "not-found" => "something that it refers to is not there",
        "deleted" => "it was deleted",
        "too-long" => "something is too long",
        "extension" => "an extension is not understood",
        "too-costly" => "this would be too much work",
        "business-rule" => "a rule of the EHR forbids it",
        "conflict" => "it conflicts with something there",
        "transient" | "lock-error" | "no-store" | "timeout" | "incomplete" => "a passing trouble",
        "throttled" => "too many requests",
        "exception" => "an inner fault of the EHR",
        _ => "it cannot be processed",
    }
}
