//! Enums.

use super::error::VisitError;
use super::input::Input;
use super::output::Output;
use super::policy::SpecialFeatures;
use crate::error::UnknownName;

/// A QAPI enum.
///
/// Beside its values, the Rust enum has `Unknown`, which only a lenient reader makes.
pub trait Enumeration: Sized + Clone + 'static {
    /// The name in the schema.
    const NAME: &'static str;

    /// All values, in the order of the schema.
    const ALL: &'static [Self];

    /// The value with this name.
    fn from_name(name: &str) -> Option<Self>;

    /// The name of the value.
    fn as_str(&self) -> &str;

    /// A name that this schema does not have.
    fn unknown(name: Box<str>) -> Self;

    /// Whether this is such a name.
    fn is_unknown(&self) -> bool;

    /// The special features of the value.
    fn special_features(&self) -> SpecialFeatures {
        SpecialFeatures::NONE
    }
}

/// Reads an enum; the body of its [`Visit::read`](super::Visit::read).
///
/// # Errors
///
/// A value that is not a string, an unknown name in strict mode, a value that the policy refuses.
pub fn read_enum<T: Enumeration>(input: &mut Input<'_>) -> Result<T, VisitError> {
    let name = input.string()?;
    match T::from_name(name) {
        Some(value) => {
            input.check_value(name, value.special_features())?;
            Ok(value)
        }
        None => input.unknown_name(name).map(T::unknown),
    }
}

/// Writes an enum; the body of its [`Visit::write`](super::Visit::write).
///
/// # Errors
///
/// An unknown value cannot be sent.
pub fn write_enum<T: Enumeration>(value: &T, output: &mut Output) -> Result<(), VisitError> {
    if value.is_unknown() {
        return Err(VisitError::unsendable(T::NAME, value.as_str()));
    }
    output.string(value.as_str());
    Ok(())
}

/// Parses the name of an enum value; the body of `FromStr` of generated enums.
///
/// # Errors
///
/// No value has this name.
pub fn parse_name<T: Enumeration>(name: &str) -> Result<T, UnknownName> {
    T::from_name(name).ok_or_else(|| UnknownName::new(T::NAME, name))
}
