//! FHIRPath: any text parses or is refused; what parses gives a result or an error within its budget.
#![no_main]

use std::sync::LazyLock;

use liaison::{
    definitions::Definitions,
    fhir::{self, Value},
    fhirpath::{Budget, Context, Expression, Node},
    profile::Validator,
};
use libfuzzer_sys::fuzz_target;

static VALIDATOR: LazyLock<Validator> = LazyLock::new(|| Validator::new(Definitions::core()));
static PATIENT: LazyLock<Value> = LazyLock::new(|| {
    fhir::read_str(
        r##"{"resourceType":"Patient","id":"p","active":true,"birthDate":"1974-12","_birthDate":{"id":"b"},
        "name":[{"use":"official","family":"A","given":["B",null],"_given":[null,{"id":"g"}]}],
        "contained":[{"resourceType":"Organization","id":"o"}],"managingOrganization":{"reference":"#o"},
        "extension":[{"url":"urn:x","valueQuantity":{"value":1.50,"unit":"mg","system":"http://unitsofmeasure.org","code":"mg"}}]}"##,
    )
    .expect("JSON")
});

fuzz_target!(|text: &str| {
    let Ok(expression) = Expression::parse(text) else { return };
    let model = VALIDATOR.model();
    let node = Node::new(Some(&*PATIENT), None, model.named("Patient").expect("a type"));
    let mut context = Context::new(model, Some(node));
    context.budget = Budget { steps: 100_000, ..Budget::default() };
    let _ = expression.evaluate(node, &context);
});
