//! How one internal value becomes one FHIR element and back: one file a family of transforms. An element is what
//! stands in the JSON under its name and, for a primitive, beside it under `_name`.

pub(crate) mod attachment;
mod coded;
mod quantity;
mod reference;
mod time;

pub(crate) use coded::{Coded, Codes, Form, Row, Unmapped};

use std::{borrow::Cow, sync::Arc};

use base64::{
    Engine as _,
    alphabet::STANDARD,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig, general_purpose::STANDARD as BASE64},
};
use serde_json::Value;

use super::{
    Context,
    plan::{Name, ObjectTable},
};

/// What a rule has to know of its surroundings while it runs.
#[derive(Clone, Copy)]
pub(crate) struct Env<'a> {
    pub(crate) context: &'a Context,
    pub(crate) objects: &'a ObjectTable,
    /// The object's own name.
    pub(crate) object: &'a str,
    /// The resources as they came, to look up what an element points to.
    pub(crate) resources: &'a [&'a Value],
    /// What the object's schema refuses is not read.
    pub(crate) checked: bool,
}

/// A borrowed element.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ElementRef<'a> {
    pub(crate) value: Option<&'a Value>,
    pub(crate) beside: Option<&'a Value>,
}

/// An element being written.
#[derive(Clone, Debug, Default)]
pub(crate) struct Element {
    pub(crate) value: Option<Value>,
    pub(crate) beside: Option<Value>,
}

/// Why a value cannot be written.
#[derive(Clone, Debug)]
pub(crate) struct Unsayable {
    pub(crate) what: String,
    pub(crate) remedy: String,
    pub(crate) code: &'static str,
}

impl Unsayable {
    pub(crate) fn new(what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { what: what.into(), remedy: remedy.into(), code: "LIA-MAP-002" }
    }
}

/// The transforms of the language.
#[derive(Clone, Debug)]
pub(crate) enum Transform {
    /// The same JSON.
    Copy,
    /// A word of a code list.
    Coded(Arc<Coded>),
    /// A moment or date; `zoned`: read in the system's zone where it says none.
    Time { zoned: bool },
    /// A reference to one of these objects (any, if none is named).
    Reference { to: Vec<Name> },
    /// Text in base64 (UTF-8).
    Base64,
    /// A number of one unit.
    Quantity { unit: Name },
    /// An attachment.
    File,
}

impl Transform {
    /// The internal value of an element; none where the object cannot say it.
    pub(crate) fn get(&self, element: ElementRef<'_>, env: &Env<'_>) -> Option<Value> {
        match self {
            Self::Copy => element.value.cloned(),
            Self::Coded(coded) => coded.get(element.value?),
            Self::Time { zoned } => time::get(element, *zoned, env.context),
            Self::Reference { to } => reference::get(element.value?, to, env),
            Self::Base64 => text_of(element.value?),
            Self::Quantity { unit } => quantity::get(element.value?, unit),
            Self::File => attachment::get(element.value?, env),
        }
    }

    /// Writes `new` over `old`, which is what the element says now; they differ.
    pub(crate) fn put(
        &self,
        new: Option<&Value>,
        old: Option<&Value>,
        element: &mut Element,
        env: &Env<'_>,
    ) -> Result<(), Unsayable> {
        match self {
            Self::Copy => element.value = new.cloned(),
            Self::Coded(coded) => coded.put(new, element)?,
            Self::Time { .. } => time::put(new, element)?,
            Self::Reference { to } => reference::put(new, old, element, to, env)?,
            Self::Base64 => {
                element.value = new.and_then(Value::as_str).map(|text| Value::String(BASE64.encode(text)));
            }
            Self::Quantity { unit } => quantity::put(new, element, unit),
            Self::File => attachment::put(new, old, element),
        }
        if element.value.is_some() {
            forget_absence(&mut element.beside);
        }
        Ok(())
    }

    /// Writes `new` to an element where nothing stands: in normal form, as [`Self::normal`] and then [`Self::put`].
    pub(crate) fn make(&self, new: &Value, element: &mut Element, env: &Env<'_>) -> Result<(), Unsayable> {
        match self {
            Self::Time { zoned } => time::make(new, *zoned, element, env.context),
            Self::Reference { to } => {
                let normal = reference::normal(new, to, env);
                reference::put(Some(normal.as_ref().unwrap_or(new)), None, element, to, env)
            }
            Self::Copy | Self::Coded(_) | Self::Base64 | Self::Quantity { .. } | Self::File => {
                self.put(Some(new), None, element, env)
            }
        }
    }

    /// The value in the form that `get` gives; none: it is in that form.
    pub(crate) fn normal(&self, value: &Value, env: &Env<'_>) -> Option<Value> {
        match self {
            Self::Time { zoned } => time::normal(value, *zoned, env.context),
            Self::Reference { to } => reference::normal(value, to, env),
            Self::File => attachment::normal(value),
            Self::Copy | Self::Coded(_) | Self::Base64 | Self::Quantity { .. } => None,
        }
    }

    /// What the element is called in `explain`, `coverage` and `export`.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Copy => "copy",
            Self::Coded(coded) => coded.form.name(),
            Self::Time { zoned: true } => "zoned",
            Self::Time { zoned: false } => "time",
            Self::Reference { .. } => "reference",
            Self::Base64 => "base64",
            Self::Quantity { .. } => "quantity",
            Self::File => "file",
        }
    }
}

/// Others leave the padding out, or fill its bits.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Base64 in one line; FHIR lets it be broken and spaced, and means the same bytes.
fn without_space(base64: &str) -> Cow<'_, str> {
    if base64.contains(|c: char| c.is_ascii_whitespace()) {
        base64.split_ascii_whitespace().collect::<String>().into()
    } else {
        base64.into()
    }
}

/// The text of base64; none where it is no text.
fn text_of(value: &Value) -> Option<Value> {
    let bytes = LENIENT.decode(&*without_space(value.as_str()?)).ok()?;
    String::from_utf8(bytes).ok().map(Value::String)
}

const ABSENT: &str = "http://hl7.org/fhir/StructureDefinition/data-absent-reason";

/// What is there is not absent: a data-absent-reason beside a value that is written goes.
fn forget_absence(beside: &mut Option<Value>) {
    let Some(Value::Object(members)) = beside else { return };
    if let Some(Value::Array(extensions)) = members.get_mut("extension") {
        extensions.retain(|extension| extension.get("url").and_then(Value::as_str) != Some(ABSENT));
        if extensions.is_empty() {
            members.shift_remove("extension");
        }
    }
    if members.is_empty() {
        *beside = None;
    }
}
