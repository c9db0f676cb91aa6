//! `liaison translate`: one object to FHIR, or resources to an object, without ledger or network. Thin; the work is in
//! `mapping`.

use std::{
    io::Write,
    path::{Path, PathBuf},
    sync::Arc,
};

use clap::builder::NonEmptyStringValueParser;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{CouldNotRun, Exit, Run, input};
use crate::{
    domain::{did_you_mean, nearest},
    error::{Explained, Finding},
    fhir,
    mapping::{Context, MappingError, Mappings, Part, Plan, remarks},
};

/// Arguments of `liaison translate`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The direction
    #[arg(long, value_enum)]
    to: Side,
    /// The kind of object, for instance appointment
    #[arg(long, value_name = "TYPE", value_parser = NonEmptyStringValueParser::new())]
    object: String,
    /// A system of the configuration, or a dialect such as epic
    #[arg(long, value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    system: Option<String>,
    /// An existing resource (or Bundle) that is written into
    #[arg(long, value_name = "FILE")]
    base: Option<PathBuf>,
    /// The configuration; by default liaison.toml where `--system` needs it
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// A folder of mappings laid over the built-in ones
    #[arg(long, value_name = "DIR")]
    mappings: Option<PathBuf>,
    /// The object or resource; `-` is standard input
    #[arg(value_name = "FILE|-")]
    file: PathBuf,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Side {
    /// From an object to FHIR
    Fhir,
    /// From FHIR to an object
    Internal,
}

/// What the configuration says that matters here.
#[derive(Clone, Debug, Default)]
pub struct Configured {
    /// `[server] instance`
    pub instance: String,
    /// `[mappings] dir`
    pub mappings: Option<PathBuf>,
    /// Name, dialect and zone of each system.
    pub systems: Vec<(String, String, String)>,
}

/// Reads the configuration; `app` knows how.
pub type ReadConfig<'a> = &'a dyn Fn(&Path) -> Result<Configured, CouldNotRun>;

/// Runs the command.
///
/// # Errors
/// [`CouldNotRun`] where a file, the object type or the system does not exist.
pub fn run(args: &Args, read_config: ReadConfig<'_>) -> Run {
    let (mappings, plan, context) = setting(args, read_config)?;
    let input = one(&args.file)?;
    let Some(input) = input else { return Ok(Exit::Bad) };
    let printed = match args.to {
        Side::Fhir => to_fhir(args, &mappings, &plan, &context, &input)?,
        Side::Internal => to_internal(args, &mappings, &plan, &context, input),
    };
    let Some(printed) = printed else { return Ok(Exit::Bad) };
    let text = serde_json::to_string_pretty(&printed).unwrap_or_default();
    writeln!(std::io::stdout(), "{text}").map_err(|error| CouldNotRun::new(format!("cannot write: {error}"), ""))?;
    Ok(Exit::Good)
}

/// Mappings from a folder, or the built-in ones.
pub(super) fn mappings_of(dir: Option<&Path>) -> Result<Arc<Mappings>, CouldNotRun> {
    let loaded = match dir {
        Some(dir) => Mappings::draft(dir),
        None => Mappings::embedded(),
    };
    loaded.map_err(|error| CouldNotRun::from_error(&error, "mend the mappings, or leave --mappings out"))
}

pub(super) fn unknown_object(mappings: &Mappings, object: &str) -> CouldNotRun {
    let names: Vec<&str> = mappings.objects().map(|object| object.name()).collect();
    // Routes and files carry the plural; people do, too.
    let remedy = match mappings.by_plural(object) {
        Some(found) => format!("did you mean `{}`?", found.name()),
        None => did_you_mean(object, names),
    };
    CouldNotRun::new(format!("there is no kind of object `{object}`"), remedy)
}

/// Refuses a dialect that nobody knows: by itself it would be read as `generic`.
pub(super) fn known_dialect(mappings: &Mappings, dialect: &str) -> Result<(), CouldNotRun> {
    let known: Vec<&str> = std::iter::once("generic").chain(mappings.dialects().iter().map(|name| &**name)).collect();
    if known.contains(&dialect) {
        return Ok(());
    }
    let known: std::collections::BTreeSet<&str> = known.into_iter().collect();
    Err(CouldNotRun::new(format!("there is no dialect `{dialect}`"), did_you_mean(dialect, known)))
}

fn setting(args: &Args, read_config: ReadConfig<'_>) -> Result<(Arc<Mappings>, Arc<Plan>, Context), CouldNotRun> {
    let default = Path::new("liaison.toml");
    let path = args.config.as_deref().or_else(|| (args.system.is_some() && default.is_file()).then_some(default));
    let configured = match path {
        Some(path) => read_config(path)?,
        None => Configured { instance: "liaison".to_owned(), ..Configured::default() },
    };
    let mappings = mappings_of(args.mappings.as_deref().or(configured.mappings.as_deref()))?;
    let mut context = Context::new(&configured.instance);
    let mut dialect = "generic".to_owned();
    if let Some(name) = &args.system {
        if let Some((_, own, zone)) = configured.systems.iter().find(|(system, ..)| system == name) {
            dialect.clone_from(own);
            context = context.in_zone(zone);
        } else if mappings.dialects().iter().any(|known| **known == **name) {
            dialect.clone_from(name);
        } else {
            let known: Vec<&str> = configured.systems.iter().map(|(system, ..)| system.as_str()).collect();
            let dialects: Vec<&str> = mappings.dialects().iter().map(|name| &**name).collect();
            let remedy = match nearest(name, known.iter().chain(&dialects).copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None if known.is_empty() => format!("dialects: {}; name systems with --config", dialects.join(", ")),
                None => format!("systems: {}; dialects: {}", known.join(", "), dialects.join(", ")),
            };
            return Err(CouldNotRun::new(format!("there is no system and no dialect `{name}`"), remedy));
        }
    }
    let plan = mappings.plan(&args.object, &dialect).ok_or_else(|| unknown_object(&mappings, &args.object))?;
    Ok((mappings, plan, context))
}

/// The one JSON value of a file; none (told) where it cannot be read as JSON.
pub(super) fn one(path: &Path) -> Result<Option<Value>, CouldNotRun> {
    let document = input::only(path)?;
    match input::read(&document, fhir::Limits::default()) {
        Ok(value) => Ok(Some(value)),
        Err(why) => {
            eprintln!("{}", why.line(&document));
            Ok(None)
        }
    }
}

pub(super) fn tell(name: &Path, findings: &[Finding]) {
    for finding in findings {
        let remedy = if finding.remedy.is_empty() { String::new() } else { format!("; {}", finding.remedy) };
        let at = if finding.pointer.is_empty() { "/" } else { &finding.pointer };
        eprintln!("{}: {at}: {}{remedy} ({})", name.display(), finding.detail, finding.code);
    }
}

fn to_fhir(
    args: &Args,
    mappings: &Mappings,
    plan: &Plan,
    context: &Context,
    internal: &Value,
) -> Result<Option<Value>, CouldNotRun> {
    let findings = mappings.object(plan.object()).map(|object| object.validate(internal)).unwrap_or_default();
    if !findings.is_empty() {
        tell(&args.file, &findings);
        return Ok(None);
    }
    tell(&args.file, &remarks(internal));
    // A base that is one resource: only that one is shown.
    let mut lone = None;
    let mut base = Vec::new();
    if let Some(path) = &args.base {
        let Some(value) = one(path)? else { return Ok(None) };
        let bundle = fhir::resource_type(&value) == Some("Bundle");
        base = plan.parts(&unbundled(value));
        let Some(first) = base.first().filter(|part| !bundle || &*part.role == crate::mapping::MAIN) else {
            eprintln!("{}: there is no {} in it", path.display(), plan.resource_type());
            return Ok(None);
        };
        lone = (!bundle).then(|| Arc::clone(&first.role));
    }
    let said = (!base.is_empty()).then(|| plan.said(&base, context));
    let refused = plan.permits(said.as_ref(), internal, context);
    if !refused.is_empty() {
        tell(&args.file, &refused);
        return Ok(None);
    }
    let mut parts = match plan.put(internal, &base, context) {
        Ok(parts) => parts,
        Err(MappingError::Unsayable(findings)) => {
            tell(&args.file, &findings);
            return Ok(None);
        }
        Err(error) => {
            eprintln!("{}: {error} ({})", args.file.display(), error.code());
            return Ok(None);
        }
    };
    for part in &parts {
        tell(&args.file, &part.notes);
    }
    if let Some(role) = lone {
        let (shown, others): (Vec<Part>, Vec<Part>) = parts.into_iter().partition(|part| part.role == role);
        if !others.is_empty() {
            let others: Vec<&str> = others.iter().map(|part| &*part.role).collect();
            eprintln!("not shown, since the base is one resource: {}", others.join(", "));
        }
        if shown.is_empty() {
            eprintln!("{}: the object has no {role} any more", args.file.display());
            return Ok(None);
        }
        parts = shown;
    }
    Ok(Some(bundled(plan, internal, context, parts)))
}

/// One resource bare, several as a collection with stable fullUrls.
pub(super) fn bundled(plan: &Plan, internal: &Value, context: &Context, mut parts: Vec<Part>) -> Value {
    if parts.len() == 1 {
        return parts.remove(0).resource;
    }
    let id = internal.get("id").and_then(Value::as_str).unwrap_or_default();
    let entry: Vec<Value> = parts
        .into_iter()
        .map(|part| {
            let own = part.resource.get("id").and_then(Value::as_str).unwrap_or_default();
            let name = format!("{}|{id}|{}|{own}", context.system(plan.object()), part.role);
            json!({ "fullUrl": Uuid::new_v5(&Uuid::NAMESPACE_URL, name.as_bytes()).urn().to_string(), "resource": part.resource })
        })
        .collect();
    json!({ "resourceType": "Bundle", "type": "collection", "entry": entry })
}

fn to_internal(args: &Args, mappings: &Mappings, plan: &Plan, context: &Context, input: Value) -> Option<Value> {
    let resources = unbundled(input);
    if !resources.iter().any(|resource| fhir::resource_type(resource) == Some(plan.resource_type())) {
        let (file, kind, object) = (args.file.display(), plan.resource_type(), plan.object());
        eprintln!("{file}: there is no {kind} in it, and {object} is made of {kind}");
        return None;
    }
    let internal = plan.to_internal(&resources, context);
    tell(&args.file, &remarks(&internal));
    if let Some(object) = mappings.object(plan.object()) {
        // What an EHR holds may lack what the practice demands; it is shown all the same.
        tell(&args.file, &object.validate(&internal));
    }
    Some(internal)
}

/// The resources of a Bundle (or the one), with references to `urn:` fullUrls made relative.
fn unbundled(input: Value) -> Vec<Value> {
    if fhir::resource_type(&input) != Some("Bundle") {
        return vec![input];
    }
    let mut names = std::collections::HashMap::new();
    for entry in input.get("entry").and_then(Value::as_array).into_iter().flatten() {
        let text = |value: Option<&Value>| value.and_then(Value::as_str).map(str::to_owned);
        let resource = entry.get("resource");
        if let (Some(url), Some(kind)) = (text(entry.get("fullUrl")), resource.and_then(fhir::resource_type))
            && let Some(id) = text(resource.and_then(|resource| resource.get("id")))
            && url.starts_with("urn:")
        {
            names.insert(url, format!("{kind}/{id}"));
        }
    }
    let mut resources = crate::mapping::resources(input);
    resources.iter_mut().for_each(|resource| relative(resource, &names));
    resources
}

fn relative(value: &mut Value, names: &std::collections::HashMap<String, String>) {
    match value {
        Value::Object(members) => {
            for (name, inner) in members.iter_mut() {
                match inner {
                    Value::String(text) if name == "reference" || name == "url" => {
                        if let Some(name) = names.get(text.as_str()) {
                            text.clone_from(name);
                        }
                    }
                    inner => relative(inner, names),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| relative(item, names)),
        _ => {}
    }
}
