//! What there is to ask a hub, as OpenAPI 3.1, out of the types that are read and written.

use crate::protocol::{Chain, Enroll, Enrolled, Issued, Objects, PROTOCOL, Poll, Refusal, Renew, Report, Target};
use schemars::{JsonSchema, SchemaGenerator, generate::SchemaSettings};
use serde_json::{Map, Value, json};
use std::sync::OnceLock;

/// The document, as it is served.
pub fn text() -> String {
    static TEXT: OnceLock<String> = OnceLock::new();
    TEXT.get_or_init(|| format!("{:#}\n", document())).clone()
}

/// The document.
pub fn document() -> Value {
    let mut settings = SchemaSettings::draft2020_12();
    settings.definitions_path = "/components/schemas".into();
    settings.meta_schema = None;
    let generator = &mut settings.into_generator();
    let nothing = || json!({ "description": "Done; there is nothing to say." });
    let frames = |what: &str| {
        let bytes = json!({ "application/vnd.abide.objects": { "schema": { "type": "string", "format": "binary" } } });
        json!({ "description": format!("{what} A frame is a byte (0 commit, 1 tree, 2 blob, 3 tag), the content's length as four bytes, big-endian, and the content. Deflated with gzip if that is accepted."), "content": bytes })
    };
    let mut paths = Map::new();
    let enrolled = answer::<Enrolled>(generator, "It is a machine of the fleet.");
    let issued = answer::<Issued>(generator, "Its certificate.");
    let target = answer::<Target>(generator, "What it is to be on, and doesn't know yet.");
    let posts = [
        (
            "enroll",
            "Become a machine of the fleet, with a token.",
            body::<Enroll>(generator),
            json!({ "200": enrolled }),
            false,
        ),
        (
            "renew",
            "Get a certificate for the time to come; also with one that expired, for as long as the hub lets: 30 days unless said.",
            body::<Renew>(generator),
            json!({ "200": issued }),
            true,
        ),
        (
            "poll",
            "Ask what to be on, and wait for news.",
            body::<Poll>(generator),
            json!({ "200": target, "204": nothing() }),
            true,
        ),
        ("report", "Say how it is.", body::<Report>(generator), json!({ "204": nothing() }), true),
        (
            "chain",
            "Ask how one commit leads to another.",
            body::<Chain>(generator),
            json!({ "200": frames("The commits, newest first, each a parent of the one before, up to a child of `from`. A long way is told in parts: ask again from the last one.") }),
            true,
        ),
        (
            "objects",
            "Ask for objects of Git.",
            body::<Objects>(generator),
            json!({ "200": frames("What there is of them, in the order asked for, up to a bound; ask again for the rest.") }),
            true,
        ),
    ];
    let refusal = answer::<Refusal>(generator, "It isn't granted. 404 of an object, 429 and 503 have `Retry-After`.");
    for (name, summary, body, mut answers, needs_certificate) in posts {
        if let Value::Object(answers) = &mut answers {
            answers.insert("default".to_owned(), refusal.clone());
        }
        let mut post = json!({ "operationId": name, "summary": summary, "requestBody": body, "responses": answers });
        if needs_certificate {
            post["security"] = json!([{ "machine": [] }]);
        }
        paths.insert(format!("/v1/{name}"), json!({ "post": post }));
    }
    let text = |what: &str| json!({ "description": what, "content": { "application/json": {} } });
    let healthy = json!({ "200": text("It serves."), "503": text("It ends, or its database doesn't answer.") });
    paths.insert("/v1/health".into(), get("health", "Whether this hub process serves.", &healthy));
    let this = json!({ "200": text("This document.") });
    paths.insert("/v1/openapi.json".into(), get("openapi", "This document.", &this));
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "abide hub",
            "version": PROTOCOL.to_string(),
            "description": "What machines of a fleet and their hub say to each other. Machines show certificates of the hub's authority (mutual TLS). Fields and codes that are not known are ignored.",
        },
        "paths": paths,
        "components": {
            "schemas": Value::Object(generator.take_definitions(true)),
            "securitySchemes": { "machine": { "type": "mutualTLS", "description": "A certificate that enrolling or renewing gave." } },
        },
    })
}

fn get(name: &str, summary: &str, answers: &Value) -> Value {
    json!({ "get": { "operationId": name, "summary": summary, "responses": answers } })
}

fn body<T: JsonSchema>(generator: &mut SchemaGenerator) -> Value {
    json!({ "required": true, "content": { "application/json": { "schema": generator.subschema_for::<T>() } } })
}

fn answer<T: JsonSchema>(generator: &mut SchemaGenerator, what: &str) -> Value {
    json!({ "description": what, "content": { "application/json": { "schema": generator.subschema_for::<T>() } } })
}
