//! HAR files, and the published schema that they are held to.
#![allow(dead_code, reason = "each test target uses a part")]

use std::fs;

use jsonschema::{Registry, Resource, Validator};
use serde_json::{Value, json};

/// Those of the npm package har-schema, in its version 2.0.0.
const SCHEMAS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/fixtures/har-schema");

/// The published schema of a whole file.
pub(crate) struct Schema(Validator);

impl Schema {
    pub(crate) fn new() -> Self {
        let files = fs::read_dir(SCHEMAS).unwrap().map(|entry| entry.unwrap().path());
        let schemas = files.filter(|file| file.extension().is_some_and(|it| it == "json"));
        let registry = schemas.fold(Registry::new(), |registry, file| {
            let schema: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
            let name = file.file_name().unwrap().to_str().unwrap();
            let uri = format!("https://har.example/{name}");
            registry.add(uri, Resource::from_contents(schema)).unwrap()
        });
        let registry = registry.prepare().unwrap();
        let validator = jsonschema::options()
            .with_registry(&registry)
            .with_format("uri", is_url)
            .should_validate_formats(true)
            .build(&json!({ "$ref": "https://har.example/har.json" }))
            .unwrap();
        Self(validator)
    }

    /// Panics unless these bytes are a HAR file; what it holds.
    #[track_caller]
    pub(crate) fn parse(&self, bytes: &[u8]) -> Value {
        let har: Value = serde_json::from_slice(bytes)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(bytes)));
        let errors = self.0.iter_errors(&har);
        let errors: Vec<_> =
            errors.map(|error| format!("{}: {error}", error.instance_path())).collect();
        assert!(errors.is_empty(), "{errors:#?} in {har:#}");
        for entry in har["log"]["entries"].as_array().unwrap() {
            assert_adds_up(entry);
        }
        har
    }

    pub(crate) fn is_valid(&self, har: &Value) -> bool {
        self.0.is_valid(har)
    }
}

/// A URL as the URL standard has it, where more may stand than in RFC 3986: `har-validator` looks no
/// closer either.
fn is_url(text: &str) -> bool {
    let is_scheme = |text: &str| {
        text.starts_with(|first: char| first.is_ascii_alphabetic())
            && text.chars().all(|char| char.is_ascii_alphanumeric() || "+-.".contains(char))
    };
    let is_plain = |char: char| char.is_ascii_graphic() && !"\"<>#".contains(char);
    text.split_once(':').is_some_and(|(scheme, rest)| {
        is_scheme(scheme) && !rest.is_empty() && rest.chars().all(is_plain)
    })
}

/// What no schema can say: `time` is the sum of the timings that are known, and where HAR has a value
/// that nobody saw, something says so.
#[track_caller]
fn assert_adds_up(entry: &Value) {
    let timings = entry["timings"].as_object().unwrap().values();
    let micros = |millis: &Value| (millis.as_f64().unwrap() * 1_000.0).round() as i64;
    let sum: i64 = timings.map(micros).filter(|micros| *micros >= 0).sum();
    assert_eq!(micros(&entry["time"]), sum, "{entry:#}");
    let (request, response) = (&entry["request"], &entry["response"]);
    if request["method"] == "" || response["status"] == 0 {
        let says = |message: &Value| {
            message["_state"].is_null() || message.get("_status").is_some_and(Value::is_null)
        };
        assert!(says(request) || says(response), "{entry:#}");
    }
}
