//! What was learned, as types.

use super::places::{Fields, FieldsId, Integers, Place, PlaceId, Places};
use super::shown::shown;
use crate::diff::{
    Common, Enum, EnumValue, Flow, Interface, Member, Object, Scalar, Shape, ShapeId,
};
use crate::steps::step;

/// Writes the types of values that go one way.
pub(super) struct Writer<'a> {
    places: &'a Places<'a>,
    flow: Flow,
    out: &'a mut Interface,
    /// Types that are yet to be written, and their positions: they may be in each other to any depth.
    open: Vec<(Part, ShapeId)>,
}

/// What becomes a type.
#[derive(Clone, Copy)]
enum Part {
    Place(PlaceId),
    Fields(FieldsId),
}

impl<'a> Writer<'a> {
    pub(super) fn new(places: &'a Places<'a>, flow: Flow, out: &'a mut Interface) -> Self {
        Self {
            places,
            flow,
            out,
            open: Vec::new(),
        }
    }

    fn push(&mut self, shape: Shape, line: Option<u32>) -> ShapeId {
        self.out.types.push(shape);
        self.out.features.push(Vec::new());
        self.out.lines.push(line);
        self.out.types.len() - 1
    }

    /// The position of a type that is written later.
    fn reserve(&mut self, part: Part) -> ShapeId {
        let id = self.push(Shape::Alternate(Vec::new()), None);
        self.open.push((part, id));
        id
    }

    /// A type that takes whatever comes, or of which nothing is sent.
    fn anything(&self) -> Shape {
        match self.flow {
            Flow::Send => Shape::Alternate(Vec::new()),
            Flow::Receive => Shape::Scalar(Scalar::Any),
        }
    }

    /// A type for values of which nothing is known.
    pub(super) fn unknown(mut self) -> ShapeId {
        self.push(self.anything(), None)
    }

    /// The type of the values at `id`.
    pub(super) fn write(mut self, id: PlaceId) -> ShapeId {
        let root = self.reserve(Part::Place(id));
        while let Some((part, id)) = self.open.pop() {
            step();
            let (shape, line) = match part {
                Part::Place(place) => self.place(place),
                Part::Fields(fields) => {
                    let fields = self.places.fields(fields);
                    (self.object(fields), Some(fields.line))
                }
            };
            self.out.types[id] = shape;
            self.out.lines[id] = line;
        }
        root
    }

    fn place(&mut self, id: PlaceId) -> (Shape, Option<u32>) {
        let places = self.places;
        let place = places.place(id);
        let line = Some(place.line);
        if place.is_any {
            return (Shape::Scalar(Scalar::Any), line);
        }
        let mut options: Vec<(Shape, Option<u32>)> = Vec::new();
        for (scalar, line) in [
            (Scalar::Null, place.null),
            (Scalar::Bool, place.boolean),
            (Scalar::Number, place.number),
            (Scalar::String, place.string),
        ] {
            if line.is_some() {
                options.push((Shape::Scalar(scalar), line));
            }
        }
        if let Some(integers) = &place.integers {
            let shape = Shape::Scalar(Scalar::Int(self.range(integers)));
            options.push((shape, Some(integers.line)));
        }
        if !place.values.is_empty() {
            let values = place.values.iter().map(|(name, line)| EnumValue {
                name: shown(name),
                common: common(*line),
            });
            options.push((Shape::Enum(Enum::of(values)), line));
        }
        if let Some((elements, line)) = place.elements {
            let elements = self.reserve(Part::Place(elements));
            options.push((Shape::Array(elements), Some(line)));
        }
        if let Some(object) = place.object {
            let fields = places.fields(object);
            options.push((self.object(fields), Some(fields.line)));
        }
        if self.flow == Flow::Receive {
            if place.is_masked || options.is_empty() {
                return (self.anything(), None);
            }
            self.add_unseen(place, &mut options);
        }
        match options.pop() {
            Some(only) if options.is_empty() => only,
            last => {
                let options = options.into_iter().chain(last);
                let options = options.map(|(shape, line)| self.push(shape, line));
                (Shape::Alternate(options.collect()), line)
            }
        }
    }

    fn range(&self, integers: &Integers) -> Option<(i128, i128)> {
        match self.flow {
            // As servers do: a negative number stands for a large one where negative ones are unknown.
            Flow::Send if integers.known == Some(U64) && integers.least >= i64::MIN.into() => {
                Some((integers.least.max(0), integers.most.max(0)))
            }
            Flow::Send => Some((integers.least, integers.most)),
            Flow::Receive => integers.known,
        }
    }

    /// Who reads an alternate may get the kinds of values, too, that did not come.
    fn add_unseen(&mut self, place: &Place<'_>, options: &mut Vec<(Shape, Option<u32>)>) {
        let guide = self.places.guide;
        let Some(id) = place.guide.filter(|_| !place.is_strange) else {
            return;
        };
        if !matches!(guide.types[id], Shape::Alternate(_)) {
            return;
        }
        for id in guide.options(id) {
            let shape = match &guide.types[id] {
                Shape::Scalar(scalar) => Shape::Scalar(*scalar),
                Shape::Enum(_) => Shape::Scalar(Scalar::String),
                Shape::Array(_) => Shape::Array(self.push(self.anything(), None)),
                Shape::Object(_) => Shape::Object(Object::default()),
                Shape::Alternate(_) => continue,
            };
            // What was seen stands before it.
            options.push((shape, None));
        }
    }

    fn object(&mut self, fields: &Fields) -> Shape {
        let members = fields.members.iter().map(|(name, field)| {
            let absent = fields.absent(field);
            let may_be_absent = self.flow == Flow::Receive && field.is_optional;
            Member {
                name: shown(name),
                shape: self.reserve(Part::Place(field.place)),
                is_optional: absent.is_some() || may_be_absent,
                absent,
                common: Common {
                    features: self.places.place(field.place).lacks.clone(),
                    ..common(field.line)
                },
            }
        });
        let members = members.collect();
        let branches = fields.branches.iter();
        let branches = branches.map(|(case, id)| (shown(case), self.reserve(Part::Fields(*id))));
        Shape::Object(Object {
            members,
            branches: branches.collect(),
            is_partial: fields.is_partial,
            tag: fields.tag.as_deref().map(str::to_owned),
            ..Object::default()
        })
    }
}

/// What integers without a sign and with 64 bits may be.
const U64: (i128, i128) = (0, u64::MAX as i128);

fn common(line: u32) -> Common {
    Common {
        line: Some(line),
        ..Common::default()
    }
}
