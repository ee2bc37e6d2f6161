//! Manifests: lists of paths.

use super::CompatError;
use super::learner::Learner;
use super::paths::{Part, Path};
use super::places::{FieldsId, Line, PlaceId, Places};
use super::shown::shown;
use crate::diff::{self, Shape, no_members};

/// Reads a manifest for all versions at once.
pub(super) fn learn(text: &str, learners: &mut [Learner<'_>]) -> Result<(), CompatError> {
    let mut is_empty = true;
    for (index, text) in text.lines().enumerate() {
        let text = text.trim();
        if text.is_empty() || text.starts_with('#') {
            continue;
        }
        is_empty = false;
        let number = index + 1;
        let path = Path::parse(text).ok_or_else(|| CompatError::NoPath(number, shown(text)))?;
        let line = Line::try_from(number).unwrap_or(Line::MAX);
        let is_event = is_event(&path, learners);
        let mut is_known = false;
        for learner in &mut *learners {
            is_known |= learn_path(learner, &path, is_event, line);
        }
        if !is_known {
            return Err(CompatError::Unknown(number, text.to_owned()));
        }
    }
    match is_empty {
        true => Err(CompatError::Empty),
        false => Ok(()),
    }
}

/// Whether the path begins with an event; a name that no version has is that of a command.
fn is_event(path: &Path<'_>, learners: &[Learner<'_>]) -> bool {
    let mut versions = learners.iter().map(|learner| learner.version);
    match path.part {
        Some(Part::Data) => true,
        Some(Part::Arguments | Part::Returns) => false,
        None => versions.any(|version| version.events.contains_key(path.name)),
    }
}

/// Learns a path; returns whether the version has all of it.
fn learn_path(learner: &mut Learner<'_>, path: &Path<'_>, is_event: bool, line: Line) -> bool {
    let version = learner.version;
    let common = match is_event {
        true => version.events.get(path.name).map(|it| &it.common),
        false => version.commands.get(path.name).map(|it| &it.common),
    };
    let lacks = |features: &[String]| {
        let feature = path.feature.filter(|_| path.steps.is_empty());
        feature.filter(|feature| !features.iter().any(|it| it == feature))
    };
    let lacking = common.and_then(|common| lacks(&common.features));
    let is_known = common.is_some() && lacking.is_none();
    if is_event {
        let event = learner.event(path.name, line);
        event.lacks.extend(lacking.map(str::to_owned));
        let data = event.data;
        return is_known & Walk::new(&mut learner.received, line).follow(data, path);
    }
    let command = learner.command(path.name, line);
    command.lacks.extend(lacking.map(str::to_owned));
    let is_open = version
        .commands
        .get(path.name)
        .is_some_and(|it| it.takes_anything);
    let is_there = match path.part {
        None => true,
        Some(Part::Returns) => {
            let place = learner.returns(path.name, line);
            Walk::new(&mut learner.received, line).follow(place, path)
        }
        Some(Part::Arguments | Part::Data) if is_open => true,
        Some(Part::Arguments | Part::Data) => {
            let place = learner.command(path.name, line).arguments;
            Walk::new(&mut learner.sent, line).follow(place, path)
        }
    };
    is_known & is_there
}

/// Follows a path.
struct Walk<'p, 'g> {
    places: &'p mut Places<'g>,
    line: Line,
    /// Whether the guide has everything so far.
    is_there: bool,
}

/// An object and the branches of it that the path has chosen.
type Levels<'g> = Vec<(FieldsId, &'g diff::Object)>;

/// Where a path has led.
enum At<'g> {
    Place(PlaceId),
    /// Behind a value of a tag: in the branch, should the path go on.
    Branch(PlaceId, Levels<'g>, String),
}

impl<'p, 'g> Walk<'p, 'g> {
    fn new(places: &'p mut Places<'g>, line: Line) -> Self {
        Self {
            places,
            line,
            is_there: true,
        }
    }

    fn follow(mut self, start: PlaceId, path: &Path<'_>) -> bool {
        let mut at = At::Place(start);
        for step in &path.steps {
            at = match step.member {
                Some(member) => {
                    let levels = match at {
                        At::Place(place) => self.object(place),
                        At::Branch(_, levels, case) => self.branch(levels, &case),
                    };
                    self.member(levels, member, step.value)
                }
                None => {
                    self.value(start, step.value.unwrap_or_default());
                    At::Place(start)
                }
            };
        }
        if let Some(feature) = path.feature.filter(|_| !path.steps.is_empty()) {
            let (place, branch) = match &at {
                At::Place(place) => (*place, None),
                At::Branch(place, levels, case) => {
                    let object = levels.last().map(|(_, object)| object);
                    (*place, object.and_then(|object| object.branch(case)))
                }
            };
            let value = path.steps.last().and_then(|step| step.value);
            self.is_there &= self.places.look_for_feature(place, value, branch, feature);
        }
        self.is_there
    }

    /// The object at a place, or in the lists there.
    fn object(&mut self, mut place: PlaceId) -> Levels<'g> {
        let interface = self.places.guide;
        // Lists may be told of that hold themselves.
        for _ in 0..=interface.types.len() {
            let guide = self.places.place(place).guide;
            let options = guide.map(|id| interface.options(id)).unwrap_or_default();
            let shapes = || options.iter().map(|id| &interface.types[*id]);
            let object = shapes().find_map(|shape| match shape {
                Shape::Object(object) => Some(object),
                Shape::Scalar(_) | Shape::Enum(_) | Shape::Array(_) | Shape::Alternate(_) => None,
            });
            let element = shapes().find_map(|shape| match shape {
                Shape::Array(element) => Some(*element),
                Shape::Scalar(_) | Shape::Enum(_) | Shape::Object(_) | Shape::Alternate(_) => None,
            });
            if let (None, Some(element)) = (object, element) {
                place = self.places.enter_elements(place, Some(element), self.line);
                continue;
            }
            if let Some(object) = object {
                let fields = self.places.enter_object(place, self.line);
                return self.level(fields, object);
            }
            break;
        }
        self.places.place_mut(place).is_strange = true;
        let fields = self.places.enter_object(place, self.line);
        self.level(fields, no_members())
    }

    fn level(&mut self, fields: FieldsId, object: &'g diff::Object) -> Levels<'g> {
        self.places.open(fields, object, self.line);
        vec![(fields, object)]
    }

    /// One level further in: the members that a value of the tag brings.
    fn branch(&mut self, mut levels: Levels<'g>, case: &str) -> Levels<'g> {
        let objects: Vec<_> = levels.iter().map(|(_, object)| *object).collect();
        let branch = self.places.branch(&objects, case);
        if let (Some((fields, _)), Some(branch)) = (levels.last(), branch) {
            let fields = self.places.enter_branch(*fields, case, self.line);
            levels.extend(self.level(fields, branch));
        }
        levels
    }

    fn member(&mut self, mut levels: Levels<'g>, name: &str, value: Option<&str>) -> At<'g> {
        if levels
            .iter()
            .all(|(_, object)| object.member(name).is_none())
        {
            // Without a value of the tag any branch will do.
            let case = levels
                .last()
                .and_then(|(_, object)| self.case_with(object, name));
            if let Some((tag, case)) = case {
                self.member(levels.clone(), tag, Some(case));
                levels = self.branch(levels, case);
            }
        }
        let found = levels
            .iter()
            .rposition(|(_, object)| object.member(name).is_some());
        self.is_there &= found.is_some();
        levels.truncate(found.map_or(levels.len(), |found| found + 1));
        let Some((fields, object)) = levels.last() else {
            return At::Place(0);
        };
        let known = object.member(name);
        let place = self.places.enter_member(*fields, known, name, self.line);
        let Some(value) = value else {
            return At::Place(place);
        };
        self.value(place, value);
        match object.tag.as_deref() == Some(name) {
            true => At::Branch(place, levels, value.to_owned()),
            false => At::Place(place),
        }
    }

    /// The tag, and its first value that brings the member.
    fn case_with(&self, object: &'g diff::Object, name: &str) -> Option<(&'g str, &'g str)> {
        let tag = object.tag.as_deref()?;
        let has = |id: &usize| match &self.places.guide.types[*id] {
            Shape::Object(branch) => branch.member(name).is_some(),
            Shape::Scalar(_) | Shape::Enum(_) | Shape::Array(_) | Shape::Alternate(_) => false,
        };
        let found = object.branches.iter().find(|(_, id)| has(id));
        found.map(|(case, _)| (tag, case.as_str()))
    }

    /// A value of the enumeration at a place, or in the lists there.
    fn value(&mut self, mut place: PlaceId, value: &str) {
        let interface = self.places.guide;
        for _ in 0..=interface.types.len() {
            let guide = self.places.place(place).guide;
            let options = guide.map(|id| interface.options(id)).unwrap_or_default();
            let mut element = None;
            for id in options {
                match &interface.types[id] {
                    Shape::Enum(values) => {
                        self.is_there &= values.value(value).is_some();
                        let values = &mut self.places.place_mut(place).values;
                        values.entry(value.into()).or_insert(self.line);
                        return;
                    }
                    Shape::Scalar(diff::Scalar::String | diff::Scalar::Any) => {
                        let string = &mut self.places.place_mut(place).string;
                        string.get_or_insert(self.line);
                        return;
                    }
                    Shape::Array(id) => element = Some(*id),
                    Shape::Scalar(_) | Shape::Object(_) | Shape::Alternate(_) => {}
                }
            }
            match element {
                Some(id) => place = self.places.enter_elements(place, Some(id), self.line),
                None => break,
            }
        }
        let here = self.places.place_mut(place);
        here.is_strange = true;
        here.string.get_or_insert(self.line);
        self.is_there = false;
    }
}
