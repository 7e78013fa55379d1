//! JSON Schema, as it comes out of types, → a schema that an API server takes: structural, without references, with rules.

use super::rules::{BOUNDS, Rules};
use schemars::{JsonSchema, generate::SchemaSettings};
use serde_json::{Map, Value, json};

/// What schemas of one definition are made with.
pub(super) struct Structural {
    rules: Rules,
}

impl Structural {
    pub(super) fn new(rules: Rules) -> Self {
        Self { rules }
    }

    /// The schema of a type, with everything it refers to in it.
    pub(super) fn of<T: JsonSchema>(&self) -> Value {
        let mut generator = SchemaSettings::draft2020_12().into_generator();
        let schema = generator.subschema_for::<T>().to_value();
        let types = generator.take_definitions(true);
        Scope { structural: self, types: &types }.schema(&schema, "")
    }

    /// The rules about a type, a field or a whole object.
    pub(super) fn rules(&self, about: &str) -> Option<Value> {
        let rules = self.rules.get(about)?;
        Some(rules.iter().map(super::rule::Rule::to_value).collect())
    }
}

/// Where names of types mean something.
struct Scope<'a> {
    structural: &'a Structural,
    types: &'a Map<String, Value>,
}

impl Scope<'_> {
    /// `about` is the name of a type, or of a field as `Mount.volume`: what rules and bounds are found by.
    fn schema(&self, schema: &Value, about: &str) -> Value {
        let mut shape = match self.reference(schema) {
            Some((name, target)) => self.schema(target, name),
            None => self.shape(schema, about),
        };
        if let Some(description) = self.description(schema) {
            shape["description"] = description.into();
        }
        for (_, keyword, bound) in BOUNDS.iter().filter(|(of, ..)| *of == about) {
            shape[*keyword] = (*bound).into();
        }
        if let Some(rules) = self.structural.rules(about) {
            // The rule says it in our words.
            for keyword in ["minimum", "maximum", "pattern"] {
                shape.as_object_mut().and_then(|shape| shape.remove(keyword));
            }
            shape["x-kubernetes-validations"] = rules;
        }
        shape
    }

    fn reference<'s>(&'s self, schema: &'s Value) -> Option<(&'s str, &'s Value)> {
        let name = schema.get("$ref")?.as_str()?.rsplit('/').next()?;
        Some((name, self.types.get(name)?))
    }

    fn shape(&self, schema: &Value, about: &str) -> Value {
        if let Some(variants) = variants(schema) {
            return match variants[..] {
                [variant] => self.schema(variant, ""),
                _ if variants.iter().all(|variant| variant.get("const").is_some()) => {
                    let words: Vec<_> = variants.iter().map(|variant| &variant["const"]).collect();
                    json!({ "type": "string", "enum": words })
                }
                _ => self.merged(&variants, about),
            };
        }
        match kinds(schema)[..] {
            ["string", "integer"] => json!({ "x-kubernetes-int-or-string": true }),
            ["object"] => self.object(schema, about),
            ["array"] => self.list(schema, about),
            [kind] => scalar(kind, schema),
            _ => json!({ "x-kubernetes-preserve-unknown-fields": true }),
        }
    }

    fn object(&self, schema: &Value, about: &str) -> Value {
        let mut shape = json!({ "type": "object" });
        if let Some(Value::Object(properties)) = schema.get("properties") {
            let field =
                |(name, field): (&String, &Value)| (name.clone(), self.schema(field, &format!("{about}.{name}")));
            shape["properties"] = properties.iter().map(field).collect::<Map<_, _>>().into();
        } else if let Some(values @ Value::Object(_)) = schema.get("additionalProperties") {
            shape["additionalProperties"] = self.schema(values, &format!("{about}[]"));
        }
        if let Some(required) = schema.get("required") {
            shape["required"] = required.clone();
        }
        shape
    }

    fn list(&self, schema: &Value, about: &str) -> Value {
        let items = self.schema(&schema["items"], &format!("{about}[]"));
        // Who applies a list owns the whole of it: the order counts, and entries have no name of their own.
        json!({ "type": "array", "items": items, "x-kubernetes-list-type": "atomic" })
    }

    /// One object with the fields of all forms; which of them go together is for a rule to say.
    fn merged(&self, variants: &[&Value], about: &str) -> Value {
        let mut properties = Map::new();
        for variant in variants {
            if let Value::Object(more) = &mut self.object(variant, about)["properties"] {
                properties.append(more);
            }
        }
        json!({ "type": "object", "properties": properties })
    }

    /// What a field is for, and what each word means that it may be.
    fn description(&self, schema: &Value) -> Option<String> {
        let text = schema.get("description")?.as_str()?;
        let mut text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        for word in self.words(schema) {
            if let (Some(name), Some(means)) = (word["const"].as_str(), word["description"].as_str()) {
                text.push_str(&format!(" `{name}`: {}", means.split_whitespace().collect::<Vec<_>>().join(" ")));
            }
        }
        Some(text)
    }

    fn words<'s>(&'s self, schema: &'s Value) -> Vec<&'s Value> {
        match (self.reference(schema), variants(schema)) {
            (Some((_, target)), _) => self.words(target),
            (None, Some(variants)) => match variants[..] {
                [variant] => self.words(variant),
                _ => variants,
            },
            (None, None) => Vec::new(),
        }
    }
}

/// The forms that a value may have, besides not being there.
fn variants(schema: &Value) -> Option<Vec<&Value>> {
    let variants = schema.get("anyOf").or_else(|| schema.get("oneOf"))?.as_array()?;
    Some(variants.iter().filter(|variant| variant["type"] != "null").collect())
}

fn kinds(schema: &Value) -> Vec<&str> {
    let kinds = match &schema["type"] {
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).collect(),
        kind => Vec::from_iter(kind.as_str()),
    };
    kinds.into_iter().filter(|kind| *kind != "null").collect()
}

/// A scalar with its bounds. Formats without a sign are unknown to an API server.
fn scalar(kind: &str, schema: &Value) -> Value {
    let mut shape = json!({ "type": kind });
    for keyword in ["enum", "minimum", "maximum", "minLength", "maxLength", "pattern"] {
        if let Some(bound) = schema.get(keyword) {
            shape[keyword] = bound.clone();
        }
    }
    let format = match schema["format"].as_str() {
        Some("uint16") => Some("int32"),
        Some("uint32") => {
            shape["maximum"] = u32::MAX.into();
            Some("int64")
        }
        Some("uint64") => Some("int64"),
        other => other,
    };
    if let Some(format) = format {
        shape["format"] = format.into();
    }
    shape
}
