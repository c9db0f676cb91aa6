//! Eleven kinds of edits on three kinds of records, each with two changes of ours: the first as near to the edit as one can get
//! without changing the same value (what becomes of that is `docs/merge-table.md`).

use serde_json::{Value, json};

pub const OBJECTS: [&str; 3] = ["patient", "appointment", "message"];
pub const KINDS: [&str; 11] = [
    "unknown extension on the resource",
    "unknown extension on an item of a list",
    "unknown extension on a primitive",
    "contained resource, and what refers to it",
    "another system's identifier",
    "decimals with trailing zeros",
    "narrative",
    "nested parts",
    "tags and security labels",
    "unknown codings beside ours",
    "translations and the language",
];

/// One change of ours, here and there.
#[derive(Clone, Copy)]
pub struct Change {
    pub here: &'static str,
    pub value_here: &'static str,
    pub there: &'static str,
    pub value_there: &'static str,
}

const fn same(here: &'static str, there: &'static str, value: &'static str) -> Change {
    Change { here, value_here: value, there, value_there: value }
}

pub struct Row {
    pub kind: usize,
    pub object: &'static str,
    pub edit: fn(&mut Value),
    pub first: Change,
    pub second: Change,
}

const GENDER: Change = same("/gender", "/gender", r#""female""#);
const USE: Change = same("/contact_details/0/use", "/telecom/0/use", r#""work""#);
const GIVEN: Change = same("/names/0/given", "/name/0/given", r#"["Ada"]"#);
const CARD: Change = same("/patient_instructions", "/patientInstruction", r#""Bring the card""#);
const NEEDED: Change = same("/participants/0/needed", "/participant/0/required", r#""required""#);
const SERVICE: Change = same("/services/1", "/serviceType/1", r#"{"text": "Blood test"}"#);
const COMMENT: Change = same("/comment", "/comment", r#""By the window""#);
const URGENT: Change = same("/priority", "/priority", r#""urgent""#);
const SECOND_PART: Change = Change {
    here: "/parts/1",
    value_here: r#"{"text": "Second"}"#,
    there: "/payload/1",
    value_there: r#"{"contentString": "Second"}"#,
};
const REASON: Change = same("/status_reason/text", "/statusReason/text", r#""because""#);

pub fn rows() -> Vec<Row> {
    let row = |kind, edits: [(fn(&mut Value), Change); 3]| {
        let seconds = [GIVEN, COMMENT, REASON];
        let parts = OBJECTS.into_iter().zip(edits).zip(seconds);
        parts.map(move |((object, (edit, first)), second)| Row { kind, object, edit, first, second })
    };
    let mut rows = Vec::new();
    rows.extend(row(0, [(extension, GENDER), (extension, CARD), (extension, URGENT)]));
    rows.extend(row(
        1,
        [
            (|body| body["telecom"][0]["extension"] = unknown("on the item"), USE),
            (|body| body["participant"][0]["extension"] = unknown("on the item"), NEEDED),
            (|body| body["payload"][0]["extension"] = unknown("on the item"), SECOND_PART),
        ],
    ));
    rows.extend(row(
        2,
        [
            (|body| body["_birthDate"] = json!({"extension": unknown("about")}), GENDER),
            (|body| body["_description"] = json!({"id": "d1", "extension": unknown("about")}), CARD),
            (|body| body["_sent"] = json!({"extension": unknown("about")}), URGENT),
        ],
    ));
    rows.extend(row(
        3,
        [
            (|body| contained(body, |body| body["generalPractitioner"] = json!([{"reference": "#dr"}])), GENDER),
            (
                |body| {
                    contained(body, |body| {
                        push(body, "participant", json!({"actor": {"reference": "#dr"}, "status": "accepted"}))
                    })
                },
                NEEDED,
            ),
            (|body| contained(body, |body| push(body, "recipient", json!({"reference": "#dr"}))), URGENT),
        ],
    ));
    rows.extend(row(4, [(identifier, GENDER), (identifier, CARD), (identifier, URGENT)]));
    rows.extend(row(5, [(decimals, GENDER), (decimals, CARD), (decimals, URGENT)]));
    rows.extend(row(6, [(narrative, GENDER), (narrative, CARD), (narrative, URGENT)]));
    rows.extend(row(
        7,
        [
            (|body| push(body, "contact", contact()), USE),
            (|body| push(body, "participant", participant()), NEEDED),
            (|body| push(body, "note", note()), SECOND_PART),
        ],
    ));
    rows.extend(row(8, [(labels, GENDER), (labels, CARD), (labels, URGENT)]));
    rows.extend(row(
        9,
        [
            (|body| push(&mut body["maritalStatus"], "coding", coding()), GENDER),
            (|body| push(&mut body["serviceType"][0], "coding", coding()), SERVICE),
            (|body| push(&mut body["category"][0], "coding", coding()), URGENT),
        ],
    ));
    rows.extend(row(
        10,
        [
            (|body| translated(body, |body| body["name"][0]["_family"] = translation("Beispiel")), USE),
            (|body| translated(body, |body| body["_description"] = translation("Untersuchung")), CARD),
            (|body| translated(body, |body| body["topic"]["_text"] = translation("Erinnerung")), URGENT),
        ],
    ));
    rows
}

impl Row {
    pub fn id(&self) -> String {
        format!("{}-{}", self.object, self.kind)
    }

    pub fn name(&self) -> (String, String) {
        (self.object.to_owned(), self.id())
    }

    pub fn title(&self) -> String {
        format!("{} ({})", KINDS[self.kind], self.object)
    }

    /// As we send it first.
    pub fn object(&self) -> Value {
        let who = json!({"object": "patient", "id": format!("patient-{}", self.kind)});
        match self.object {
            "patient" => json!({"id": self.id(), "names": [{"use": "official", "family": "Example"}],
                "birth_date": "1980-02-29", "marital_status": {"text": "single"},
                "contact_details": [{"kind": "phone", "value": "+44 20 7946 0000"}]}),
            "appointment" => json!({"id": self.id(), "status": "booked", "description": "Check-up",
                "services": [{"text": "Check-up"}],
                "start": "2027-05-04T09:30:00+01:00[Europe/London]", "end": "2027-05-04T10:00:00+01:00[Europe/London]",
                "participants": [{"who": who, "reply": "accepted"}]}),
            _ => json!({"id": self.id(), "status": "sent", "categories": ["reminder"], "topic": {"text": "Reminder"},
                "patient": who, "recipients": [who], "sent_at": "2026-10-21T09:01:00Z", "parts": [{"text": "Hello"}]}),
        }
    }
}

fn push(body: &mut Value, list: &str, item: Value) {
    if body[list].is_null() {
        body[list] = json!([]);
    }
    body[list].as_array_mut().expect("a list").push(item);
}

fn unknown(text: &str) -> Value {
    json!([{"url": "http://ward.example/remark", "valueString": text}])
}

fn extension(body: &mut Value) {
    let inner = json!([{"url": "colour", "valueString": "green"}, {"url": "level", "valueInteger": 3}]);
    push(body, "extension", json!({"url": "http://ward.example/badge", "extension": inner}));
    push(body, "extension", json!({"url": "http://ward.example/remark", "valueString": "in the west wing"}));
}

fn contained(body: &mut Value, refer: impl Fn(&mut Value)) {
    let name = json!([{"family": "Doe", "given": ["John"]}]);
    push(body, "contained", json!({"resourceType": "Practitioner", "id": "dr", "name": name}));
    refer(body);
}

fn identifier(body: &mut Value) {
    let kind = json!({"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": "MR"}]});
    let period = json!({"start": "2020-01-01"});
    let assigner = json!({"display": "The ward"});
    push(
        body,
        "identifier",
        json!({"use": "secondary", "type": kind, "system": "http://ward.example/number", "value": "0042",
        "period": period, "assigner": assigner}),
    );
}

fn decimals(body: &mut Value) {
    let number = |text: &str| serde_json::from_str::<Value>(text).expect("a number");
    push(body, "extension", json!({"url": "http://ward.example/dose", "valueDecimal": number("1.50")}));
    let quantity = json!({"value": number("10.00"), "unit": "mg", "system": "http://unitsofmeasure.org", "code": "mg"});
    push(body, "extension", json!({"url": "http://ward.example/amount", "valueQuantity": quantity}));
    push(body, "extension", json!({"url": "http://ward.example/tiny", "valueDecimal": number("0.000")}));
}

fn narrative(body: &mut Value) {
    let div = "<div xmlns=\"http://www.w3.org/1999/xhtml\"><p>As the <b>ward</b> wrote it &amp; meant it</p></div>";
    body["text"] = json!({"status": "additional", "div": div});
}

fn contact() -> Value {
    json!({"extension": unknown("knows the way"), "relationship": [{"coding": [{"system":
        "http://terminology.hl7.org/CodeSystem/v2-0131", "code": "N"}], "text": "brother"}], "name": {"family": "Example",
        "given": ["Ben"], "extension": unknown("of the name")}, "telecom": [{"system": "phone", "value": "2", "rank": 1}],
        "gender": "male", "period": {"start": "2020-01-01"}})
}

fn participant() -> Value {
    json!({"extension": unknown("comes later"), "type": [{"coding": [{"system":
        "http://terminology.hl7.org/CodeSystem/v3-ParticipationType", "code": "ATND"}]}], "actor": {"display": "The lift"},
        "required": "optional", "status": "tentative", "period": {"start": "2027-05-04T09:30:00Z", "end": "2027-05-04T09:45:00Z"}})
}

fn note() -> Value {
    json!({"extension": unknown("of the remark"), "authorString": "The ward", "time": "2026-10-22T10:00:00Z",
        "text": "Read aloud"})
}

fn labels(body: &mut Value) {
    body["meta"]["tag"] = json!([{"system": "http://ward.example/tags", "code": "west", "display": "West wing"}]);
    body["meta"]["security"] =
        json!([{"system": "http://terminology.hl7.org/CodeSystem/v3-Confidentiality", "code": "R"}]);
}

fn coding() -> Value {
    json!({"extension": unknown("of the code"), "system": "http://ward.example/codes", "version": "7", "code": "X-1",
        "display": "As the ward says", "userSelected": true})
}

fn translated(body: &mut Value, what: impl Fn(&mut Value)) {
    body["language"] = json!("de");
    what(body);
}

fn translation(text: &str) -> Value {
    json!({"extension": [{"url": "http://hl7.org/fhir/StructureDefinition/translation", "extension": [
        {"url": "lang", "valueCode": "de"}, {"url": "content", "valueString": text}]}]})
}
