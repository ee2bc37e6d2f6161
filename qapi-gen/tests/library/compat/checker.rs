//! What is wrong with a log, by the plainest way: each message by itself, against what a server told. It shares no code with what it
//! checks.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde_json::Value;

/// A code and the names in its message, in their order.
pub(super) type Key = (String, Vec<String>);

/// What was found, with the lines that may be named.
pub(super) type Findings = BTreeMap<Key, BTreeSet<u64>>;

/// What a server told, by name.
struct Told<'a> {
    types: HashMap<&'a str, &'a Value>,
    commands: HashMap<&'a str, &'a Value>,
    events: HashMap<&'a str, &'a Value>,
}

/// Where a value is.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct At {
    is_sent: bool,
    owner: String,
    way: String,
    cases: Vec<String>,
}

impl At {
    fn member(&self, name: &str) -> Self {
        let way = match self.way.is_empty() {
            true => name.to_owned(),
            false => format!("{}.{name}", self.way),
        };
        Self {
            way,
            ..self.clone()
        }
    }

    fn element(&self) -> Self {
        Self {
            way: format!("{}[]", self.way),
            ..self.clone()
        }
    }

    fn case(&self, case: &str) -> Self {
        let mut at = self.clone();
        at.cases.push(case.to_owned());
        at
    }

    fn names(&self) -> Vec<String> {
        let way = (!self.way.is_empty()).then(|| self.way.clone());
        let names = way.into_iter().chain([self.owner.clone()]);
        names.chain(self.cases.iter().cloned()).collect()
    }
}

/// The objects at a place and which of them have which members.
#[derive(Default)]
struct Objects {
    lines: Vec<u64>,
    /// Members that the version does not know, or demands.
    having: BTreeMap<String, Vec<usize>>,
    gone: BTreeSet<String>,
    demanded: BTreeSet<String>,
}

struct Checker<'a> {
    told: Told<'a>,
    objects: BTreeMap<At, Objects>,
    /// Where values were read of a kind that the type has, and of one that it has not.
    fitting: BTreeSet<At>,
    strange: BTreeMap<At, u64>,
    found: Findings,
}

/// A message that counts.
enum Use<'l> {
    Command {
        name: &'l str,
        is_oob: bool,
    },
    Values {
        owner: &'l str,
        part: &'static str,
        value: Value,
    },
}

pub(super) fn check(log: &[Value], told: &[Value]) -> Findings {
    let by_kind = |kinds: &[&str]| {
        let elements = told
            .iter()
            .filter(|it| kinds.contains(&text(&it["meta-type"])));
        elements.map(|it| (text(&it["name"]), it)).collect()
    };
    let mut checker = Checker {
        told: Told {
            types: by_kind(&["builtin", "enum", "array", "object", "alternate"]),
            commands: by_kind(&["command"]),
            events: by_kind(&["event"]),
        },
        objects: BTreeMap::new(),
        fitting: BTreeSet::new(),
        strange: BTreeMap::new(),
        found: Findings::new(),
    };
    for (it, line) in uses(log) {
        checker.check_use(&it, line);
    }
    checker.finish()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// What counts of the log, each with its line.
fn uses(log: &[Value]) -> Vec<(Use<'_>, u64)> {
    let mut uses = Vec::new();
    let mut calls: HashMap<String, (u64, &Value)> = HashMap::new();
    let nothing = || Value::Object(serde_json::Map::new());
    for (index, entry) in log.iter().enumerate() {
        let line = index as u64 + 1;
        let (sent, received) = (&entry["sent"], &entry["received"]);
        if !sent.is_null() {
            calls.insert(sent["id"].to_string(), (line, sent));
        }
        if let Some(event) = received["event"].as_str() {
            let value = received.get("data").cloned().unwrap_or_else(nothing);
            let (owner, part) = (event, "data");
            uses.push((Use::Values { owner, part, value }, line));
        }
        let Some((asked, call)) = calls.remove(&received["id"].to_string()) else {
            continue;
        };
        let is_oob = call.get("exec-oob").is_some();
        let name = text(if is_oob {
            &call["exec-oob"]
        } else {
            &call["execute"]
        });
        let class = received["error"]["class"].as_str();
        if class == Some("CommandNotFound") {
            continue;
        }
        uses.push((Use::Command { name, is_oob }, asked));
        if class != Some("GenericError") {
            let value = call.get("arguments").cloned().unwrap_or_else(nothing);
            let (owner, part) = (name, "arguments");
            uses.push((Use::Values { owner, part, value }, asked));
        }
        if let Some(value) = received.get("return")
            && name != "query-qmp-schema"
        {
            let (owner, part, value) = (name, "returns", value.clone());
            uses.push((Use::Values { owner, part, value }, line));
        }
    }
    uses
}

impl Checker<'_> {
    fn report(&mut self, code: &str, names: Vec<String>, line: u64) {
        let lines = self.found.entry((code.to_owned(), names)).or_default();
        lines.insert(line);
    }

    fn check_use(&mut self, it: &Use<'_>, line: u64) {
        match it {
            Use::Command { name, is_oob } => {
                let names = vec![(*name).to_owned()];
                let Some(command) = self.told.commands.get(name).copied() else {
                    return self.report("D0101", names, line);
                };
                if *is_oob && command["allow-oob"] != true {
                    self.report("D0103", names.clone(), line);
                }
                self.check_features(command, &names, line);
            }
            Use::Values { owner, part, value } => {
                let (entity, key) = match *part {
                    "data" => (self.told.events.get(owner), "arg-type"),
                    "arguments" => (self.told.commands.get(owner), "arg-type"),
                    _ => (self.told.commands.get(owner), "ret-type"),
                };
                let Some(entity) = entity.copied() else {
                    if *part == "data" {
                        self.report("D0102", vec![(*owner).to_owned()], line);
                    }
                    return;
                };
                let ty = text(&entity[key]);
                if *part == "data" {
                    self.check_features(entity, &[(*owner).to_owned()], line);
                }
                let is_plain = self.told.types[ty].get("variants").is_none();
                let is_open = ["device_add", "netdev_add"].contains(owner) && is_plain;
                if *part == "arguments" && is_open {
                    return;
                }
                let at = At {
                    is_sent: *part == "arguments",
                    owner: (*owner).to_owned(),
                    way: String::new(),
                    cases: Vec::new(),
                };
                self.check_value(ty, value, &at, line);
            }
        }
    }

    fn check_features(&mut self, marked: &Value, names: &[String], line: u64) {
        for feature in list(&marked["features"]) {
            match text(feature) {
                "deprecated" => self.report("D0401", names.to_vec(), line),
                "unstable" => self.report("D0402", names.to_vec(), line),
                _ => {}
            }
        }
    }

    /// Whether a type takes values of this kind.
    fn takes(&self, ty: &str, value: &Value) -> bool {
        let ty = self.told.types[ty];
        match text(&ty["meta-type"]) {
            "builtin" => match text(&ty["json-type"]) {
                "string" => value.is_string(),
                "int" => value.is_i64() || value.is_u64(),
                "number" => value.is_number(),
                "boolean" => value.is_boolean(),
                "null" => value.is_null(),
                _ => true,
            },
            "enum" => value.is_string(),
            "array" => value.is_array(),
            _ => value.is_object(),
        }
    }

    fn check_value(&mut self, ty: &str, value: &Value, at: &At, line: u64) {
        let told = self.told.types[ty];
        if told["meta-type"] == "alternate" {
            let mut options = list(&told["members"]).iter().map(|it| text(&it["type"]));
            return match options.find(|ty| self.takes(ty, value)) {
                Some(ty) => self.check_value(ty, value, at, line),
                None => self.report_kind(at, line),
            };
        }
        if !self.takes(ty, value) {
            return self.report_kind(at, line);
        }
        self.fitting.insert(at.clone());
        match text(&told["meta-type"]) {
            "enum" => {
                self.check_features(told, &at.names(), line);
                self.check_enum(told, text(value), at, line);
            }
            "array" => {
                for element in list(value) {
                    let ty = text(&told["element-type"]);
                    self.check_value(ty, element, &at.element(), line);
                }
            }
            "object" => {
                self.check_features(told, &at.names(), line);
                let members = value.as_object().expect("an object");
                let names: BTreeSet<&str> = members.keys().map(String::as_str).collect();
                self.check_object(told, names, value, at, line);
            }
            _ => {}
        }
    }

    fn report_kind(&mut self, at: &At, line: u64) {
        match at.is_sent {
            true => self.report("D0205", at.names(), line),
            false => {
                self.strange.entry(at.clone()).or_insert(line);
            }
        }
    }

    fn check_enum(&mut self, told: &Value, value: &str, at: &At, line: u64) {
        let mut names = at.names();
        names.insert(0, value.to_owned());
        let mut members = list(&told["members"]).iter();
        if let Some(member) = members.find(|it| it["name"] == value) {
            return self.check_features(member, &names, line);
        }
        if !list(&told["values"]).iter().any(|it| it == value) {
            let code = if at.is_sent { "D0204" } else { "D0307" };
            self.report(code, names, line);
        }
    }

    /// `names` are those of the members that no outer level knows.
    fn check_object(
        &mut self,
        told: &Value,
        mut names: BTreeSet<&str>,
        value: &Value,
        at: &At,
        line: u64,
    ) {
        let objects = self.objects.entry(at.clone()).or_default();
        let number = objects.lines.len();
        objects.lines.push(line);
        let mut known = Vec::new();
        for member in list(&told["members"]) {
            let name = text(&member["name"]);
            let is_optional = member.get("default").is_some();
            if names.remove(name) {
                known.push(member);
                objects
                    .having
                    .entry(name.to_owned())
                    .or_default()
                    .push(number);
            } else if at.is_sent && !is_optional {
                objects.demanded.insert(name.to_owned());
            }
        }
        let case = value[text(&told["tag"])].as_str();
        let is_known_case = |case: &&str| {
            let tag = list(&told["members"])
                .iter()
                .find(|it| it["name"] == told["tag"]);
            let values = tag.map(|tag| &self.told.types[text(&tag["type"])]["values"]);
            values.is_some_and(|values| list(values).iter().any(|it| it == case))
        };
        let branch =
            case.and_then(|case| list(&told["variants"]).iter().find(|it| it["case"] == case));
        match (case, branch) {
            (Some(case), Some(branch)) => {
                let branch = self.told.types[text(&branch["type"])];
                self.check_object(branch, names, value, &at.case(case), line);
            }
            // Nobody knows what else there may be.
            (Some(_), None) if !case.as_ref().is_some_and(is_known_case) => {}
            _ => {
                let objects = self.objects.entry(at.clone()).or_default();
                for name in names {
                    objects.gone.insert(name.to_owned());
                    objects
                        .having
                        .entry(name.to_owned())
                        .or_default()
                        .push(number);
                }
            }
        }
        for member in known {
            let name = text(&member["name"]);
            let at = at.member(name);
            self.check_features(member, &at.names(), line);
            self.check_value(text(&member["type"]), &value[name], &at, line);
        }
    }

    /// What depends on all objects of a place.
    fn finish(mut self) -> Findings {
        // Who reads both kinds reads the one that comes.
        for (at, line) in std::mem::take(&mut self.strange) {
            if !self.fitting.contains(&at) {
                self.report("D0303", at.names(), line);
            }
        }
        for (at, objects) in std::mem::take(&mut self.objects) {
            let none = Vec::new();
            let having = |name: &String| objects.having.get(name).unwrap_or(&none);
            for name in &objects.gone {
                let is_always = having(name).len() == objects.lines.len();
                let code = match (at.is_sent, is_always) {
                    (true, _) => "D0201",
                    (false, true) => "D0301",
                    (false, false) => "D0305",
                };
                let line = objects.lines[having(name)[0]];
                self.report(code, at.member(name).names(), line);
            }
            for name in &objects.demanded {
                let having = having(name);
                let lacking = (0..objects.lines.len()).filter(|n| !having.contains(n));
                let code = if having.is_empty() { "D0202" } else { "D0203" };
                for n in lacking.collect::<Vec<_>>() {
                    self.report(code, at.member(name).names(), objects.lines[n]);
                }
            }
        }
        self.found
    }
}
