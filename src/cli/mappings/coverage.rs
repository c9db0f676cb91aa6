//! `liaison mappings coverage`: what of FHIR a mapping maps, preserves and loses.

use std::{path::Path, sync::Arc};

use clap::builder::NonEmptyStringValueParser;
use serde_json::{Value, json};

use super::Common;
use crate::{
    cli::{CouldNotRun, Exit, Output, Run, translate, validate},
    definitions::{Definitions, Installed, PACKAGES},
    mapping::{Coverage, ObjectType, State},
};

/// `liaison mappings coverage`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    common: Common,
    /// Packages with the profiles that mappings name: a .tgz, a folder, or NAME#VERSION; by default all installed ones
    #[arg(long, value_name = "TGZ|DIR|NAME#VERSION", value_parser = NonEmptyStringValueParser::new())]
    package: Vec<String>,
    /// The dialect whose overlays count
    #[arg(long, default_value = "generic", value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    dialect: String,
}

pub(super) fn run(args: &Args) -> Run {
    let mappings = translate::mappings_of(args.common.mappings.as_deref())?;
    if let Some(name) = args.common.object.as_ref().filter(|name| mappings.object(name).is_none()) {
        return Err(translate::unknown_object(&mappings, name));
    }
    translate::known_dialect(&mappings, &args.dialect)?;
    let definitions = if args.package.is_empty() { installed()? } else { validate::definitions(&args.package)? };
    for object in mappings.objects() {
        if args.common.object.as_ref().is_some_and(|name| name != object.name()) {
            continue;
        }
        let Some(plan) = mappings.plan(object.name(), &args.dialect) else { continue };
        let coverage = plan.coverage(object, &definitions);
        if args.common.output == Output::Json {
            let mut line =
                json!({ "mapping": object.name(), "dialect": plan.dialect(), "resource": object.resource_type() });
            if let (Some(line), Value::Object(more)) = (line.as_object_mut(), coverage.json()) {
                line.extend(more);
            }
            crate::cli::say!("{line}");
            continue;
        }
        tell(object, plan.dialect(), &coverage);
    }
    Ok(Exit::Good)
}

/// Core and all installed packages.
fn installed() -> Result<Arc<Definitions>, CouldNotRun> {
    let installed = Installed::at(Path::new(PACKAGES));
    let names: Vec<String> =
        installed.map(|installed| installed.list().map(|(label, _)| label.to_owned()).collect()).unwrap_or_default();
    validate::definitions(&names)
}

fn tell(object: &ObjectType, dialect: &str, coverage: &Coverage) {
    let count = |state: State| coverage.elements.iter().filter(|covered| covered.state == state).count();
    crate::cli::say!(
        "{} → {} ({dialect}): {} elements mapped, {} preserved, {} fields lost",
        object.name(),
        object.resource_type(),
        count(State::Mapped),
        count(State::Preserved),
        coverage.lost.len()
    );
    for profile in &coverage.profiles {
        let Some(package) = &profile.package else {
            crate::cli::say!("  profile    {} is in no package at hand; name its package with --package", profile.url);
            continue;
        };
        let all = profile.elements.len();
        let open: Vec<_> = profile.elements.iter().filter(|supported| supported.rules.is_empty()).collect();
        crate::cli::say!(
            "  profile    {} ({package}): {} of {all} must-support elements mapped",
            profile.url,
            all - open.len()
        );
        for supported in open {
            let short = supported.short.as_deref().map(|short| format!(": {short}")).unwrap_or_default();
            crate::cli::say!("  unmapped   {} (must support){short}", supported.element);
        }
    }
    for covered in &coverage.elements {
        let mark = if covered.must_support { " (must support)" } else { "" };
        match covered.state {
            State::Mapped => {
                let mut fields: Vec<&str> =
                    covered.rules.iter().map(|(field, _)| field.as_str()).filter(|field| !field.is_empty()).collect();
                fields.dedup();
                let shown = if fields.is_empty() { "constant".to_owned() } else { fields.join(", ") };
                crate::cli::say!("  mapped     {}{mark} ⇄ {shown}", covered.element);
            }
            State::Preserved => crate::cli::say!("  preserved  {}{mark}", covered.element),
        }
    }
    for loss in &coverage.lost {
        crate::cli::say!("  lost       {}: {}", loss.field, loss.why);
    }
    for field in &coverage.without_rule {
        crate::cli::say!("  no rule    {field}");
    }
}
