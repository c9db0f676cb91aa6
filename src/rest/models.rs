//! The parts of a CapabilityStatement as fhir-sdk's typed models, with nothing in them but what they must have: the models have no
//! defaults (their builders would double the time to build them).

use fhir_sdk::r4b::{
    codes::{ResourceType, RestfulCapabilityMode, SearchParamType},
    resources::{
        CapabilityStatementImplementation, CapabilityStatementRest, CapabilityStatementRestInteraction,
        CapabilityStatementRestResource, CapabilityStatementRestResourceInteraction,
        CapabilityStatementRestResourceOperation, CapabilityStatementRestResourceSearchParam,
        CapabilityStatementSoftware,
    },
};

/// One part a code.
pub fn each<T>(codes: &[&str], part: fn(&str) -> T) -> Vec<Option<T>> {
    codes.iter().map(|code| Some(part(code))).collect()
}

/// What answers.
pub fn software(name: &str, version: &str) -> CapabilityStatementSoftware {
    CapabilityStatementSoftware {
        id: None,
        extension: Vec::new(),
        modifier_extension: Vec::new(),
        name: name.to_owned(),
        name_ext: None,
        version: Some(version.to_owned()),
        version_ext: None,
        release_date: None,
        release_date_ext: None,
    }
}

/// Where it answers.
pub fn implementation(description: &str, url: &str) -> CapabilityStatementImplementation {
    CapabilityStatementImplementation {
        id: None,
        extension: Vec::new(),
        modifier_extension: Vec::new(),
        description: description.to_owned(),
        description_ext: None,
        url: Some(url.to_owned()),
        url_ext: None,
        custodian: None,
        custodian_ext: None,
    }
}

/// A server's side.
pub fn rest() -> CapabilityStatementRest {
    CapabilityStatementRest {
        id: None,
        extension: Vec::new(),
        modifier_extension: Vec::new(),
        mode: RestfulCapabilityMode::Server,
        mode_ext: None,
        documentation: None,
        documentation_ext: None,
        security: None,
        security_ext: None,
        resource: Vec::new(),
        resource_ext: Vec::new(),
        interaction: Vec::new(),
        interaction_ext: Vec::new(),
        search_param: Vec::new(),
        search_param_ext: Vec::new(),
        operation: Vec::new(),
        operation_ext: Vec::new(),
        compartment: Vec::new(),
        compartment_ext: Vec::new(),
    }
}

/// What the whole can be asked for.
pub fn system_interaction(code: &str) -> CapabilityStatementRestInteraction {
    CapabilityStatementRestInteraction {
        id: None,
        extension: Vec::new(),
        modifier_extension: Vec::new(),
        code: code.to_owned(),
        code_ext: None,
        documentation: None,
        documentation_ext: None,
    }
}

/// A type; the model takes types of R4 that R4B does not have as well.
pub fn resource(kind: &str) -> CapabilityStatementRestResource {
    CapabilityStatementRestResource {
        id: None,
        extension: Vec::new(),
        modifier_extension: Vec::new(),
        r#type: kind.parse().unwrap_or_else(ResourceType::_Custom),
        type_ext: None,
        profile: None,
        profile_ext: None,
        supported_profile: Vec::new(),
        supported_profile_ext: Vec::new(),
        documentation: None,
        documentation_ext: None,
        interaction: Vec::new(),
        interaction_ext: Vec::new(),
        versioning: None,
        versioning_ext: None,
        read_history: None,
        read_history_ext: None,
        update_create: None,
        update_create_ext: None,
        conditional_create: None,
        conditional_create_ext: None,
        conditional_read: None,
        conditional_read_ext: None,
        conditional_update: None,
        conditional_update_ext: None,
        conditional_delete: None,
        conditional_delete_ext: None,
        reference_policy: Vec::new(),
        reference_policy_ext: Vec::new(),
        search_include: Vec::new(),
        search_include_ext: Vec::new(),
        search_rev_include: Vec::new(),
        search_rev_include_ext: Vec::new(),
        search_param: Vec::new(),
        search_param_ext: Vec::new(),
        operation: Vec::new(),
        operation_ext: Vec::new(),
    }
}

/// What a type can be asked for.
pub fn interaction(code: &str) -> CapabilityStatementRestResourceInteraction {
    CapabilityStatementRestResourceInteraction {
        id: None,
        extension: Vec::new(),
        modifier_extension: Vec::new(),
        code: code.to_owned(),
        code_ext: None,
        documentation: None,
        documentation_ext: None,
    }
}

/// What a type can be searched by; no definition where the URL is empty.
pub fn parameter(name: &str, kind: SearchParamType, url: &str) -> CapabilityStatementRestResourceSearchParam {
    CapabilityStatementRestResourceSearchParam {
        id: None,
        extension: Vec::new(),
        modifier_extension: Vec::new(),
        name: name.to_owned(),
        name_ext: None,
        definition: (!url.is_empty()).then(|| url.to_owned()),
        definition_ext: None,
        r#type: kind,
        type_ext: None,
        documentation: None,
        documentation_ext: None,
    }
}

/// An operation on a type.
pub fn operation(name: &str, definition: &str) -> CapabilityStatementRestResourceOperation {
    CapabilityStatementRestResourceOperation {
        id: None,
        extension: Vec::new(),
        modifier_extension: Vec::new(),
        name: name.to_owned(),
        name_ext: None,
        definition: definition.to_owned(),
        definition_ext: None,
        documentation: None,
        documentation_ext: None,
    }
}
