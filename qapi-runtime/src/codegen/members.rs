//! The macros with which generated code takes the members of an object, see [`read`](super::read).

/// Takes a mandatory member, with its [`SpecialFeatures`](crate::visit::SpecialFeatures) if it has any. Returns from
/// the function around it with the error of [`ObjectInput::required`](crate::visit::ObjectInput::required).
#[doc(hidden)]
#[macro_export]
macro_rules! __required {
    ($object:ident, $name:literal) => {
        match $object.required($name) {
            Ok(value) => value,
            Err(error) => return Err(error),
        }
    };
    ($object:ident, $name:literal, $features:expr) => {
        match $object.required_with($name, $features) {
            Ok(value) => value,
            Err(error) => return Err(error),
        }
    };
}

/// Takes an optional member, with its [`SpecialFeatures`](crate::visit::SpecialFeatures) if it has any. Returns from
/// the function around it with the error of [`ObjectInput::optional`](crate::visit::ObjectInput::optional).
#[doc(hidden)]
#[macro_export]
macro_rules! __optional {
    ($object:ident, $name:literal) => {
        match $object.optional($name) {
            Ok(value) => value,
            Err(error) => return Err(error),
        }
    };
    ($object:ident, $name:literal, $features:expr) => {
        match $object.optional_with($name, $features) {
            Ok(value) => value,
            Err(error) => return Err(error),
        }
    };
}

/// Takes a member that only a server demands, with its [`SpecialFeatures`](crate::visit::SpecialFeatures) if it has
/// any. Returns from the function around it with the error of [`ObjectInput::tolerant`](crate::visit::ObjectInput::tolerant).
#[doc(hidden)]
#[macro_export]
macro_rules! __tolerant {
    ($object:ident, $name:literal) => {
        $crate::__tolerant!($object, $name, $crate::codegen::SpecialFeatures::NONE)
    };
    ($object:ident, $name:literal, $features:expr) => {
        match $object.tolerant($name, $features) {
            Ok(value) => value,
            Err(error) => return Err(error),
        }
    };
}

/// The same for the tag of a union, with the error of
/// [`ObjectInput::tolerant_tag`](crate::visit::ObjectInput::tolerant_tag).
#[doc(hidden)]
#[macro_export]
macro_rules! __tolerant_tag {
    ($object:ident, $name:literal) => {
        $crate::__tolerant_tag!($object, $name, $crate::codegen::SpecialFeatures::NONE)
    };
    ($object:ident, $name:literal, $features:expr) => {
        match $object.tolerant_tag($name, $features) {
            Ok(value) => value,
            Err(error) => return Err(error),
        }
    };
}

/// Takes the members of a union's branch. Returns from the function around it with the error of
/// [`Members::read_members`](crate::visit::Members::read_members).
#[doc(hidden)]
#[macro_export]
macro_rules! __branch {
    ($object:ident) => {
        match $crate::codegen::Members::read_members($object) {
            Ok(value) => value,
            Err(error) => return Err(error),
        }
    };
}
