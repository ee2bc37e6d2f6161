//! What values look like at each place, learned one value after the other.
//!
//! An interface is the guide: it tells which member is the tag of branches, and which strings are values of enumerations. Beyond
//! what it knows nothing is learned but that something is there.

use std::collections::HashSet;
use std::fmt;

use indexmap::IndexMap;
use qapi_runtime::{Object, Value};

use crate::diff::{self, Interface, Member, Scalar, Shape, ShapeId, no_members, takes};
use crate::steps::step;

/// The number of a line, from 1 on.
pub(super) type Line = u32;

/// The position of a [`Place`].
pub(super) type PlaceId = usize;

/// The position of [`Fields`].
pub(super) type FieldsId = usize;

/// All places of the values that go one way.
pub(super) struct Places<'g> {
    pub(super) guide: &'g Interface,
    places: Vec<Place<'g>>,
    fields: Vec<Fields>,
}

/// A value that is yet to be learned: values may be in each other to any depth.
struct Open<'v> {
    place: PlaceId,
    value: &'v Value,
    /// Where it is in its message, if something there is masked.
    way: String,
}

/// What was seen at one place.
#[derive(Default)]
pub(super) struct Place<'g> {
    /// What the guide has there.
    pub(super) guide: Option<ShapeId>,
    pub(super) line: Line,
    /// What the guide marks the member with.
    features: &'g [String],
    /// Features that are asked for and that the guide does not have.
    pub(super) lacks: Vec<String>,
    /// Whether the guide takes any value.
    pub(super) is_any: bool,
    pub(super) is_masked: bool,
    /// Whether there was a kind of value that the guide does not have there.
    pub(super) is_strange: bool,
    pub(super) null: Option<Line>,
    pub(super) boolean: Option<Line>,
    pub(super) number: Option<Line>,
    pub(super) string: Option<Line>,
    pub(super) integers: Option<Integers>,
    /// Values of an enumeration.
    pub(super) values: IndexMap<Box<str>, Line>,
    pub(super) elements: Option<(PlaceId, Line)>,
    pub(super) object: Option<FieldsId>,
}

/// Integers that were seen.
#[derive(Clone, Copy)]
pub(super) struct Integers {
    pub(super) least: i128,
    pub(super) most: i128,
    /// What the guide takes, where it says so.
    pub(super) known: Option<(i128, i128)>,
    /// The first one, or the first one beyond that.
    pub(super) line: Line,
}

/// The members of the objects at one place, or those that a value of a tag brings.
#[derive(Default)]
pub(super) struct Fields {
    pub(super) tag: Option<Box<str>>,
    pub(super) members: IndexMap<Box<str>, Field>,
    pub(super) branches: IndexMap<Box<str>, FieldsId>,
    /// Whether paths tell of it, and not whole objects.
    pub(super) is_partial: bool,
    /// How many objects there were.
    n_seen: u32,
    pub(super) line: Line,
    /// The last object, and the one before it.
    last: Line,
    before_last: Option<Line>,
}

/// A member.
pub(super) struct Field {
    pub(super) place: PlaceId,
    pub(super) line: Line,
    /// Whether the guide says that it may be absent.
    pub(super) is_optional: bool,
    /// The number of the last object that has it.
    last: u32,
    /// The first object that is known not to have it, while another one has.
    absent: Option<Line>,
}

/// What is said in one line.
#[derive(Clone, Copy)]
pub(super) struct Said<'a> {
    pub(super) line: Line,
    /// Where in its message something is masked.
    pub(super) masked: &'a HashSet<String>,
}

impl Fields {
    /// The line of an object that lacks `field`.
    pub(super) fn absent(&self, field: &Field) -> Option<Line> {
        let lacks_last = (field.last < self.n_seen).then_some(self.last);
        field.absent.or(lacks_last)
    }
}

impl<'g> Places<'g> {
    pub(super) fn new(guide: &'g Interface) -> Self {
        Self {
            guide,
            places: Vec::new(),
            fields: Vec::new(),
        }
    }

    pub(super) fn place(&self, id: PlaceId) -> &Place<'g> {
        &self.places[id]
    }

    pub(super) fn place_mut(&mut self, id: PlaceId) -> &mut Place<'g> {
        &mut self.places[id]
    }

    pub(super) fn fields(&self, id: FieldsId) -> &Fields {
        &self.fields[id]
    }

    /// A new place, for which the guide has `guide`.
    pub(super) fn add_place(&mut self, guide: Option<ShapeId>, line: Line) -> PlaceId {
        self.places.push(Place {
            guide,
            line,
            ..Place::default()
        });
        self.places.len() - 1
    }

    /// Learns from the part `part` of a message, which stands at `place`.
    pub(super) fn learn_part(&mut self, part: &str, place: PlaceId, value: &Value, said: Said<'_>) {
        let mut open = vec![Open {
            place,
            value,
            way: part.to_owned(),
        }];
        while let Some(next) = open.pop() {
            self.learn(&next, said, &mut open);
        }
    }

    fn learn<'v>(&mut self, at: &Open<'v>, said: Said<'_>, open: &mut Vec<Open<'v>>) {
        step();
        let (place, value) = (at.place, at.value);
        if said.masked.contains(&at.way) {
            self.places[place].is_masked = true;
            return;
        }
        let line = said.line;
        let guide = self.places[place].guide;
        let fit = guide.and_then(|id| self.option_for(id, value));
        let interface = self.guide;
        let shape = fit.map(|id| &interface.types[id]);
        let here = &mut self.places[place];
        here.is_strange |= fit.is_none();
        match (value, shape) {
            (_, Some(Shape::Scalar(Scalar::Any))) => here.is_any = true,
            (Value::Null, _) => {
                here.null.get_or_insert(line);
            }
            (Value::Bool(_), _) => {
                here.boolean.get_or_insert(line);
            }
            (Value::Double(_), _)
            | (Value::Int(_) | Value::UInt(_), Some(Shape::Scalar(Scalar::Number))) => {
                here.number.get_or_insert(line);
            }
            (Value::Int(number), shape) => here.add_integer(i128::from(*number), shape, line),
            (Value::UInt(number), shape) => here.add_integer(i128::from(*number), shape, line),
            (Value::String(text), Some(Shape::Enum(_))) => {
                if !here.values.contains_key(text.as_str()) {
                    here.values.insert(text.as_str().into(), line);
                }
            }
            (Value::String(_), _) => {
                here.string.get_or_insert(line);
            }
            (Value::Array(items), shape) => {
                let element = match shape {
                    Some(Shape::Array(element)) => Some(*element),
                    _ => None,
                };
                let elements = self.enter_elements(place, element, line);
                if element.is_some() {
                    // What is first comes off last.
                    for (index, value) in items.iter().enumerate().rev() {
                        open.push(Open {
                            place: elements,
                            value,
                            way: said.way(&at.way, format_args!("{index}")),
                        });
                    }
                }
            }
            (Value::Object(members), shape) => {
                let object = self.enter_object(place, line);
                match shape {
                    Some(Shape::Object(guide)) => {
                        let first = open.len();
                        for (name, place) in self.learn_object(object, guide, members, said.line) {
                            let Some(value) = members.get(name) else {
                                continue;
                            };
                            let way = said.way(&at.way, format_args!("{name}"));
                            open.push(Open { place, value, way });
                        }
                        open[first..].reverse();
                    }
                    _ => self.fields[object].count(line),
                }
            }
        }
    }

    /// The way in which the guide's type takes the value.
    fn option_for(&self, id: ShapeId, value: &Value) -> Option<ShapeId> {
        let shape = match value {
            Value::Null => Shape::Scalar(Scalar::Null),
            Value::Bool(_) => Shape::Scalar(Scalar::Bool),
            Value::Int(_) | Value::UInt(_) => Shape::Scalar(Scalar::Int(None)),
            Value::Double(_) => Shape::Scalar(Scalar::Number),
            Value::String(_) => Shape::Enum(diff::Enum::default()),
            Value::Array(_) => Shape::Array(ShapeId::MAX),
            Value::Object(_) => Shape::Object(diff::Object::default()),
        };
        let interface = self.guide;
        let fits = |id: &ShapeId| takes(&interface.types[*id], &shape);
        match &interface.types[id] {
            Shape::Alternate(_) => interface.options(id).into_iter().find(fits),
            Shape::Scalar(_) | Shape::Enum(_) | Shape::Array(_) | Shape::Object(_) => {
                Some(id).filter(fits)
            }
        }
    }

    /// The place of the elements of the lists at `place`.
    pub(super) fn enter_elements(
        &mut self,
        place: PlaceId,
        guide: Option<ShapeId>,
        line: Line,
    ) -> PlaceId {
        if let Some((elements, _)) = self.places[place].elements {
            return elements;
        }
        let elements = self.add_place(guide, line);
        self.places[place].elements = Some((elements, line));
        elements
    }

    /// The members of the objects at `place`.
    pub(super) fn enter_object(&mut self, place: PlaceId, line: Line) -> FieldsId {
        if let Some(object) = self.places[place].object {
            return object;
        }
        let object = self.add_fields(line);
        self.places[place].object = Some(object);
        object
    }

    fn add_fields(&mut self, line: Line) -> FieldsId {
        self.fields.push(Fields {
            line,
            ..Fields::default()
        });
        self.fields.len() - 1
    }

    /// The members that the value `case` of the tag brings.
    pub(super) fn enter_branch(&mut self, object: FieldsId, case: &str, line: Line) -> FieldsId {
        if let Some(branch) = self.fields[object].branches.get(case) {
            return *branch;
        }
        let branch = self.add_fields(line);
        self.fields[object].branches.insert(case.into(), branch);
        branch
    }

    /// Learns which members an object has; returns the places of those whose values the guide knows.
    fn learn_object<'m>(
        &mut self,
        mut id: FieldsId,
        guide: &'g diff::Object,
        members: &'m Object,
        line: Line,
    ) -> Vec<(&'m str, PlaceId)> {
        let mut places = Vec::new();
        let mut names: Vec<&str> = members.keys().collect();
        // The object and the branches of it that tags choose.
        let mut levels = vec![guide];
        while let Some(guide) = levels.last().copied() {
            self.fields[id].count(line);
            let mut branch = None;
            if let Some(tag) = guide.tag.as_deref() {
                self.fields[id].tag.get_or_insert_with(|| tag.into());
                let case = members.get(tag).and_then(Value::as_str);
                branch = case.and_then(|case| Some((case, self.branch(&levels, case)?)));
            }
            names.retain(|name| {
                step();
                let known = guide.member(name);
                if known.is_some() || branch.is_none() {
                    let place = self.enter_member(id, known, name, line);
                    places.extend(known.map(|_| (*name, place)));
                }
                known.is_none()
            });
            let Some((case, branch)) = branch else { break };
            id = self.enter_branch(id, case, line);
            levels.push(branch);
        }
        places
    }

    /// What the value `case` of the tag brings; nothing where the guide knows the value and has no branch for it.
    pub(super) fn branch(
        &self,
        levels: &[&'g diff::Object],
        case: &str,
    ) -> Option<&'g diff::Object> {
        let (object, interface) = (*levels.last()?, self.guide);
        let branch = match object.branch(case) {
            Some(branch) => match &interface.types[branch] {
                Shape::Object(branch) => branch,
                Shape::Scalar(_) | Shape::Enum(_) | Shape::Array(_) | Shape::Alternate(_) => {
                    return None;
                }
            },
            None => {
                let tag = object.member(object.tag.as_deref()?)?;
                match &interface.types[tag.shape] {
                    Shape::Enum(values) if values.value(case).is_some() => return None,
                    // Of a value that the guide does not know it does not know the members either.
                    _ => no_members(),
                }
            }
        };
        // Servers may tell of objects that are branches of themselves.
        let is_new = |level: &&diff::Object| !std::ptr::eq(*level, branch);
        levels.iter().all(is_new).then_some(branch)
    }

    /// The place of a member of the object that was counted last.
    pub(super) fn enter_member(
        &mut self,
        id: FieldsId,
        known: Option<&'g Member>,
        name: &str,
        line: Line,
    ) -> PlaceId {
        let Fields {
            n_seen,
            before_last,
            ..
        } = self.fields[id];
        if let Some(field) = self.fields[id].members.get_mut(name) {
            if field.last + 1 < n_seen {
                field.absent = field.absent.or(before_last);
            }
            field.last = n_seen;
            return field.place;
        }
        let place = self.add_place(known.map(|member| member.shape), line);
        self.places[place].features = known.map_or(&[], |member| &member.common.features);
        let fields = &mut self.fields[id];
        let field = Field {
            place,
            line,
            is_optional: known.is_some_and(|member| member.is_optional),
            last: n_seen,
            absent: before_last,
        };
        fields.members.insert(name.into(), field);
        place
    }

    /// Looks for a feature of a member or of its type, of a value of it, or of the type `branch` that the value brings.
    pub(super) fn look_for_feature(
        &mut self,
        place: PlaceId,
        value: Option<&str>,
        branch: Option<ShapeId>,
        feature: &str,
    ) -> bool {
        let interface = self.guide;
        let here = &mut self.places[place];
        let mut lists = vec![here.features];
        let mut open: Vec<ShapeId> = here.guide.into_iter().chain(branch).collect();
        let mut seen = HashSet::new();
        while let Some(id) = open.pop() {
            for id in interface.options(id) {
                if !seen.insert(id) {
                    continue;
                }
                lists.push(&interface.features[id]);
                match &interface.types[id] {
                    Shape::Enum(values) => {
                        let value = value.and_then(|value| values.value(value));
                        lists.extend(value.map(|it| &*it.common.features));
                    }
                    Shape::Array(element) => open.push(*element),
                    Shape::Scalar(_) | Shape::Object(_) | Shape::Alternate(_) => {}
                }
            }
        }
        let is_there = lists.iter().any(|list| list.iter().any(|it| it == feature));
        if !is_there {
            here.lacks.push(feature.to_owned());
        }
        is_there
    }

    /// Begins the members of an object of which paths tell.
    pub(super) fn open(&mut self, id: FieldsId, guide: &diff::Object, line: Line) {
        let fields = &mut self.fields[id];
        fields.is_partial = true;
        if fields.n_seen == 0 {
            fields.count(line);
        }
        if let Some(tag) = guide.tag.as_deref() {
            fields.tag.get_or_insert_with(|| tag.into());
        }
    }
}

impl Said<'_> {
    /// The way one step on, where that matters.
    fn way(self, before: &str, name: fmt::Arguments<'_>) -> String {
        match self.masked.is_empty() {
            true => String::new(),
            false => format!("{before}.{name}"),
        }
    }
}

impl Fields {
    /// Counts an object.
    pub(super) fn count(&mut self, line: Line) {
        self.before_last = (self.n_seen > 0).then_some(self.last);
        self.n_seen += 1;
        self.last = line;
    }
}

impl Place<'_> {
    fn add_integer(&mut self, number: i128, shape: Option<&Shape>, line: Line) {
        let known = match shape {
            Some(Shape::Scalar(Scalar::Int(known))) => *known,
            _ => None,
        };
        let Some(integers) = &mut self.integers else {
            self.integers = Some(Integers {
                least: number,
                most: number,
                known,
                line,
            });
            return;
        };
        let is_known =
            |number: i128| known.is_none_or(|(least, most)| (least..=most).contains(&number));
        if !is_known(number) && is_known(integers.least) && is_known(integers.most) {
            integers.line = line;
        }
        integers.least = integers.least.min(number);
        integers.most = integers.most.max(number);
    }
}
