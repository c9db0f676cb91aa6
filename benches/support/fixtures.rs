//! The resources that the benches measure.

use liaison::fhir::Value;
use serde_json::json;

const US_CORE: &str = "http://hl7.org/fhir/us/core/StructureDefinition";

fn narrative() -> Value {
    json!({"status": "generated", "div": "<div xmlns=\"http://www.w3.org/1999/xhtml\"><p>Ana Ruiz</p></div>"})
}

/// A US Core Patient.
pub fn patient() -> Value {
    let coding = |code: &str, display: &str| json!({"url": "ombCategory", "valueCoding": {"system": "urn:oid:2.16.840.1.113883.6.238", "code": code, "display": display}});
    json!({
        "resourceType": "Patient", "id": "p1", "meta": {"profile": [format!("{US_CORE}/us-core-patient")]},
        "text": narrative(),
        "extension": [
            {"url": format!("{US_CORE}/us-core-race"), "extension": [coding("2106-3", "White"), {"url": "text", "valueString": "White"}]},
            {"url": format!("{US_CORE}/us-core-birthsex"), "valueCode": "F"},
        ],
        "identifier": [
            {"use": "usual", "type": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": "MR"}]},
             "system": "urn:liaison:north:patient", "value": "p1", "period": {"start": "2020-01-01"}},
            {"system": "http://hospital.smarthealthit.org", "value": "1032702"},
        ],
        "active": true,
        "name": [{"use": "official", "family": "Ruiz", "given": ["Ana", "María"], "period": {"start": "2016-12-06", "end": "2020-07-22"}}],
        "telecom": [{"system": "phone", "value": "555-555-5555", "use": "home"}, {"system": "email", "value": "ana@example.com"}],
        "gender": "female", "birthDate": "1987-02-20",
        "address": [{"use": "home", "line": ["49 Meadow St"], "city": "Mounds", "state": "OK", "postalCode": "74047", "country": "US"}],
        "contact": [{"name": {"family": "Ruiz", "given": ["Luis"]}, "telecom": [{"system": "phone", "value": "555-1"}]}],
        "communication": [{"language": {"coding": [{"system": "urn:ietf:bcp:47", "code": "es"}]}, "preferred": true}],
        "generalPractitioner": [{"reference": "Practitioner/d1", "display": "Dr. Dee"}],
    })
}

/// An Appointment.
pub fn appointment() -> Value {
    json!({
        "resourceType": "Appointment", "id": "a1", "text": narrative(), "status": "booked",
        "identifier": [{"system": "urn:liaison:north:appointment", "value": "a1"}],
        "serviceType": [{"coding": [{"system": "http://snomed.info/sct", "code": "310000008"}], "text": "Follow-up"}],
        "appointmentType": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0276", "code": "FOLLOWUP"}]},
        "reasonCode": [{"text": "Blood pressure"}], "priority": 5, "description": "Blood pressure follow-up",
        "start": "2026-10-25T09:30:00+01:00", "end": "2026-10-25T10:00:00+01:00", "minutesDuration": 30,
        "created": "2026-10-01", "comment": "Bring the log",
        "participant": [
            {"actor": {"reference": "Patient/p1", "display": "Ana Ruiz"}, "required": "required", "status": "accepted"},
            {"actor": {"reference": "Practitioner/d1"}, "status": "accepted", "period": {"start": "2026-10-25"}},
            {"actor": {"reference": "Location/l1"}, "status": "accepted"},
        ],
    })
}

/// A collection of `entries` Patients and Appointments that refer to each other, numbered from `first`.
pub fn bundle(entries: usize, first: usize) -> Value {
    let entry = |number: usize| {
        let mut resource = if number.is_multiple_of(2) { patient() } else { appointment() };
        resource["id"] = json!(format!("r{number}"));
        if resource["resourceType"] == "Appointment" {
            resource["participant"][0]["actor"]["reference"] = json!(format!("Patient/r{}", number - 1));
        }
        json!({"fullUrl": format!("http://ehr.test/fhir/{}/r{number}", resource["resourceType"].as_str().unwrap_or("")), "resource": resource})
    };
    json!({"resourceType": "Bundle", "type": "collection", "entry": (first..first + entries).map(entry).collect::<Vec<_>>()})
}
