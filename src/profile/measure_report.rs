//! A MeasureReport against its Measure: groups, populations and stratifiers belong to each other by code, and the score
//! is of the kind that the measure's scoring demands. <https://hl7.org/fhir/R4/measurereport.html>

use std::{borrow::Cow, collections::HashSet};

use rust_decimal::Decimal;
use serde_json::Value;

use super::{
    place::{Place, What},
    say::Say,
    walk::{Scope, Walk},
};
use crate::fhir::{list, text};

const POPULATIONS: &str = "http://terminology.hl7.org/CodeSystem/measure-population";
/// DEQM's score of another type than Quantity.
const OTHER_SCORE: &str = "http://hl7.org/fhir/us/davinci-deqm/StructureDefinition/extension-alternateScoreType";
/// The unit that a measure demands of its scores.
const UNIT: &str = "http://hl7.org/fhir/StructureDefinition/questionnaire-unit";

/// What the measure says of its reports.
struct Kind<'k> {
    /// Code of the measure's scoring; empty if none.
    scoring: &'k str,
    /// `MeasureReport.type`.
    report: &'k str,
    /// The unit demanded of scores.
    unit: Option<&'k Value>,
}

/// Whether two concepts mean the same by one of their codings.
fn same(left: &Value, right: &Value) -> bool {
    let key = |coding: &'_ Value| {
        Some((text(coding, "system").unwrap_or_default().to_owned(), text(coding, "code")?.to_owned()))
    };
    let known: HashSet<_> = list(right, "coding").iter().filter_map(key).collect();
    list(left, "coding").iter().filter_map(key).any(|coding| known.contains(&coding))
}

/// The same, and where neither has codings by their text.
fn same_or_text(left: &Value, right: &Value) -> bool {
    same(left, right)
        || list(left, "coding").is_empty()
            && list(right, "coding").is_empty()
            && text(left, "text").is_some_and(|own| text(right, "text") == Some(own))
}

/// The concepts by which a part of a report says what it is: a stratifier has several.
fn codes(part: &Value) -> Vec<&Value> {
    match part.get("code") {
        Some(Value::Array(codes)) => codes.iter().collect(),
        Some(code) => vec![code],
        None => Vec::new(),
    }
}

impl<'a> Walk<'a> {
    /// A `MeasureReport`, as far as its measure is at hand.
    pub fn measure_report(&mut self, report: &'a Value, place: &Place<'_>, scope: &Scope<'a>) {
        let at = place.plain("measure", None);
        let Some(canonical) = text(report, "measure") else { return };
        let found = match canonical.strip_prefix('#') {
            Some(id) => {
                let holder = scope.container().unwrap_or(report);
                list(holder, "contained").iter().find(|inner| text(inner, "id") == Some(id)).map(Cow::Borrowed)
            }
            None => self.types.definitions.resource(canonical).map(|found| Cow::Owned(Value::clone(&found))),
        };
        let Some(measure) = found.filter(|found| text(found, "resourceType") == Some("Measure")) else {
            let text = "the measure is not at hand, so the report cannot be checked against it";
            return self.raise(&at, None, Say::warning("not-found", "measure", text));
        };
        let scoring = measure.get("scoring").map_or(&[][..], |scoring| list(scoring, "coding"));
        let scoring = scoring.iter().find_map(|coding| text(coding, "code")).unwrap_or_default();
        if !matches!(scoring, "proportion" | "ratio" | "continuous-variable" | "cohort") {
            let text = "the measure does not say how it is scored, so the score cannot be checked";
            self.raise(&at, None, Say::information("business-rule", "measure-scoring", text));
        }
        let report_kind = text(report, "type").unwrap_or_default();
        if report_kind == "individual" && report.get("subject").is_none() {
            let text = "a report on an individual should say on whom (subject)";
            self.raise(place, None, Say::warning("business-rule", "measure-subject", text));
        }
        let unit = list(&measure, "extension").iter().find(|it| text(it, "url") == Some(UNIT));
        let kind = Kind { scoring, report: report_kind, unit: unit.and_then(|unit| unit.get("valueCoding")) };
        self.measured_groups(&kind, list(&measure, "group"), report, place);
    }

    fn measured_groups(&mut self, kind: &Kind<'_>, wanted: &[Value], report: &'a Value, place: &Place<'_>) {
        let groups = list(report, "group");
        if let ([group], [only]) = (groups, wanted) {
            // The only one may stay unnamed
            let at = place.plain("group", Some(0));
            if let (Some(own), Some(other)) = (group.get("code"), only.get("code"))
                && !same(own, other)
            {
                let text = "the code of the group is not that of the measure's group";
                self.raise(&at, None, Say::error("business-rule", "measure-code", text));
            }
            return self.measured_group(kind, only, group, &at);
        }
        let collecting = matches!(kind.report, "data-collection" | "data-exchange");
        let report_at = Part { name: "group", wanted, place, may_lack: &|_| collecting, by_text: false };
        for (at, index, definition) in self.matched(&report_at, groups) {
            self.measured_group(kind, definition, &groups[index], &at);
        }
    }

    /// Pairs parts of a report with those of the measure, and tells which are unknown, doubled or missing.
    fn matched<'p, 'm>(&mut self, part: &Part<'p, 'm>, reported: &'a [Value]) -> Vec<(Place<'p>, usize, &'m Value)> {
        let (name, mut pairs, mut seen) = (part.name, Vec::new(), HashSet::new());
        for (index, one) in reported.iter().enumerate() {
            let at = part.place.member(name, name, None, Some(index), What::default());
            let own = codes(one);
            if own.is_empty() {
                let text =
                    format!("{} of a report must have the code by which the measure knows it", crate::domain::a(name));
                self.raise(&at, None, Say::error("business-rule", "measure-code", text));
                continue;
            }
            let is_it = |definition: &&Value| {
                let theirs = codes(definition);
                own.iter()
                    .any(|own| theirs.iter().any(|other| same(own, other) || part.by_text && same_or_text(own, other)))
            };
            let Some(found) = part.wanted.iter().position(|definition| is_it(&definition)) else {
                let text = format!("the measure has no {name} with this code");
                self.raise(&at, None, Say::error("business-rule", "measure-code", text));
                continue;
            };
            if seen.insert(found) {
                pairs.push((at, index, &part.wanted[found]));
            } else {
                let text = format!("this {name} of the measure is reported twice");
                self.raise(&at, None, Say::error("business-rule", "measure-code", text));
            }
        }
        for (index, definition) in part.wanted.iter().enumerate() {
            if !seen.contains(&index) && !(part.may_lack)(definition) {
                let text = format!("the measure's {name} {} is not reported on", index + 1);
                self.raise(part.place, None, Say::error("business-rule", "measure-missing", text));
            }
        }
        pairs
    }

    fn measured_group(&mut self, kind: &Kind<'_>, definition: &Value, group: &'a Value, place: &Place<'_>) {
        let observes = |one: &Value| {
            let codings = one.get("code").map_or(&[][..], |code| list(code, "coding"));
            codings
                .iter()
                .any(|it| text(it, "system") == Some(POPULATIONS) && text(it, "code") == Some("measure-observation"))
        };
        let wanted = list(definition, "population");
        let populations = Part { name: "population", wanted, place, may_lack: &observes, by_text: false };
        let reported = list(group, "population");
        for (at, index, _) in self.matched(&populations, reported) {
            self.population(kind, &reported[index], &at);
        }
        self.score(kind, group, place);
        let wanted = list(definition, "stratifier");
        let stratifiers = Part { name: "stratifier", wanted, place, may_lack: &|_| false, by_text: true };
        self.matched(&stratifiers, list(group, "stratifier"));
    }

    fn population(&mut self, kind: &Kind<'_>, population: &'a Value, place: &Place<'_>) {
        let subjects = population.get("subjectResults");
        let count = population.get("count").and_then(Value::as_number).map(|count| count.as_str());
        if kind.report != "subject-list" {
            if subjects.is_some() {
                let text = "only a report of type subject-list may list the subjects of a population";
                self.raise(place, None, Say::error("business-rule", "measure-subjects", text));
            }
            if count.is_none() {
                let text = "a population should say how many it counts";
                self.raise(place, None, Say::warning("business-rule", "measure-count", text));
            }
            return;
        }
        // In R4 the subjects stand in one List
        let text = match (count, subjects) {
            (Some("0"), Some(_)) => "the population counts nobody, and yet lists subjects",
            (Some(count), None) if count != "0" => {
                "a report of type subject-list must list the subjects that it counts"
            }
            _ => return,
        };
        self.raise(place, None, Say::error("business-rule", "measure-subjects", text));
    }

    fn score(&mut self, kind: &Kind<'_>, group: &'a Value, place: &Place<'_>) {
        let score = group.get("measureScore");
        let at = place.plain("measureScore", None);
        let banned = match kind {
            Kind { report: "data-collection" | "data-exchange", .. } => "a report that collects data has no score",
            Kind { scoring: "cohort", .. } => "the measure is scored as a cohort, which has no score",
            _ => "",
        };
        if !banned.is_empty() {
            if score.is_some() {
                self.raise(&at, None, Say::error("business-rule", "measure-score", banned));
            }
            return;
        }
        if !matches!(kind.scoring, "proportion" | "ratio" | "continuous-variable") {
            return;
        }
        let Some(score) = score else {
            let text = format!("the measure is scored as {}, so the group needs a score", kind.scoring);
            return self.raise(place, None, Say::error("required", "measure-score", text));
        };
        let other = list(score, "extension").iter().any(|it| text(it, "url") == Some(OTHER_SCORE));
        if score.get("value").is_none() && !other {
            let text = "the score must have a value";
            return self.raise(&at, None, Say::error("required", "measure-score", text));
        }
        if kind.scoring == "proportion" {
            return self.proportion(score, &at);
        }
        let Some(unit) = kind.unit else { return };
        for name in ["code", "system"] {
            if text(score, name) != text(unit, name) {
                let text = format!("the {name} of the score's unit is not the one that the measure demands");
                self.raise(&at, None, Say::error("code-invalid", "measure-unit", text));
            }
        }
    }

    /// From 0 to 1, without a unit.
    fn proportion(&mut self, score: &'a Value, place: &Place<'_>) {
        for name in ["unit", "system", "code"] {
            if score.get(name).is_some() {
                let text = "a proportion is a number without a unit";
                self.raise(&place.plain(name, None), None, Say::error("business-rule", "measure-unit", text));
            }
        }
        let number = score.get("value").and_then(Value::as_number).map(|number| number.as_str());
        let value = number.and_then(|text| text.parse().or_else(|_| Decimal::from_scientific(text)).ok());
        if value.is_some_and(|value| value < Decimal::ZERO || value > Decimal::ONE) {
            let text = "a proportion must lie between 0 and 1";
            self.raise(&place.plain("value", None), None, Say::error("value", "measure-score", text));
        }
    }
}

/// The parts of one kind that a measure defines, where a report has them.
struct Part<'p, 'm> {
    name: &'static str,
    wanted: &'m [Value],
    place: &'p Place<'p>,
    /// Which may be absent from a report.
    may_lack: &'m dyn Fn(&Value) -> bool,
    /// Whether concepts without codings are told apart by their text.
    by_text: bool,
}
