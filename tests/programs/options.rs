//! Uses what options have made of `schemas/options.json`.
#![deny(warnings, missing_docs, clippy::all)]

#[allow(
    dead_code,
    unused_imports,
    reason = "what is not for all to see may be used in parts"
)]
mod qapi;

use std::sync::Arc;

use qapi::commands::{Draw, Erase};
use qapi::{Color, Commands, Dispatcher, Drawn, Event, Figure, Point, Where, introspection};
use qapi_runtime::Error;
use qapi_runtime::dispatch::Service as _;

/// Where the generated code finds its runtime.
mod runtime {
    pub(crate) use qapi_runtime::*;
}

/// A type in place of a generated one.
mod own {
    use qapi_runtime::visit::{Members, ObjectInput, ObjectOutput, VisitError};

    /// Sixteen bytes.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
    pub struct Uuid(pub u128);

    impl Members for Uuid {
        fn read_members(object: &mut ObjectInput<'_, '_>) -> Result<Self, VisitError> {
            let high: u64 = object.required("high")?;
            let low: u64 = object.required("low")?;
            Ok(Self(u128::from(high) << 64 | u128::from(low)))
        }

        fn write_members(&self, object: &mut ObjectOutput<'_>) {
            let [high, low] = [self.0 >> 64, self.0].map(|half| half as u64);
            object.required("high", &high);
            object.required("low", &low);
        }
    }
}

struct Canvas;

impl Commands for Canvas {
    fn draw(&self, arguments: Draw) -> Result<own::Uuid, Error> {
        Ok(arguments.at.id.unwrap_or(own::Uuid(7)))
    }

    fn erase(&self, arguments: Erase) -> Result<(), Error> {
        match arguments.r#where {
            Where::Point(_) => Ok(()),
            Where::Name(name) => Err(Error::device_not_found(name)),
        }
    }
}

fn main() {
    // A derive for one type, one for another, and one for all.
    assert!(Color::Red < Color::Blue);
    assert!(std::collections::HashSet::from([Point::new(1, 2)]).contains(&Point::new(1, 2)));
    fn is_eq<T: Eq>(_: &T) {}
    is_eq(&Figure::Green);
    is_eq(&Event::from(Drawn { id: own::Uuid(1) }).eq(&Event::from(Drawn { id: own::Uuid(2) })));
    // What is served.
    let dispatcher = Dispatcher::new(Arc::new(Canvas));
    assert_eq!(dispatcher.commands().len(), 2);
    assert!(dispatcher.find("draw").is_some() && dispatcher.find("erase").is_some());
    assert!(dispatcher.find("zoom").is_none());
    // Introspection tells of these commands, and of no type of another.
    let entities: Vec<serde_json::Value> =
        serde_json::from_str(&introspection::SCHEMA).expect("introspection data");
    let named = |kind| {
        let entities = entities
            .iter()
            .filter(move |entity| entity["meta-type"] == kind);
        entities.filter_map(|entity| entity["name"].as_str())
    };
    assert!(named("command").eq(["draw", "erase"]));
    assert!(named("event").eq(["DRAWN"]));
    assert!(!introspection::SCHEMA.contains("factor"));
    // A replaced type on the wire, and through serde.
    let point: Point =
        serde_json::from_str(r#"{"id": {"low": 1, "high": 2}, "x": 3, "y": 4}"#).expect("a point");
    assert_eq!(point.id, Some(own::Uuid(2 << 64 | 1)));
    let text = serde_json::to_string(&point).expect("text");
    assert_eq!(text, r#"{"x":3,"y":4,"id":{"high":2,"low":1}}"#);
}
