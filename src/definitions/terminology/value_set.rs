//! A value set made ready for asking: each include and exclude becomes a clause that answers by hash lookup; the
//! answers are joined in three-valued logic. <https://hl7.org/fhir/R4/valueset.html#compositions>

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use super::{CodeSystem, Membership, Rule, Why, filter};
use crate::{
    definitions::compile::{items, text},
    fhir::Value,
};

/// Where value sets find what they include.
pub(in crate::definitions) trait Source {
    fn code_system(&self, canonical: &str) -> Option<Arc<CodeSystem>>;
    /// A value set by canonical; `open` are those that are being made ready and may not come again.
    fn value_set(&self, canonical: &str, open: &[String]) -> Result<Arc<ValueSet>, Why>;
}

/// A value set; membership is decided by hash lookups.
#[derive(Clone, Debug, Default)]
pub struct ValueSet {
    /// Canonical URL.
    pub url: String,
    /// Business version.
    pub version: Option<String>,
    /// Its name for people.
    pub name: String,
    includes: Vec<Clause>,
    excludes: Vec<Clause>,
    expansion: Option<Expansion>,
    /// A circle of imports left something out.
    is_cut: bool,
}

/// What imported value sets said of the code that is asked for.
type Answers = Vec<(*const ValueSet, Membership)>;

/// Imports that one expansion may walk through.
const MOST_EXPANDED: u32 = 2000;

/// One code of a value set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its system.
    pub system: String,
    /// The code.
    pub code: String,
    /// What it is called.
    pub display: Option<String>,
}

#[derive(Clone, Debug)]
struct Clause {
    system: Option<String>,
    test: Test,
    value_sets: Vec<Result<Arc<ValueSet>, Why>>,
}

#[derive(Clone, Debug)]
enum Test {
    /// Only the imported value sets decide.
    Any,
    /// These codes (folded, if the system is at hand and folds), with the display that is given here.
    Listed {
        codes: HashMap<String, Listed>,
        folds: bool,
    },
    /// All codes of a system that is at hand.
    System(Arc<CodeSystem>, Actives),
    /// The concepts that pass the filters.
    Passing(Arc<CodeSystem>, HashSet<usize>),
    /// All codes that follow a rule.
    /// By grammar; with filters what passes it stays undecided.
    Rule(Rule, Option<Why>),
    Unknown(Why),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Actives {
    All,
    Only,
}

#[derive(Clone, Debug)]
struct Listed {
    code: String,
    display: Option<String>,
}

#[derive(Clone, Debug, Default)]
struct Expansion {
    codes: HashSet<(String, String)>,
    /// Whether there is nothing beyond these.
    is_closed: bool,
    members: Vec<Member>,
}

impl ValueSet {
    /// Whether `code` of `system` belongs. Without a system (elements of type `code`) any system of the value set fits.
    #[must_use]
    pub fn contains(&self, system: Option<&str>, code: &str) -> Membership {
        self.ask(system, code, &mut Vec::new())
    }

    /// [`Self::contains`], where `known` are the answers of imported value sets, each of which is asked once.
    fn ask(&self, system: Option<&str>, code: &str, known: &mut Answers) -> Membership {
        let computed = if self.includes.is_empty() {
            Membership::Unknown(Why::Undefined(self.url.clone()))
        } else {
            let included = Membership::any(self.includes.iter().map(|clause| clause.ask(system, code, known)));
            included.and(|| Membership::any(self.excludes.iter().map(|clause| clause.ask(system, code, known))).not())
        };
        match (&computed, &self.expansion) {
            (Membership::Unknown(_), Some(expansion)) => expansion.contains(system, code).unwrap_or(computed),
            _ => computed,
        }
    }

    pub(in crate::definitions) fn is_cut(&self) -> bool {
        self.is_cut
    }

    /// This and all value sets that it imports, each once.
    fn reach(&self) -> Vec<&Self> {
        let mut reached: Vec<&Self> = vec![self];
        let mut at = 0;
        while let Some(set) = reached.get(at).copied() {
            for import in set.includes.iter().flat_map(|clause| clause.value_sets.iter().flatten()) {
                if !reached.iter().any(|known| std::ptr::eq(*known, import.as_ref())) {
                    reached.push(import);
                }
            }
            at += 1;
        }
        reached
    }

    /// What the value set itself calls a code, where it says (a system's own names: [`CodeSystem::concept`]).
    #[must_use]
    pub fn display(&self, system: Option<&str>, code: &str) -> Option<&str> {
        self.reach().into_iter().flat_map(|set| &set.includes).find_map(|clause| match &clause.test {
            Test::Listed { codes, folds } if system.is_none() || clause.system.as_deref() == system => {
                let key = if *folds { code.to_lowercase() } else { code.to_owned() };
                codes.get(&key)?.display.as_deref()
            }
            _ => None,
        })
    }

    /// Whether the value set names this system at all (directly or through an import). A rough guide for sentences.
    #[must_use]
    pub fn names_system(&self, system: &str) -> bool {
        self.reach().iter().any(|set| set.includes.iter().any(|clause| clause.system.as_deref() == Some(system)))
    }

    /// The systems it names, directly or through imports.
    #[must_use]
    pub fn systems(&self) -> Vec<&str> {
        let all = self.reach().into_iter().flat_map(|set| &set.includes);
        let mut systems: Vec<&str> = all.filter_map(|clause| clause.system.as_deref()).collect();
        systems.sort_unstable();
        systems.dedup();
        systems
    }

    /// Up to `most` of its codes, in the order of its definition.
    ///
    /// # Errors
    /// [`Why`] its codes cannot be listed here (rules such as UCUM have no list either).
    pub fn expand(&self, most: usize) -> Result<Vec<Member>, Why> {
        self.expand_within(most, &mut { MOST_EXPANDED })
    }

    fn expand_within(&self, most: usize, left: &mut u32) -> Result<Vec<Member>, Why> {
        *left = left.checked_sub(1).ok_or_else(|| Why::Cycle(self.url.clone()))?;
        let mut found: Vec<Member> = Vec::new();
        let listed = self.includes.iter().try_for_each(|clause| clause.list(&mut found, most, left));
        if listed.is_err() || self.includes.is_empty() {
            let undefined = || Why::Undefined(self.url.clone());
            found = match &self.expansion {
                Some(expansion) => expansion.members.clone(),
                None => return Err(listed.err().unwrap_or_else(undefined)),
            };
        }
        let mut seen = HashSet::new();
        found.retain(|member| {
            let excluded = self.excludes.iter().map(|clause| clause.contains(Some(&member.system), &member.code));
            Membership::any(excluded) == Membership::No && seen.insert((member.system.clone(), member.code.clone()))
        });
        found.truncate(most);
        Ok(found)
    }
}

impl Clause {
    fn contains(&self, system: Option<&str>, code: &str) -> Membership {
        self.ask(system, code, &mut Vec::new())
    }

    fn ask(&self, system: Option<&str>, code: &str, known: &mut Answers) -> Membership {
        if let (Some(own), Some(asked)) = (&self.system, system)
            && own != asked
        {
            return Membership::No;
        }
        let own = match &self.test {
            Test::Any => Membership::Yes,
            Test::Listed { codes, folds: false } => Membership::known(codes.contains_key(code)),
            Test::Listed { codes, folds: true } => Membership::known(codes.contains_key(&code.to_lowercase())),
            Test::System(system, Actives::All) => system.contains(code),
            Test::System(known, Actives::Only) => {
                let active = || Membership::known(known.concept(code).is_none_or(|concept| !concept.is_inactive));
                known.contains(code).and(active)
            }
            Test::Passing(known, passing) => match known.index_of(code) {
                Some(at) => Membership::known(passing.contains(&at)),
                None => known.contains(code),
            },
            Test::Rule(rule, narrowed) => match (rule.judges(code), narrowed) {
                (Membership::Yes, Some(why)) => Membership::Unknown(why.clone()),
                (answer, _) => answer,
            },
            Test::Unknown(why) => Membership::Unknown(why.clone()),
        };
        self.value_sets.iter().fold(own, |answer, set| {
            answer.and(|| match set {
                Ok(set) => {
                    let place = Arc::as_ptr(set);
                    if let Some((_, answer)) = known.iter().find(|(asked, _)| *asked == place) {
                        return answer.clone();
                    }
                    let answer = set.ask(system, code, known);
                    known.push((place, answer.clone()));
                    answer
                }
                Err(why) => Membership::Unknown(why.clone()),
            })
        })
    }

    fn list(&self, found: &mut Vec<Member>, most: usize, left: &mut u32) -> Result<(), Why> {
        let system = self.system.clone().unwrap_or_default();
        let member = |code: &str, display: &Option<String>| Member {
            system: system.clone(),
            code: code.to_owned(),
            display: display.clone(),
        };
        let start = found.len();
        match &self.test {
            Test::Any => {
                let first = self.value_sets.first().ok_or_else(|| Why::Undefined(system.clone()))?;
                found.extend(first.as_ref().map_err(Clone::clone)?.expand_within(most, left)?);
            }
            Test::Listed { codes, .. } => {
                let mut listed: Vec<&Listed> = codes.values().collect();
                listed.sort_by(|a, b| a.code.cmp(&b.code));
                found.extend(listed.into_iter().map(|listed| member(&listed.code, &listed.display)));
            }
            Test::System(known, actives) if known.is_complete => {
                let wanted = known
                    .concepts
                    .iter()
                    .filter(|concept| !concept.is_abstract && (*actives == Actives::All || !concept.is_inactive));
                found.extend(wanted.map(|concept| member(&concept.code, &concept.display)));
            }
            Test::Passing(known, passing) => {
                let concepts = known.concepts.iter().enumerate();
                let wanted = concepts.filter(|(at, concept)| !concept.is_abstract && passing.contains(at));
                found.extend(wanted.map(|(_, concept)| member(&concept.code, &concept.display)));
            }
            Test::System(known, _) => return Err(Why::System(known.url.clone())),
            Test::Rule(..) => return Err(Why::System(system.clone())),
            Test::Unknown(why) => return Err(why.clone()),
        }
        let mut at = 0;
        found.retain(|member| {
            at += 1;
            at <= start || self.contains(Some(&member.system), &member.code) == Membership::Yes
        });
        Ok(())
    }
}

impl Expansion {
    fn read(value: &Value) -> Self {
        let mut expansion = Self::default();
        expansion.add(value);
        let total = value.get("total").and_then(|total| total.as_number()?.as_str().parse::<usize>().ok());
        let partial = value.get("offset").is_some()
            || items(value, "parameter").any(|parameter| parameter.get("name").is_some_and(|name| name == "count"))
            || value.get("extension").is_some_and(|extensions| extensions.to_string().contains("valueset-unclosed"));
        expansion.is_closed = !partial && total.is_none_or(|total| total <= expansion.members.len());
        expansion
    }

    fn add(&mut self, level: &Value) {
        for item in items(level, "contains") {
            let is_abstract = item.get("abstract").is_some_and(|is| is == true);
            if let (Some(code), false) = (text(item, "code"), is_abstract) {
                let system = text(item, "system").unwrap_or_default();
                self.codes.insert((system.clone(), code.clone()));
                self.members.push(Member { system, code, display: text(item, "display") });
            }
            self.add(item);
        }
    }

    fn contains(&self, system: Option<&str>, code: &str) -> Option<Membership> {
        let found = match system {
            Some(system) => self.codes.contains(&(system.to_owned(), code.to_owned())),
            None => self.members.iter().any(|member| member.code == code),
        };
        if found || self.is_closed { Some(Membership::known(found)) } else { None }
    }
}

/// Makes a ValueSet resource ready. `open` are the canonicals that are being made ready around it.
pub(in crate::definitions) fn compile(resource: &Value, source: &dyn Source, open: &[String]) -> ValueSet {
    let url = text(resource, "url").unwrap_or_default();
    let mut open = open.to_vec();
    open.push(url.clone());
    let compose = resource.get("compose").unwrap_or(&Value::Null);
    let actives = if compose.get("inactive").is_some_and(|is| is == false) { Actives::Only } else { Actives::All };
    let clauses =
        |name: &str| -> Vec<Clause> { items(compose, name).map(|item| clause(item, source, &open, actives)).collect() };
    let (includes, excludes) = (clauses("include"), clauses("exclude"));
    let is_cut = includes.iter().chain(&excludes).flat_map(|clause| &clause.value_sets).any(|set| match set {
        Ok(set) => set.is_cut,
        Err(why) => matches!(why, Why::Cycle(_)),
    });
    ValueSet {
        is_cut,
        version: text(resource, "version"),
        name: text(resource, "title").or_else(|| text(resource, "name")).unwrap_or_else(|| url.clone()),
        includes,
        excludes,
        expansion: resource.get("expansion").map(Expansion::read),
        url,
    }
}

/// The value set of all codes of a system.
pub(in crate::definitions) fn whole_system(url: &str, system: Arc<CodeSystem>) -> ValueSet {
    let clause = Clause {
        system: Some(system.url.clone()),
        test: Test::System(Arc::clone(&system), Actives::All),
        value_sets: Vec::new(),
    };
    ValueSet { url: url.to_owned(), name: url.to_owned(), includes: vec![clause], ..ValueSet::default() }
}

fn clause(item: &Value, source: &dyn Source, open: &[String], actives: Actives) -> Clause {
    let value_sets = items(item, "valueSet").filter_map(Value::as_str);
    let value_sets = value_sets.map(|canonical| source.value_set(canonical, open)).collect();
    let system = text(item, "system");
    let test = system.as_deref().map_or(Test::Any, |system| test(item, system, source, actives));
    Clause { system, test, value_sets }
}

fn test(item: &Value, system: &str, source: &dyn Source, actives: Actives) -> Test {
    let pinned = text(item, "version").map(|version| format!("{system}|{version}"));
    let known = source.code_system(pinned.as_deref().unwrap_or(system));
    if items(item, "concept").next().is_some() {
        let folds = known.as_ref().is_some_and(|known| !known.is_case_sensitive);
        let listed = items(item, "concept").filter_map(|concept| {
            let code = text(concept, "code")?;
            let key = if folds { code.to_lowercase() } else { code.clone() };
            Some((key, Listed { display: text(concept, "display"), code }))
        });
        return Test::Listed { codes: listed.collect(), folds };
    }
    let has_filters = items(item, "filter").next().is_some();
    let Some(known) = known else {
        return match Rule::of(system) {
            // A filter can only take away
            Some(rule) => Test::Rule(rule, has_filters.then(|| Why::Filter(item["filter"].to_string()))),
            None => Test::Unknown(Why::System(pinned.unwrap_or_else(|| system.to_owned()))),
        };
    };
    if !has_filters {
        return Test::System(known, actives);
    }
    let mut passing = vec![true; known.concepts.len()];
    for one in items(item, "filter") {
        match filter::passing(&known, one) {
            Ok(also) => passing.iter_mut().zip(also).for_each(|(passes, also)| *passes &= also),
            Err(why) => return Test::Unknown(why),
        }
    }
    let wanted = |at: &usize| passing[*at] && (actives == Actives::All || !known.concepts[*at].is_inactive);
    let passing = (0..known.concepts.len()).filter(wanted).collect();
    Test::Passing(known, passing)
}
