//! `liaison mappings explain --object O FILE`: for each value of the output the field, rule and code list row it is from.

use std::path::PathBuf;

use serde_json::json;

use super::One;
use crate::{
    cli::{CouldNotRun, Exit, Output, Run, translate},
    error::Explained,
    fhir::resource_type,
    mapping::{Context, MappingError, Origin, resources},
};

/// `liaison mappings explain`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    one: One,
    /// Text for people, or one JSON line a value
    #[arg(long, value_enum, default_value_t)]
    output: Output,
    /// An object (explained to FHIR), or a resource or Bundle (explained to the object); `-` is standard input
    #[arg(value_name = "FILE|-")]
    file: PathBuf,
}

pub(super) fn run(args: &Args) -> Run {
    let plan = args.one.plan()?;
    let Some(input) = translate::one(&args.file)? else { return Ok(Exit::Bad) };
    let context = Context::new("liaison");
    let (origins, output) = if resource_type(&input).is_some() {
        let resources = resources(input);
        let parts = plan.parts(&resources);
        if parts.is_empty() {
            return Err(CouldNotRun::new(
                format!("no {} in it", plan.resource_type()),
                "name the main resource, or a Bundle",
            ));
        }
        let internal = plan.to_internal(&resources, &context);
        (plan.explain_internal(&internal, &parts, &context), vec![(String::new(), internal)])
    } else {
        let parts = match plan.to_fhir(&input, &context) {
            Ok(parts) => parts,
            Err(MappingError::Unsayable(findings)) => {
                translate::tell(&args.file, &findings);
                return Ok(Exit::Bad);
            }
            Err(error) => {
                eprintln!("{error} ({})", error.code());
                return Ok(Exit::Bad);
            }
        };
        let origins = plan.explain_fhir(&parts, &input, &context);
        (origins, parts.into_iter().map(|part| (part.role.to_string(), part.resource)).collect())
    };
    for origin in &origins {
        let value = output
            .iter()
            .find(|(part, _)| *part == origin.part || part.is_empty())
            .and_then(|(_, value)| value.pointer(&origin.output));
        match args.output {
            Output::Json => crate::cli::say!("{}", json!({ "value": value, "origin": origin })),
            Output::Text => crate::cli::say!("{}", line(origin, value.map(ToString::to_string).unwrap_or_default())),
        }
    }
    Ok(Exit::Good)
}

fn line(origin: &Origin, value: String) -> String {
    let mut short: String = value.chars().take(60).collect();
    if short.len() < value.len() {
        short.push('…');
    }
    let source =
        if origin.source.is_empty() { origin.how.clone() } else { format!("{} ({})", origin.source, origin.how) };
    let concept = origin.concept.as_ref().map(|row| format!("  [{row}]")).unwrap_or_default();
    let part =
        if origin.part.is_empty() || origin.part == "main" { String::new() } else { format!("{}:", origin.part) };
    format!("{part}{} = {short}\n    from {source}, rule {}{concept}", origin.output, origin.rule)
}
