//! An appointment by hand.

use super::{
    Beside, CodeableConcept, Concept, Extension, Identifier, Period, Pointer, Reference, Span, Word, code, codeable,
    concept, each, identifiers, moment, parted, period, pointer, record, reference, span, time, word,
};
use serde::{Deserialize, Serialize};

record!(Internal {
    id: Option<String>, identifiers: Vec<Identifier>, status: Option<Word>, cancellation_reason: Option<Concept>,
    visit_type: Option<Concept>, service_categories: Vec<Concept>, services: Vec<Concept>, specialties: Vec<Concept>,
    reasons: Vec<Concept>, reason_records: Vec<Pointer>, urgency: Option<u32>, description: Option<String>,
    start: Option<String>, end: Option<String>, minutes: Option<u32>, slots: Vec<Pointer>, made_on: Option<String>,
    comment: Option<String>, patient_instructions: Option<String>, referrals: Vec<Pointer>, documents: Vec<Pointer>,
    participants: Vec<Participant>, video_visit: Option<VideoVisit>, wished_periods: Vec<Span>,
});
record!(Participant {
    who: Option<Pointer>, roles: Vec<Concept>, needed: Option<Word>, reply: Option<Word>, time: Option<Span>,
});
record!(VideoVisit {
    kind: Option<super::Coding>, link: Option<String>, help: Option<String>, seats: Option<u32>, key: Option<String>,
});

record!(
    #[serde(rename_all = "camelCase")]
    Fhir {
        resource_type: Option<Word>, identifier: Vec<Identifier>, status: Option<Word>,
        cancelation_reason: Option<CodeableConcept>, appointment_type: Option<CodeableConcept>,
        service_category: Vec<CodeableConcept>, service_type: Vec<CodeableConcept>, specialty: Vec<CodeableConcept>,
        reason_code: Vec<CodeableConcept>, reason_reference: Vec<Reference>, priority: Option<u32>,
        description: Option<String>, start: Option<String>, #[serde(rename = "_start")] start_: Option<Beside>,
        end: Option<String>, #[serde(rename = "_end")] end_: Option<Beside>, minutes_duration: Option<u32>,
        slot: Vec<Reference>, created: Option<String>, #[serde(rename = "_created")] created_: Option<Beside>,
        comment: Option<String>, patient_instruction: Option<String>, based_on: Vec<Reference>,
        supporting_information: Vec<Reference>, participant: Vec<FhirParticipant>, extension: Vec<Extension>,
        requested_period: Vec<Period>,
    }
);
record!(FhirParticipant {
    actor: Option<Reference>, r#type: Vec<CodeableConcept>, required: Option<Word>, status: Option<Word>,
    period: Option<Period>,
});

const STATUS: [(&str, &str); 10] = [
    ("proposed", "proposed"),
    ("pending", "pending"),
    ("booked", "booked"),
    ("arrived", "arrived"),
    ("checked in", "checked-in"),
    ("attended", "fulfilled"),
    ("did not attend", "noshow"),
    ("cancelled", "cancelled"),
    ("entered in error", "entered-in-error"),
    ("waiting list", "waitlist"),
];
const NEEDED: [(&str, &str); 3] =
    [("required", "required"), ("optional", "optional"), ("for information", "information-only")];
const REPLY: [(&str, &str); 4] =
    [("accepted", "accepted"), ("declined", "declined"), ("tentative", "tentative"), ("not answered", "needs-action")];
const VIDEO: &str = "http://hl7.org/fhir/5.0/StructureDefinition/extension-Appointment.virtualService";

pub fn to_fhir(own: Internal) -> Fhir {
    let (start, start_) = time(own.start);
    let (end, end_) = time(own.end);
    let (created, created_) = time(own.made_on);
    Fhir {
        resource_type: Some("Appointment".into()),
        identifier: identifiers("appointment", own.id, own.identifiers),
        status: own.status.map(|status| code(&STATUS, &status)),
        cancelation_reason: own.cancellation_reason.map(codeable),
        appointment_type: own.visit_type.map(codeable),
        service_category: each(own.service_categories, codeable),
        service_type: each(own.services, codeable),
        specialty: each(own.specialties, codeable),
        reason_code: each(own.reasons, codeable),
        reason_reference: each(own.reason_records, reference),
        priority: own.urgency,
        description: own.description,
        minutes_duration: own.minutes,
        slot: each(own.slots, reference),
        comment: own.comment,
        patient_instruction: own.patient_instructions,
        based_on: each(own.referrals, reference),
        supporting_information: each(own.documents, reference),
        participant: each(own.participants, |one| FhirParticipant {
            actor: one.who.map(reference),
            r#type: each(one.roles, codeable),
            required: one.needed.map(|word| code(&NEEDED, &word)),
            status: one.reply.map(|word| code(&REPLY, &word)),
            period: one.time.map(period),
        }),
        extension: own.video_visit.map(video).into_iter().collect(),
        requested_period: each(own.wished_periods, period),
        start,
        start_,
        end,
        end_,
        created,
        created_,
    }
}

fn video(own: VideoVisit) -> Extension {
    let kind = own.kind.map(|kind| Extension { value_coding: Some(kind), ..Extension::named("channelType") });
    let link = own.link.map(|link| Extension { value_url: Some(link), ..Extension::named("address") });
    let help = own.help.map(|help| Extension { value_url: Some(help), ..Extension::named("additionalInfo") });
    let seats =
        own.seats.map(|seats| Extension { value_positive_int: Some(seats), ..Extension::named("maxParticipants") });
    let key = own.key.map(|key| Extension { value_string: Some(key), ..Extension::named("sessionKey") });
    Extension { extension: [kind, link, help, seats, key].into_iter().flatten().collect(), ..Extension::named(VIDEO) }
}

pub fn to_internal(theirs: Fhir) -> Internal {
    let (id, identifiers) = parted("appointment", theirs.identifier);
    Internal {
        id,
        identifiers,
        status: theirs.status.and_then(|status| word(&STATUS, &status)),
        cancellation_reason: theirs.cancelation_reason.map(concept),
        visit_type: theirs.appointment_type.map(concept),
        service_categories: each(theirs.service_category, concept),
        services: each(theirs.service_type, concept),
        specialties: each(theirs.specialty, concept),
        reasons: each(theirs.reason_code, concept),
        reason_records: each(theirs.reason_reference, pointer),
        urgency: theirs.priority,
        description: theirs.description,
        start: moment(theirs.start, theirs.start_),
        end: moment(theirs.end, theirs.end_),
        minutes: theirs.minutes_duration,
        slots: each(theirs.slot, pointer),
        made_on: moment(theirs.created, theirs.created_),
        comment: theirs.comment,
        patient_instructions: theirs.patient_instruction,
        referrals: each(theirs.based_on, pointer),
        documents: each(theirs.supporting_information, pointer),
        participants: each(theirs.participant, |one| Participant {
            who: one.actor.map(pointer),
            roles: each(one.r#type, concept),
            needed: one.required.and_then(|code| word(&NEEDED, &code)),
            reply: one.status.and_then(|code| word(&REPLY, &code)),
            time: one.period.map(span),
        }),
        video_visit: theirs.extension.into_iter().find(|e| e.url.as_deref() == Some(VIDEO)).map(visit),
        wished_periods: each(theirs.requested_period, span),
    }
}

fn visit(theirs: Extension) -> VideoVisit {
    let mut own = VideoVisit::default();
    for inner in theirs.extension {
        match inner.url.as_deref() {
            Some("channelType") => own.kind = inner.value_coding,
            Some("address") => own.link = inner.value_url,
            Some("additionalInfo") => own.help = inner.value_url,
            Some("maxParticipants") => own.seats = inner.value_positive_int,
            Some("sessionKey") => own.key = inner.value_string,
            _ => {}
        }
    }
    own
}
