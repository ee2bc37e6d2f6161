//! Reads values, one a line as `NAME VALUE`, and takes each through the generated type of that
//! name: from the wire and back, and through serde_json and back.

mod qapi;
mod table;

use std::fmt::Debug;
use std::io::{self, BufRead as _};

use qapi_runtime::json::Document;
use qapi_runtime::visit::{Input, Mode, Output, Visit};
use serde_json::Value;

/// What a type does with a value in wire form.
type RoundTrip = fn(&str) -> Result<(), String>;

fn main() -> io::Result<()> {
    let table: std::collections::HashMap<&str, RoundTrip> = table::TABLE.iter().copied().collect();
    let mut n_failed = 0;
    let mut n_passed = 0;
    for line in io::stdin().lock().lines() {
        let line = line?;
        let (name, value) = line.split_once(' ').unwrap_or((&line, ""));
        let result = match table.get(name) {
            Some(round_trip) => round_trip(value),
            None => Err("there is no such type".to_owned()),
        };
        match result {
            Ok(()) => n_passed += 1,
            Err(error) => {
                n_failed += 1;
                println!("{name}: {error}\n  {value}");
            }
        }
    }
    println!("{n_passed} passed, {n_failed} failed");
    if n_failed > 0 {
        std::process::exit(1);
    }
    Ok(())
}

/// Takes `text` through `T`.
fn round_trip<T>(text: &str) -> Result<(), String>
where
    T: Visit + PartialEq + Debug + Clone + serde::Serialize + serde::de::DeserializeOwned,
{
    let value: T = read(text)?;
    let wire = write(&value)?;
    let by_serde = serde_json::to_string(&value).map_err(|error| format!("to serde: {error}"))?;
    let original = json(text)?;
    for (what, made) in [("wire", json(&wire)?), ("serde", json(&by_serde)?)] {
        if !is_equal(&original, &made) {
            return Err(format!("through {what} it becomes {made}"));
        }
    }
    if read::<T>(&wire)? != value {
        return Err("from the wire comes another value".to_owned());
    }
    for text in [text, &by_serde] {
        let back: T = serde_json::from_str(text).map_err(|error| format!("from serde: {error}"))?;
        if back != value {
            return Err("from serde comes another value".to_owned());
        }
    }
    Ok(())
}

fn read<T: Visit>(text: &str) -> Result<T, String> {
    let document = Document::parse(text.as_bytes()).map_err(|error| format!("parse: {error}"))?;
    T::read(&mut Input::new(&document, Mode::Strict)).map_err(|error| format!("read: {error}"))
}

fn write<T: Visit>(value: &T) -> Result<String, String> {
    let mut output = Output::new();
    value
        .write(&mut output)
        .map_err(|error| format!("write: {error}"))?;
    String::from_utf8(output.into_bytes()).map_err(|error| error.to_string())
}

fn json(text: &str) -> Result<Value, String> {
    serde_json::from_str(text).map_err(|error| format!("no JSON: {error}"))
}

/// Whether two values are equal as JSON, where 1 and 1.0 are one number.
fn is_equal(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Number(left), Value::Number(right)) => {
            left == right || (left.is_f64() || right.is_f64()) && left.as_f64() == right.as_f64()
        }
        (Value::Array(left), Value::Array(right)) => {
            left.len() == right.len() && left.iter().zip(right).all(|(l, r)| is_equal(l, r))
        }
        (Value::Object(left), Value::Object(right)) => {
            let is_there = |(key, value)| right.get(key).is_some_and(|other| is_equal(value, other));
            left.len() == right.len() && left.iter().all(is_there)
        }
        (left, right) => left == right,
    }
}
