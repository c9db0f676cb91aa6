//! A patient by hand.

use super::{
    Beside, CodeableConcept, Coding, Concept, Extension, Identifier, Period, Pointer, Reference, Span, Word, code,
    codeable, concept, each, identifiers, moment, parted, period, pointer, record, reference, span, time, word,
};
use serde::{Deserialize, Serialize};

record!(Internal {
    id: Option<String>, identifiers: Vec<Identifier>, active: Option<bool>, names: Vec<Name>,
    contact_details: Vec<Contact>, gender: Option<Word>, birth_date: Option<String>, dead: Option<bool>,
    died_on: Option<String>, addresses: Vec<Address>, marital_status: Option<Concept>, languages: Vec<Language>,
    interpreter_needed: Option<bool>, race: Option<Race>, ethnicity: Option<Ethnicity>, birth_sex: Option<Word>,
    relatives: Vec<Relative>, usual_practitioners: Vec<Pointer>, practice: Option<Pointer>, links: Vec<Link>,
});
record!(Name {
    r#use: Option<Word>, full: Option<String>, family: Option<String>, given: Vec<String>, prefix: Vec<String>,
    suffix: Vec<String>, valid: Option<Span>,
});
record!(Contact { kind: Option<Word>, value: Option<String>, r#use: Option<Word>, rank: Option<u32>, valid: Option<Span> });
record!(Address {
    r#use: Option<Word>, kind: Option<Word>, full: Option<String>, lines: Vec<String>, city: Option<String>,
    district: Option<String>, state: Option<String>, postal_code: Option<String>, country: Option<String>,
    valid: Option<Span>,
});
record!(Language { language: Option<String>, preferred: Option<bool> });
record!(Race { categories: Vec<Word>, detailed: Vec<Coding>, text: Option<String> });
record!(Ethnicity { category: Option<Word>, detailed: Vec<Coding>, text: Option<String> });
record!(Relative {
    relationships: Vec<Concept>, name: Option<Name>, contact_details: Vec<Contact>, address: Option<Address>,
    gender: Option<Word>, organization: Option<Pointer>, valid: Option<Span>,
});
record!(Link { record: Option<Pointer>, kind: Option<String> });

record!(
    #[serde(rename_all = "camelCase")]
    Fhir {
        resource_type: Option<Word>, identifier: Vec<Identifier>, active: Option<bool>, name: Vec<HumanName>,
        telecom: Vec<ContactPoint>, gender: Option<Word>, birth_date: Option<String>, deceased_boolean: Option<bool>,
        deceased_date_time: Option<String>, #[serde(rename = "_deceasedDateTime")] deceased_: Option<Beside>,
        address: Vec<FhirAddress>, marital_status: Option<CodeableConcept>, communication: Vec<Communication>,
        extension: Vec<Extension>, contact: Vec<FhirContact>, general_practitioner: Vec<Reference>,
        managing_organization: Option<Reference>, link: Vec<FhirLink>,
    }
);
record!(HumanName {
    r#use: Option<Word>, text: Option<String>, family: Option<String>, given: Vec<String>, prefix: Vec<String>,
    suffix: Vec<String>, period: Option<Period>,
});
record!(ContactPoint {
    system: Option<Word>, value: Option<String>, r#use: Option<Word>, rank: Option<u32>, period: Option<Period>,
});
record!(
    #[serde(rename_all = "camelCase")]
    FhirAddress {
        r#use: Option<Word>, r#type: Option<Word>, text: Option<String>, line: Vec<String>, city: Option<String>,
        district: Option<String>, state: Option<String>, postal_code: Option<String>, country: Option<String>,
        period: Option<Period>,
    }
);
record!(Communication { language: Option<CodeableConcept>, preferred: Option<bool> });
record!(FhirContact {
    relationship: Vec<CodeableConcept>, name: Option<HumanName>, telecom: Vec<ContactPoint>,
    address: Option<FhirAddress>, gender: Option<Word>, organization: Option<Reference>, period: Option<Period>,
});
record!(FhirLink { other: Option<Reference>, r#type: Option<String> });

type Table<const N: usize> = [(&'static str, &'static str); N];
const GENDER: Table<4> = [("female", "female"), ("male", "male"), ("other", "other"), ("unknown", "unknown")];
const NAME_USE: Table<7> = [
    ("usual", "usual"),
    ("official", "official"),
    ("temporary", "temp"),
    ("nickname", "nickname"),
    ("anonymous", "anonymous"),
    ("former", "old"),
    ("maiden", "maiden"),
];
const CONTACT_KIND: Table<7> = [
    ("phone", "phone"),
    ("fax", "fax"),
    ("email", "email"),
    ("pager", "pager"),
    ("website", "url"),
    ("text message", "sms"),
    ("other", "other"),
];
const CONTACT_USE: Table<5> =
    [("home", "home"), ("work", "work"), ("temporary", "temp"), ("former", "old"), ("mobile", "mobile")];
const ADDRESS_USE: Table<5> =
    [("home", "home"), ("work", "work"), ("temporary", "temp"), ("former", "old"), ("billing", "billing")];
const ADDRESS_KIND: Table<3> = [("post", "postal"), ("visits", "physical"), ("post and visits", "both")];
const BIRTH_SEX: Table<5> =
    [("female", "F"), ("male", "M"), ("asked but unknown", "ASKU"), ("other", "OTH"), ("unknown", "UNK")];
const OMB: &str = "urn:oid:2.16.840.1.113883.6.238";
const RACES: Table<5> = [
    ("American Indian or Alaska Native", "1002-5"),
    ("Asian", "2028-9"),
    ("Black or African American", "2054-5"),
    ("Native Hawaiian or Other Pacific Islander", "2076-8"),
    ("White", "2106-3"),
];
const ETHNICITIES: Table<2> = [("Hispanic or Latino", "2135-2"), ("Not Hispanic or Latino", "2186-5")];
const LANGUAGES: &str = "urn:ietf:bcp:47";
const INTERPRETER: &str = "http://hl7.org/fhir/StructureDefinition/patient-interpreterRequired";
const RACE: &str = "http://hl7.org/fhir/us/core/StructureDefinition/us-core-race";
const ETHNICITY: &str = "http://hl7.org/fhir/us/core/StructureDefinition/us-core-ethnicity";
const SEX: &str = "http://hl7.org/fhir/us/core/StructureDefinition/us-core-birthsex";

fn human_name(own: Name) -> HumanName {
    HumanName {
        r#use: own.r#use.map(|word| code(&NAME_USE, &word)),
        text: own.full,
        family: own.family,
        given: own.given,
        prefix: own.prefix,
        suffix: own.suffix,
        period: own.valid.map(period),
    }
}

fn name(theirs: HumanName) -> Name {
    Name {
        r#use: theirs.r#use.and_then(|code| word(&NAME_USE, &code)),
        full: theirs.text,
        family: theirs.family,
        given: theirs.given,
        prefix: theirs.prefix,
        suffix: theirs.suffix,
        valid: theirs.period.map(span),
    }
}

fn contact_point(own: Contact) -> ContactPoint {
    ContactPoint {
        system: own.kind.map(|word| code(&CONTACT_KIND, &word)),
        value: own.value,
        r#use: own.r#use.map(|word| code(&CONTACT_USE, &word)),
        rank: own.rank,
        period: own.valid.map(period),
    }
}

fn contact(theirs: ContactPoint) -> Contact {
    Contact {
        kind: theirs.system.and_then(|code| word(&CONTACT_KIND, &code)),
        value: theirs.value,
        r#use: theirs.r#use.and_then(|code| word(&CONTACT_USE, &code)),
        rank: theirs.rank,
        valid: theirs.period.map(span),
    }
}

fn fhir_address(own: Address) -> FhirAddress {
    FhirAddress {
        r#use: own.r#use.map(|word| code(&ADDRESS_USE, &word)),
        r#type: own.kind.map(|word| code(&ADDRESS_KIND, &word)),
        text: own.full,
        line: own.lines,
        city: own.city,
        district: own.district,
        state: own.state,
        postal_code: own.postal_code,
        country: own.country,
        period: own.valid.map(period),
    }
}

fn address(theirs: FhirAddress) -> Address {
    Address {
        r#use: theirs.r#use.and_then(|code| word(&ADDRESS_USE, &code)),
        kind: theirs.r#type.and_then(|code| word(&ADDRESS_KIND, &code)),
        full: theirs.text,
        lines: theirs.line,
        city: theirs.city,
        district: theirs.district,
        state: theirs.state,
        postal_code: theirs.postal_code,
        country: theirs.country,
        valid: theirs.period.map(span),
    }
}

fn coding(code: Word) -> Extension {
    let coding = Coding { system: Some(OMB.to_owned()), code: Some(code.into_owned()), ..Coding::default() };
    Extension { value_coding: Some(coding), ..Extension::named("ombCategory") }
}

fn nested(url: &'static str, category: Vec<Extension>, detailed: Vec<Coding>, text: Option<String>) -> Extension {
    let mut inner = category;
    inner.extend(
        detailed.into_iter().map(|coding| Extension { value_coding: Some(coding), ..Extension::named("detailed") }),
    );
    inner.extend(text.map(|text| Extension { value_string: Some(text), ..Extension::named("text") }));
    Extension { extension: inner, ..Extension::named(url) }
}

pub fn to_fhir(own: Internal) -> Fhir {
    let (deceased_date_time, deceased_) = time(own.died_on);
    let mut extension = Vec::new();
    extension.extend(
        own.interpreter_needed.map(|flag| Extension { value_boolean: Some(flag), ..Extension::named(INTERPRETER) }),
    );
    extension.extend(own.race.map(|race| {
        let categories = each(race.categories, |word| coding(code(&RACES, &word)));
        nested(RACE, categories, race.detailed, race.text)
    }));
    extension.extend(own.ethnicity.map(|of| {
        let category = of.category.map(|word| coding(code(&ETHNICITIES, &word)));
        nested(ETHNICITY, category.into_iter().collect(), of.detailed, of.text)
    }));
    extension.extend(
        own.birth_sex.map(|word| Extension { value_code: Some(code(&BIRTH_SEX, &word)), ..Extension::named(SEX) }),
    );
    Fhir {
        resource_type: Some("Patient".into()),
        identifier: identifiers("patient", own.id, own.identifiers),
        active: own.active,
        name: each(own.names, human_name),
        telecom: each(own.contact_details, contact_point),
        gender: own.gender.map(|word| code(&GENDER, &word)),
        birth_date: own.birth_date,
        deceased_boolean: own.dead,
        deceased_date_time,
        deceased_,
        address: each(own.addresses, fhir_address),
        marital_status: own.marital_status.map(codeable),
        communication: each(own.languages, |one| Communication {
            language: one.language.map(|tag| CodeableConcept {
                coding: vec![Coding { system: Some(LANGUAGES.to_owned()), code: Some(tag), ..Coding::default() }],
                text: None,
            }),
            preferred: one.preferred,
        }),
        extension,
        contact: each(own.relatives, |one| FhirContact {
            relationship: each(one.relationships, codeable),
            name: one.name.map(human_name),
            telecom: each(one.contact_details, contact_point),
            address: one.address.map(fhir_address),
            gender: one.gender.map(|word| code(&GENDER, &word)),
            organization: one.organization.map(reference),
            period: one.valid.map(period),
        }),
        general_practitioner: each(own.usual_practitioners, reference),
        managing_organization: own.practice.map(reference),
        link: each(own.links, |one| FhirLink { other: one.record.map(reference), r#type: one.kind }),
    }
}

pub fn to_internal(theirs: Fhir) -> Internal {
    let (id, identifiers) = parted("patient", theirs.identifier);
    let inside = |list: Vec<Extension>| {
        let (mut codes, mut detailed, mut text) = (Vec::new(), Vec::new(), None);
        for inner in list {
            match (inner.url.as_deref(), inner.value_coding) {
                (Some("ombCategory"), Some(coding)) => codes.extend(coding.code),
                (Some("detailed"), Some(coding)) => detailed.push(coding),
                (Some("text"), _) => text = inner.value_string,
                _ => {}
            }
        }
        (codes, detailed, text)
    };
    let (mut interpreter_needed, mut race, mut ethnicity, mut birth_sex) = (None, None, None, None);
    for extension in theirs.extension {
        match extension.url.as_deref() {
            Some(INTERPRETER) => interpreter_needed = extension.value_boolean,
            Some(SEX) => birth_sex = extension.value_code.and_then(|code| word(&BIRTH_SEX, &code)),
            Some(RACE) => {
                let (codes, detailed, text) = inside(extension.extension);
                let categories = codes.iter().filter_map(|code| word(&RACES, code)).collect();
                race = Some(Race { categories, detailed, text });
            }
            Some(ETHNICITY) => {
                let (codes, detailed, text) = inside(extension.extension);
                let category = codes.first().and_then(|code| word(&ETHNICITIES, code));
                ethnicity = Some(Ethnicity { category, detailed, text });
            }
            _ => {}
        }
    }
    Internal {
        id,
        identifiers,
        active: theirs.active,
        names: each(theirs.name, name),
        contact_details: each(theirs.telecom, contact),
        gender: theirs.gender.and_then(|code| word(&GENDER, &code)),
        birth_date: theirs.birth_date,
        dead: theirs.deceased_boolean,
        died_on: moment(theirs.deceased_date_time, theirs.deceased_),
        addresses: each(theirs.address, address),
        marital_status: theirs.marital_status.map(concept),
        languages: each(theirs.communication, |one| Language {
            language: one.language.and_then(|language| {
                let mut own = language.coding.into_iter().filter(|coding| coding.system.as_deref() == Some(LANGUAGES));
                own.next()?.code
            }),
            preferred: one.preferred,
        }),
        interpreter_needed,
        race,
        ethnicity,
        birth_sex,
        relatives: each(theirs.contact, |one| Relative {
            relationships: each(one.relationship, concept),
            name: one.name.map(name),
            contact_details: each(one.telecom, contact),
            address: one.address.map(address),
            gender: one.gender.and_then(|code| word(&GENDER, &code)),
            organization: one.organization.map(pointer),
            valid: one.period.map(span),
        }),
        usual_practitioners: each(theirs.general_practitioner, pointer),
        practice: theirs.managing_organization.map(pointer),
        links: each(theirs.link, |one| Link { record: one.other.map(pointer), kind: one.r#type }),
    }
}
