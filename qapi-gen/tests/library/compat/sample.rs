//! A log in which a program uses everything that a server told of.

use std::collections::HashMap;

use serde_json::{Map, Value, json};

/// A log in the making.
pub(super) struct Log(Vec<Value>);

impl Log {
    pub(super) fn new() -> Self {
        Self(vec![json!({"qmp-session-log": 1})])
    }

    fn push(&mut self, what: &str, message: Value) {
        let at = self.0.len();
        self.0
            .push(json!({"connection": 1, "at": at, what: message}));
    }

    /// A command and its answer, with the id of its line.
    pub(super) fn call(&mut self, mut request: Value, mut answer: Value) {
        let id = self.0.len();
        request["id"] = json!(id);
        answer["id"] = json!(id);
        self.push("sent", request);
        self.push("received", answer);
    }

    pub(super) fn event(&mut self, name: &str, data: Value) {
        let timestamp = json!({"seconds": 1, "microseconds": 2});
        self.push(
            "received",
            json!({"event": name, "data": data, "timestamp": timestamp}),
        );
    }

    pub(super) fn lines(&self) -> &[Value] {
        &self.0
    }

    pub(super) fn text(&self) -> String {
        self.0.iter().map(|line| format!("{line}\n")).collect()
    }
}

/// Makes values of the types that a server told of, each time others.
pub(super) struct Sampler<'a> {
    types: HashMap<&'a str, &'a Value>,
    n_made: usize,
}

/// Beyond this depth objects have what they must have.
const DEPTH: usize = 3;

impl<'a> Sampler<'a> {
    pub(super) fn new(told: &'a [Value]) -> Self {
        let named = told
            .iter()
            .map(|it| (it["name"].as_str().unwrap_or_default(), it));
        Self {
            types: named.collect(),
            n_made: 0,
        }
    }

    /// Every command with all that it may take and return, and every event.
    pub(super) fn use_all(&mut self, told: &[Value], log: &mut Log) {
        for element in told {
            let name = element["name"].as_str().unwrap_or_default();
            match element["meta-type"].as_str() {
                Some("command") => {
                    let arguments = self.value(&element["arg-type"], 0);
                    let returns = self.value(&element["ret-type"], 0);
                    let request = json!({"execute": name, "arguments": arguments});
                    log.call(request, json!({"return": returns}));
                }
                Some("event") => {
                    let data = self.value(&element["arg-type"], 0);
                    log.event(name, data);
                }
                _ => {}
            }
        }
    }

    fn value(&mut self, ty: &Value, depth: usize) -> Value {
        self.n_made += 1;
        let n = self.n_made;
        let ty = self.types[ty.as_str().unwrap_or_default()];
        let list = |key: &str| ty[key].as_array().map_or(&[][..], Vec::as_slice);
        match ty["meta-type"].as_str().unwrap_or_default() {
            "builtin" => match ty["json-type"].as_str().unwrap_or_default() {
                "int" => json!(n % 100),
                "number" => json!(0.5),
                "boolean" => json!(n.is_multiple_of(2)),
                "null" => Value::Null,
                "value" => json!({"any": [n]}),
                _ => json!(format!("text {n}")),
            },
            "enum" => list("values")[n % list("values").len()].clone(),
            "array" if depth > DEPTH => json!([]),
            "array" => json!([self.value(&ty["element-type"], depth + 1)]),
            "alternate" => {
                // The first of QEMU's recursive ones is an object, the last is not.
                let branches = list("members");
                let branch = match depth > DEPTH {
                    true => branches.last(),
                    false => branches.get(n % branches.len()),
                };
                self.value(&branch.expect("a branch")["type"], depth + 1)
            }
            _ => {
                let mut object = Map::new();
                self.add_members(ty, &mut object, depth);
                Value::Object(object)
            }
        }
    }

    fn add_members(&mut self, ty: &Value, object: &mut Map<String, Value>, depth: usize) {
        for member in ty["members"].as_array().into_iter().flatten() {
            let is_optional = member.get("default").is_some();
            if is_optional && depth > DEPTH {
                continue;
            }
            let name = member["name"].as_str().unwrap_or_default();
            let value = self.value(&member["type"], depth + 1);
            object.insert(name.to_owned(), value);
        }
        let tag = ty["tag"].as_str().and_then(|tag| object.get(tag)).cloned();
        let mut variants = ty["variants"].as_array().into_iter().flatten();
        if let Some(branch) = variants.find(|it| Some(&it["case"]) == tag.as_ref()) {
            let branch = self.types[branch["type"].as_str().unwrap_or_default()];
            self.add_members(branch, object, depth);
        }
    }
}
