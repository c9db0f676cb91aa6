//! Times: RFC 9557 text inside, FHIR `instant` or `dateTime` with the zone in the `tz-code` extension outside
//! (<https://hl7.org/fhir/R4/extension-tz-code.html>). What is no time in the record is shown as it stands.

use std::borrow::Cow;

use serde_json::Value;

use super::{Element, ElementRef, Unsayable};
use crate::{
    domain::{Time, TimeError},
    fhir::{Object, inner, object},
    mapping::Context,
};

pub(crate) const ZONE: &str = "http://hl7.org/fhir/StructureDefinition/tz-code";

pub(super) fn get(element: ElementRef<'_>, zoned: bool, context: &Context) -> Option<Value> {
    let text = element.value?.as_str()?;
    let zone = element.beside.and_then(zone_of);
    let default = if zoned { context.zone.as_deref() } else { None };
    let text = &*shortened(text);
    let Some(zone) = zone.or(default) else { return Some(Value::String(placed(text, context))) };
    Some(Value::String(match Time::parse_in(text, zone) {
        Ok(time) => time.in_zone(zone).to_string(),
        Err(_) => text.to_owned(),
    }))
}

/// A moment that does not say where is one of the system's zone; its offset there is written.
fn placed(text: &str, context: &Context) -> String {
    match (context.zone.as_deref(), Time::parse(text)) {
        (Some(zone), Err(TimeError::NoOffset)) => {
            Time::parse_in(text, zone).map_or_else(|_| text.to_owned(), |time| time.without_zone())
        }
        _ => text.to_owned(),
    }
}

/// FHIR lets a second have any number of digits; more than nanoseconds are no time here.
fn shortened(text: &str) -> Cow<'_, str> {
    let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
    match text.split_once('.') {
        Some((whole, fraction)) if digits(fraction) > 9 => {
            let end = whole.len() + 10;
            format!("{}{}", &text[..end], &fraction[digits(fraction)..]).into()
        }
        _ => text.into(),
    }
}

fn read(text: &str) -> Result<Time, Unsayable> {
    Time::parse(text).map_err(|error| Unsayable {
        what: error.to_string(),
        remedy: error.remedy().to_owned(),
        code: crate::error::Explained::code(&error),
    })
}

/// Normal form and writing at once, where nothing stands yet.
pub(super) fn make(new: &Value, zoned: bool, element: &mut Element, context: &Context) -> Result<(), Unsayable> {
    let Some(text) = new.as_str() else { return Ok(()) };
    let mut time = read(text)?;
    if let Some(zone) = context.zone.as_deref().filter(|_| zoned) {
        time = time.in_zone(zone);
    }
    element.value = Some(Value::String(time.without_zone()));
    element.beside = time.zone().map(|zone| object([("extension", Value::Array(vec![extension(zone)]))]));
    Ok(())
}

fn extension(zone: &str) -> Value {
    object([("url", ZONE.into()), ("valueCode", zone.into())])
}

pub(super) fn put(new: Option<&Value>, element: &mut Element) -> Result<(), Unsayable> {
    let Some(text) = new.and_then(Value::as_str) else {
        element.value = None;
        set_zone(&mut element.beside, None);
        return Ok(());
    };
    let time = read(text)?;
    element.value = Some(Value::String(time.without_zone()));
    set_zone(&mut element.beside, time.zone());
    Ok(())
}

pub(super) fn normal(value: &Value, zoned: bool, context: &Context) -> Option<Value> {
    let time = Time::parse(value.as_str()?).ok()?;
    let time = match context.zone.as_deref().filter(|_| zoned) {
        Some(zone) => time.in_zone(zone),
        None => time,
    };
    Some(Value::String(time.to_string()))
}

/// The zone that stands beside a time.
pub(crate) fn zone_of(beside: &Value) -> Option<&str> {
    let extensions = inner(beside, "extension")?.as_array()?;
    extensions.iter().find(|extension| is_zone(extension)).and_then(|extension| inner(extension, "valueCode"))?.as_str()
}

fn is_zone(extension: &Value) -> bool {
    inner(extension, "url").and_then(Value::as_str) == Some(ZONE)
}

fn set_zone(beside: &mut Option<Value>, zone: Option<&str>) {
    if beside.as_ref().and_then(zone_of) == zone {
        return;
    }
    let members = match beside.take() {
        Some(Value::Object(members)) => members,
        _ => Object::new(),
    };
    let mut members = members;
    let mut extensions = match members.get_mut("extension").map(Value::take) {
        Some(Value::Array(extensions)) => extensions,
        _ => Vec::new(),
    };
    match (zone, extensions.iter_mut().find(|extension| is_zone(extension))) {
        (Some(zone), Some(there)) => *there = extension(zone),
        (Some(zone), None) => extensions.push(extension(zone)),
        (None, _) => extensions.retain(|extension| !is_zone(extension)),
    }
    if extensions.is_empty() {
        members.shift_remove("extension");
    } else {
        members.insert("extension".to_owned(), Value::Array(extensions));
    }
    *beside = (!members.is_empty()).then_some(Value::Object(members));
}
