//! What we write against the vendor's OpenAPI documents: only their fields, only their types. The documents are not part of
//! this repository; without them beside it the check is skipped, and says so.

use std::fs;
use std::path::PathBuf;

use serde_json::Value;

/// The two documents, if they are there.
pub(crate) struct Specs(Option<[Value; 2]>);

impl Specs {
    pub(crate) fn find() -> Self {
        let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/specs");
        if !folder.is_dir() {
            println!("skipped: no OpenAPI documents in {}", folder.display());
            return Self(None);
        }
        let read = |name: &str| {
            let text =
                fs::read_to_string(folder.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
            serde_json::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"))
        };
        Self(Some([read("legacy-conversions.openapi.json"), read("orchestrations.openapi.json")]))
    }

    pub(crate) fn assert_legacy(&self, name: &str, schema: &str, json: &[u8]) {
        self.assert(0, name, schema, json);
    }

    pub(crate) fn assert_new(&self, name: &str, schema: &str, json: &[u8]) {
        self.assert(1, name, schema, json);
    }

    fn assert(&self, document: usize, name: &str, schema: &str, json: &[u8]) {
        let Some(documents) = &self.0 else { return };
        let value = serde_json::from_slice(json).unwrap_or_else(|error| panic!("{name}: {error}"));
        let schemas = &documents[document]["components"]["schemas"];
        check(schemas, &schemas[schema], &value).unwrap_or_else(|wrong| panic!("{name}: {schema}{wrong}"));
    }
}

/// As much of JSON Schema as the documents use. A field that a schema does not name is wrong.
fn check(schemas: &Value, schema: &Value, value: &Value) -> Result<(), String> {
    if let Some(reference) = schema["$ref"].as_str() {
        return check(schemas, &schemas[reference.rsplit('/').next().unwrap()], value);
    }
    let fits = match schema["type"].as_str() {
        Some("object") => return check_object(schemas, schema, value),
        Some("array") => {
            let elements = value.as_array().ok_or_else(|| format!(" is not an array: {value}"))?;
            return elements.iter().try_for_each(|element| check(schemas, &schema["items"], element));
        }
        Some("string") => value.is_string(),
        Some("integer") => value.is_i64(),
        other => panic!("a schema of type {other:?}: {schema}"),
    };
    if fits { Ok(()) } else { Err(format!(" is not a {}: {value}", schema["type"])) }
}

fn check_object(schemas: &Value, schema: &Value, value: &Value) -> Result<(), String> {
    let members = value.as_object().ok_or_else(|| format!(" is not an object: {value}"))?;
    let required = schema["required"].as_array().map_or(&[][..], Vec::as_slice);
    if let Some(missing) = required.iter().find(|key| !members.contains_key(key.as_str().unwrap())) {
        return Err(format!(" lacks {missing}"));
    }
    if schema.get("properties").is_none() && schema.get("additionalProperties").is_none() {
        return Ok(());
    }
    members.iter().try_for_each(|(key, value)| {
        let known = schema["properties"].get(key).or_else(|| schema.get("additionalProperties"));
        let known = known.ok_or_else(|| format!(" has no field `{key}`"))?;
        check(schemas, known, value).map_err(|wrong| format!(".{key}{wrong}"))
    })
}

#[test]
fn the_check_finds_what_does_not_fit() {
    let schemas = serde_json::json!({
        "List": {"type": "object", "properties": {"items": {"type": "array", "items": {"$ref": "#/x/Row"}}}},
        "Row": {"type": "object", "required": ["id"], "properties": {
            "id": {"type": "string"}, "status": {"type": "integer"}, "meta": {"type": "object"},
            "metadata": {"type": "object", "additionalProperties": {"type": "string"}},
        }},
    });
    let judge = |row: Value| check(&schemas, &schemas["List"], &serde_json::json!({ "items": [row] }));
    assert_eq!(
        judge(serde_json::json!({"id": "1", "status": 4, "meta": {"a": 1}, "metadata": {"a": "b"}})),
        Ok(())
    );
    for (row, wrong) in [
        (serde_json::json!({"id": "1", "new": ""}), ".items has no field `new`"),
        (serde_json::json!({"id": 1}), ".items.id is not a \"string\": 1"),
        (serde_json::json!({"status": 4}), ".items lacks \"id\""),
        (serde_json::json!({"id": "1", "metadata": {"a": 1}}), ".items.metadata.a is not a \"string\": 1"),
        (serde_json::json!([]), ".items is not an object: []"),
    ] {
        assert_eq!(judge(row).unwrap_err(), wrong);
    }
}
