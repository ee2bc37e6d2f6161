//! Types as generated code has them, against the texts of the reference.

use qapi_runtime::codegen::{impl_enum, impl_serde, read_enum, write_enum};
use qapi_runtime::json::{Document, Kind};
use qapi_runtime::visit::{
    CompatInput, CompatOutput, CompatPolicy, Enumeration, Input, Members, Mode, ObjectInput,
    ObjectOutput, Output, SpecialFeatures, Visit, VisitError, VisitErrorKind,
};
use qapi_runtime::{Null, Object, QType, Value};

#[derive(Clone, Debug, PartialEq)]
enum Color {
    Red,
    Green,
    Unknown(Box<str>),
}

impl Enumeration for Color {
    const NAME: &'static str = "Color";
    const ALL: &'static [Self] = &[Self::Red, Self::Green];

    fn from_name(name: &str) -> Option<Self> {
        match name {
            "red" => Some(Self::Red),
            "green" => Some(Self::Green),
            _ => None,
        }
    }

    fn as_str(&self) -> &str {
        match self {
            Self::Red => "red",
            Self::Green => "green",
            Self::Unknown(name) => name,
        }
    }

    fn unknown(name: Box<str>) -> Self {
        Self::Unknown(name)
    }

    fn is_unknown(&self) -> bool {
        matches!(self, Self::Unknown(_))
    }

    fn special_features(&self) -> SpecialFeatures {
        match self {
            Self::Green => SpecialFeatures::DEPRECATED,
            Self::Red | Self::Unknown(_) => SpecialFeatures::NONE,
        }
    }
}

impl Visit for Color {
    fn read(input: &mut Input<'_>) -> Result<Self, VisitError> {
        read_enum(input)
    }

    fn write(&self, output: &mut Output) -> Result<(), VisitError> {
        write_enum(self, output)
    }
}

/// A union with a base member, one branch without members, and recursion.
#[derive(Clone, Debug, PartialEq)]
struct Shape {
    name: String,
    kind: ShapeKind,
}

#[derive(Clone, Debug, PartialEq)]
enum ShapeKind {
    Point,
    Group(Group),
    Unknown(Box<str>),
}

#[derive(Clone, Debug, PartialEq)]
struct Group {
    parts: Vec<ShapeRef>,
    color: Option<Color>,
    scale: Option<f64>,
    extra: Option<Value>,
    old: Option<i64>,
}

/// An alternate.
#[derive(Clone, Debug, PartialEq)]
enum ShapeRef {
    Definition(Box<Shape>),
    Reference(String),
    None(Null),
}

impl Members for Shape {
    fn read_members(object: &mut ObjectInput<'_, '_>) -> Result<Self, VisitError> {
        let tag = object.tag("kind")?;
        Ok(Self {
            name: object.required("name")?,
            kind: match tag {
                "point" => ShapeKind::Point,
                "group" => ShapeKind::Group(Group::read_members(object)?),
                other => ShapeKind::Unknown(object.unknown_tag("kind", other)?),
            },
        })
    }

    fn write_members(&self, object: &mut ObjectOutput<'_>) {
        let tag = match &self.kind {
            ShapeKind::Point => "point",
            ShapeKind::Group(_) => "group",
            ShapeKind::Unknown(name) => {
                return object.fail(VisitError::unsendable("ShapeKind", name));
            }
        };
        object.tag("kind", tag);
        object.required("name", &self.name);
        match &self.kind {
            ShapeKind::Group(group) => group.write_members(object),
            ShapeKind::Point | ShapeKind::Unknown(_) => {}
        }
    }
}

impl Members for Group {
    fn read_members(object: &mut ObjectInput<'_, '_>) -> Result<Self, VisitError> {
        Ok(Self {
            parts: object.required("parts")?,
            color: object.optional("color")?,
            scale: object.optional("scale")?,
            extra: object.optional("extra")?,
            old: object.optional_with("old", SpecialFeatures::UNSTABLE)?,
        })
    }

    fn write_members(&self, object: &mut ObjectOutput<'_>) {
        object.required("parts", &self.parts);
        object.optional("color", &self.color);
        object.optional("scale", &self.scale);
        object.optional("extra", &self.extra);
        object.optional_with("old", SpecialFeatures::UNSTABLE, &self.old);
    }
}

impl Visit for ShapeRef {
    fn read(input: &mut Input<'_>) -> Result<Self, VisitError> {
        match input.kind() {
            Kind::Object => Ok(Self::Definition(Visit::read(input)?)),
            Kind::String => Ok(Self::Reference(Visit::read(input)?)),
            Kind::Null => Ok(Self::None(Visit::read(input)?)),
            Kind::Bool | Kind::Number | Kind::Array => Err(input.invalid_type("ShapeRef")),
        }
    }

    fn write(&self, output: &mut Output) -> Result<(), VisitError> {
        match self {
            Self::Definition(value) => value.write(output),
            Self::Reference(value) => value.write(output),
            Self::None(value) => value.write(output),
        }
    }
}

impl_enum!(Color);
impl_serde!(Color, Shape, ShapeRef);

fn read<T: Visit>(json: &str, mode: Mode, compat: CompatPolicy) -> Result<T, VisitError> {
    let document = Document::parse(json.as_bytes()).unwrap();
    T::read(&mut Input::at(document.root(), mode, compat))
}

fn written<T: Visit>(value: &T, compat: CompatPolicy) -> Result<String, VisitError> {
    let mut output = Output::with_buffer(Vec::new(), compat, false);
    value.write(&mut output)?;
    Ok(String::from_utf8(output.into_bytes()).unwrap())
}

const GROUP: &str = r#"{"kind": "group", "name": "g", "parts": [{"kind": "point", "name": "p"}, "r", null], "color": "green", "scale": 1.5, "extra": {"any": [1]}, "old": -1}"#;

#[test]
fn members_come_in_any_order() {
    let shape: Shape = read(GROUP, Mode::Strict, CompatPolicy::ACCEPT).unwrap();
    assert_eq!(written(&shape, CompatPolicy::ACCEPT).unwrap(), GROUP);
    let mixed = r#"{"extra": {"any": [1]}, "old": -1, "parts": [{"name": "p", "kind": "point"}, "r", null], "scale": 1.5, "name": "g", "color": "green", "kind": "group"}"#;
    assert_eq!(
        read::<Shape>(mixed, Mode::Strict, CompatPolicy::ACCEPT).unwrap(),
        shape
    );
}

#[test]
fn strict_readers_word_mistakes_as_the_reference() {
    for (json, text) in [
        (
            "[]",
            "Invalid parameter type for '<anonymous>', expected: object",
        ),
        ("{}", "Parameter 'kind' is missing"),
        (
            "{'kind': 1}",
            "Invalid parameter type for 'kind', expected: string",
        ),
        ("{'kind': 'point'}", "Parameter 'name' is missing"),
        (
            "{'kind': 'cube', 'name': 'x'}",
            "Parameter 'kind' does not accept value 'cube'",
        ),
        (
            "{'kind': 'point', 'name': 'x', 'parts': []}",
            "Parameter 'parts' is unexpected",
        ),
        (
            "{'kind': 'group', 'name': 'x', 'parts': {}}",
            "Invalid parameter type for 'parts', expected: array",
        ),
        (
            "{'kind': 'group', 'name': 'x', 'parts': ['a', {'kind': 'point'}]}",
            "Parameter 'parts[1].name' is missing",
        ),
        (
            "{'kind': 'group', 'name': 'x', 'parts': ['a', {'kind': 'x', 'name': ''}]}",
            "Parameter 'kind' does not accept value 'x'",
        ),
        (
            "{'kind': 'group', 'name': 'x', 'parts': [{'kind': 'point', 'name': '', 'z': 1}]}",
            "Parameter 'parts[0].z' is unexpected",
        ),
        (
            "{'kind': 'group', 'name': 'x', 'parts': [1]}",
            "Invalid parameter type for 'null', expected: ShapeRef",
        ),
        (
            "{'kind': 'group', 'name': 'x', 'parts': [], 'color': 'blue'}",
            "Parameter 'color' does not accept value 'blue'",
        ),
        (
            "{'kind': 'group', 'name': 'x', 'parts': [], 'color': null}",
            "Invalid parameter type for 'color', expected: string",
        ),
        (
            "{'kind': 'group', 'name': 'x', 'parts': [], 'scale': '1'}",
            "Invalid parameter type for 'scale', expected: number",
        ),
    ] {
        let error = read::<Shape>(json, Mode::Strict, CompatPolicy::ACCEPT).unwrap_err();
        assert_eq!(error.to_string(), text, "{json}");
    }
}

#[test]
fn lenient_readers_survive_newer_peers() {
    let json = "{'kind': 'cube', 'name': 'x', 'edge': 1}";
    let shape: Shape = read(json, Mode::Lenient, CompatPolicy::ACCEPT).unwrap();
    assert_eq!(shape.kind, ShapeKind::Unknown("cube".into()));
    let error = written(&shape, CompatPolicy::ACCEPT).unwrap_err();
    assert_eq!(
        *error.kind(),
        VisitErrorKind::Unsendable("ShapeKind", "cube".into())
    );

    let json = "{'kind': 'group', 'name': 'x', 'parts': [], 'color': 'blue', 'new': 1}";
    let shape: Shape = read(json, Mode::Lenient, CompatPolicy::ACCEPT).unwrap();
    let ShapeKind::Group(group) = &shape.kind else {
        panic!("a group");
    };
    assert_eq!(group.color, Some(Color::Unknown("blue".into())));
    let error = written(&shape, CompatPolicy::ACCEPT).unwrap_err();
    assert_eq!(
        error.to_string(),
        "'blue' at color is not a value of Color and cannot be sent"
    );

    let error = read::<Vec<Shape>>("[{'kind': 'point'}]", Mode::Lenient, CompatPolicy::ACCEPT);
    assert_eq!(error.unwrap_err().detail(), "[0].name is missing");
}

#[test]
fn policies_refuse_input_and_hide_output() {
    let reject = CompatPolicy {
        deprecated_input: CompatInput::Reject,
        unstable_input: CompatInput::Reject,
        deprecated_output: CompatOutput::Accept,
        unstable_output: CompatOutput::Hide,
    };
    let base = "'kind': 'group', 'name': 'x', 'parts': []";
    let error = read::<Shape>(&format!("{{{base}, 'old': 'x'}}"), Mode::Strict, reject);
    assert_eq!(
        error.unwrap_err().to_string(),
        "Unstable parameter old disabled by policy"
    );
    let error = read::<Shape>(
        &format!("{{{base}, 'color': 'green'}}"),
        Mode::Strict,
        reject,
    );
    assert_eq!(
        error.unwrap_err().to_string(),
        "Deprecated value green disabled by policy"
    );
    let shape: Shape = read(&format!("{{{base}, 'color': 'red'}}"), Mode::Strict, reject).unwrap();
    let old = Shape {
        kind: match shape.kind.clone() {
            ShapeKind::Group(group) => ShapeKind::Group(Group {
                old: Some(1),
                ..group
            }),
            other => other,
        },
        ..shape.clone()
    };
    assert_eq!(
        written(&old, reject).unwrap(),
        written(&shape, CompatPolicy::ACCEPT).unwrap()
    );
}

#[test]
fn many_members_are_all_accounted_for() {
    let json: Vec<String> = (0..200)
        .map(|index| format!("'m{index}': {index}"))
        .collect();
    let json = format!("{{'kind': 'point', 'name': 'x', {}}}", json.join(", "));
    assert!(read::<Shape>(&json, Mode::Strict, CompatPolicy::ACCEPT).is_err());
    assert!(read::<Shape>(&json, Mode::Lenient, CompatPolicy::ACCEPT).is_ok());
    let all: Object = read(&json, Mode::Strict, CompatPolicy::ACCEPT).unwrap();
    assert_eq!(all.len(), 202);
}

#[test]
fn numbers_that_are_not_finite_are_not_sent() {
    let error = written(&f64::NAN, CompatPolicy::ACCEPT).unwrap_err();
    assert_eq!(*error.kind(), VisitErrorKind::NotFinite);
}

#[test]
fn serde_formats_work() {
    let shape: Shape = serde_json::from_str(GROUP).unwrap();
    assert_eq!(
        serde_json::from_str::<serde_json::Value>(GROUP).unwrap(),
        serde_json::to_value(&shape).unwrap()
    );
    let error = serde_json::from_str::<Shape>("{\"kind\": \"point\"}").unwrap_err();
    assert!(error.to_string().contains("name"), "{error}");
    assert_eq!(serde_json::to_string(&QType::Qdict).unwrap(), "\"qdict\"");
}

#[test]
fn serde_refuses_duplicate_members() {
    let refused = |result: Result<(), serde_json::Error>, key: &str| {
        let error = result.unwrap_err().to_string();
        let expected = format!("duplicate member '{key}'");
        assert!(error.starts_with(&expected), "{error}");
    };
    let cases = [
        // Members of the base, the tag, and members of the branch.
        (r#"{"name":"a","kind":"point","name":"a"}"#, "name"),
        (r#"{"kind":"point","name":"a","kind":"group"}"#, "kind"),
        (
            r#"{"kind":"group","name":"a","parts":[],"parts":["b"]}"#,
            "parts",
        ),
        // In an element, through an alternate.
        (
            r#"{"kind":"group","name":"a","parts":[{"kind":"point","name":"b","name":"c"}]}"#,
            "name",
        ),
        // In any value, at any depth.
        (
            r#"{"kind":"group","name":"a","parts":[],"extra":[{"x":{"y":1,"z":2,"y":1}}]}"#,
            "y",
        ),
        // Unknown members, and what is in them.
        (r#"{"kind":"point","name":"a","x":1,"x":1}"#, "x"),
        (r#"{"kind":"point","name":"a","x":{"y":1,"y":2}}"#, "y"),
        // Whatever the spelling.
        (r#"{"kind":"point","name":"a","n\u0061me":"a"}"#, "name"),
    ];
    for (json, key) in cases {
        refused(serde_json::from_str::<Shape>(json).map(drop), key);
        refused(
            serde_json::from_slice::<ShapeRef>(json.as_bytes()).map(drop),
            key,
        );
        refused(
            serde_json::from_reader::<_, Value>(json.as_bytes()).map(drop),
            key,
        );
        refused(serde_json::from_str::<Document>(json).map(drop), key);
        Document::parse(json.as_bytes()).unwrap_err();
    }
    let twice_in_different_objects =
        r#"{"kind":"group","name":"a","parts":[{"kind":"point","name":"a"}]}"#;
    serde_json::from_str::<Shape>(twice_in_different_objects).unwrap();
    // No member is missed among many.
    let mut members: Vec<String> = (0..3_000).map(|n| format!("\"m{n}\":{n}")).collect();
    let object = format!("{{{}}}", members.join(","));
    serde_json::from_str::<Value>(&object).unwrap();
    members.push("\"m1234\":0".to_owned());
    let object = format!("{{{}}}", members.join(","));
    refused(serde_json::from_str::<Value>(&object).map(drop), "m1234");
}

/// Flattened members and untagged enums reach a type in this way, and so do formats that are not text.
#[test]
fn serde_refuses_duplicate_members_of_any_format() {
    use serde::Deserialize as _;
    use serde::de::value::{Error, MapDeserializer};

    let read = |members: &[(&'static str, &'static str)]| {
        let format = MapDeserializer::<_, Error>::new(members.iter().copied());
        Shape::deserialize(format)
    };
    read(&[("kind", "point"), ("name", "a")]).unwrap();
    let error = read(&[("kind", "point"), ("name", "a"), ("name", "a")]).unwrap_err();
    assert_eq!(error.to_string(), "duplicate member 'name'");
}

#[test]
fn names_of_enums() {
    assert_eq!("green".parse::<Color>().unwrap(), Color::Green);
    assert_eq!(
        "blue".parse::<Color>().unwrap_err().to_string(),
        "'blue' is not a value of Color"
    );
    assert_eq!(format!("{:>5}|", Color::Red), "  red|");
}
