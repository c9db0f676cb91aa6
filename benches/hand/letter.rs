//! A letter by hand.

use super::{
    Beside, CodeableConcept, Coding, Concept, Identifier, Period, Pointer, Reference, Span, Word, code, codeable,
    concept, each, identifiers, moment, parted, period, pointer, record, reference, span, time, word,
};
use serde::{Deserialize, Serialize};

record!(Internal {
    id: Option<String>, identifiers: Vec<Identifier>, status: Option<Word>, writing_status: Option<Word>,
    kind: Option<Concept>, categories: Vec<Concept>, patient: Option<Pointer>, filed_at: Option<String>,
    authors: Vec<Pointer>, signed_by: Option<Pointer>, kept_by: Option<Pointer>, title: Option<String>,
    confidentiality: Vec<Concept>, related: Vec<Related>, visits: Vec<Pointer>, services: Vec<Concept>,
    period: Option<Span>, facility_kind: Option<Concept>, practice_setting: Option<Concept>, about: Vec<Pointer>,
    files: Vec<Page>,
});
record!(Related { relation: Option<Word>, document: Option<Pointer> });
record!(Page { file: Option<File>, format: Option<Coding> });
record!(File {
    content_type: Option<String>, language: Option<String>, title: Option<String>, size: Option<u64>,
    created: Option<String>, data: Option<String>, id: Option<String>, url: Option<String>,
});

record!(
    #[serde(rename_all = "camelCase")]
    Fhir {
        resource_type: Option<Word>, identifier: Vec<Identifier>, status: Option<Word>, doc_status: Option<Word>,
        r#type: Option<CodeableConcept>, category: Vec<CodeableConcept>, subject: Option<Reference>,
        date: Option<String>, #[serde(rename = "_date")] date_: Option<Beside>, author: Vec<Reference>,
        authenticator: Option<Reference>, custodian: Option<Reference>, description: Option<String>,
        security_label: Vec<CodeableConcept>, relates_to: Vec<RelatesTo>, context: Option<Context>,
        content: Vec<Content>,
    }
);
record!(RelatesTo { code: Option<Word>, target: Option<Reference> });
record!(
    #[serde(rename_all = "camelCase")]
    Context {
        encounter: Vec<Reference>, event: Vec<CodeableConcept>, period: Option<Period>,
        facility_type: Option<CodeableConcept>, practice_setting: Option<CodeableConcept>, related: Vec<Reference>,
    }
);
record!(Content { attachment: Option<Attachment>, format: Option<Coding> });
record!(
    #[serde(rename_all = "camelCase")]
    Attachment {
        content_type: Option<String>, language: Option<String>, title: Option<String>, size: Option<u64>,
        data: Option<String>, url: Option<String>, creation: Option<String>,
        #[serde(rename = "_creation")] creation_: Option<Beside>,
    }
);

const STATUS: [(&str, &str); 3] =
    [("current", "current"), ("superseded", "superseded"), ("entered in error", "entered-in-error")];
const WRITING: [(&str, &str); 4] =
    [("draft", "preliminary"), ("final", "final"), ("amended", "amended"), ("entered in error", "entered-in-error")];
const RELATION: [(&str, &str); 4] =
    [("replaces", "replaces"), ("translates", "transforms"), ("signs", "signs"), ("adds to", "appends")];

pub fn to_fhir(own: Internal) -> Fhir {
    let (date, date_) = time(own.filed_at);
    let context = Context {
        encounter: each(own.visits, reference),
        event: each(own.services, codeable),
        period: own.period.map(period),
        facility_type: own.facility_kind.map(codeable),
        practice_setting: own.practice_setting.map(codeable),
        related: each(own.about, reference),
    };
    let said = !context.encounter.is_empty()
        || !context.event.is_empty()
        || context.period.is_some()
        || context.facility_type.is_some()
        || context.practice_setting.is_some()
        || !context.related.is_empty();
    Fhir {
        resource_type: Some("DocumentReference".into()),
        identifier: identifiers("letter", own.id, own.identifiers),
        status: own.status.map(|word| code(&STATUS, &word)),
        doc_status: own.writing_status.map(|word| code(&WRITING, &word)),
        r#type: own.kind.map(codeable),
        category: each(own.categories, codeable),
        subject: own.patient.map(reference),
        date,
        date_,
        author: each(own.authors, reference),
        authenticator: own.signed_by.map(reference),
        custodian: own.kept_by.map(reference),
        description: own.title,
        security_label: each(own.confidentiality, codeable),
        relates_to: each(own.related, |one| RelatesTo {
            code: one.relation.map(|word| code(&RELATION, &word)),
            target: one.document.map(reference),
        }),
        context: said.then_some(context),
        content: each(own.files, |one| Content { attachment: one.file.map(attachment), format: one.format }),
    }
}

fn attachment(own: File) -> Attachment {
    let (creation, creation_) = time(own.created);
    let stored = own.id.as_deref().and_then(|id| id.strip_prefix("sha256-")).map(|hash| format!("Binary/{hash}"));
    Attachment {
        content_type: own.content_type,
        language: own.language,
        title: own.title,
        size: own.size,
        data: own.data,
        url: stored.or(own.url),
        creation,
        creation_,
    }
}

pub fn to_internal(theirs: Fhir) -> Internal {
    let (id, identifiers) = parted("letter", theirs.identifier);
    let context = theirs.context.unwrap_or_default();
    Internal {
        id,
        identifiers,
        status: theirs.status.and_then(|code| word(&STATUS, &code)),
        writing_status: theirs.doc_status.and_then(|code| word(&WRITING, &code)),
        kind: theirs.r#type.map(concept),
        categories: each(theirs.category, concept),
        patient: theirs.subject.map(pointer),
        filed_at: moment(theirs.date, theirs.date_),
        authors: each(theirs.author, pointer),
        signed_by: theirs.authenticator.map(pointer),
        kept_by: theirs.custodian.map(pointer),
        title: theirs.description,
        confidentiality: each(theirs.security_label, concept),
        related: each(theirs.relates_to, |one| Related {
            relation: one.code.and_then(|code| word(&RELATION, &code)),
            document: one.target.map(pointer),
        }),
        visits: each(context.encounter, pointer),
        services: each(context.event, concept),
        period: context.period.map(span),
        facility_kind: context.facility_type.map(concept),
        practice_setting: context.practice_setting.map(concept),
        about: each(context.related, pointer),
        files: each(theirs.content, |one| Page { file: one.attachment.map(file), format: one.format }),
    }
}

fn file(theirs: Attachment) -> File {
    let hash = theirs.url.as_deref().and_then(|url| url.strip_prefix("Binary/")).filter(|id| id.len() == 64);
    let id = hash.map(|hash| format!("sha256-{hash}"));
    File {
        content_type: theirs.content_type,
        language: theirs.language,
        title: theirs.title,
        size: theirs.size,
        created: moment(theirs.creation, theirs.creation_),
        data: theirs.data,
        url: if id.is_some() { None } else { theirs.url },
        id,
    }
}
