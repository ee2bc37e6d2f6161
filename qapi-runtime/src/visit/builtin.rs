//! The built-in types.

use super::enumeration::{read_enum, write_enum};
use super::error::{VisitError, VisitErrorKind};
use super::input::Input;
use super::object::ObjectInput;
use super::output::{ObjectOutput, Output};
use super::{Enumeration, Members, Visit};
use crate::value::{Object, Value};

/// QAPI's 'null'.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Null;

impl Visit for Null {
    fn read(input: &mut Input<'_>) -> Result<Self, VisitError> {
        input.null().map(|()| Self)
    }

    fn write(&self, output: &mut Output) -> Result<(), VisitError> {
        output.null();
        Ok(())
    }
}

/// What a command without 'returns' returns: the empty object.
impl Visit for () {
    fn read(input: &mut Input<'_>) -> Result<Self, VisitError> {
        input.object().map(|_| ())
    }

    fn write(&self, output: &mut Output) -> Result<(), VisitError> {
        output.object().finish()
    }
}

impl Visit for String {
    fn read(input: &mut Input<'_>) -> Result<Self, VisitError> {
        input.string().map(str::to_owned)
    }

    fn write(&self, output: &mut Output) -> Result<(), VisitError> {
        output.string(self);
        Ok(())
    }
}

impl Visit for bool {
    fn read(input: &mut Input<'_>) -> Result<Self, VisitError> {
        input.boolean()
    }

    fn write(&self, output: &mut Output) -> Result<(), VisitError> {
        output.boolean(*self);
        Ok(())
    }
}

/// QAPI's 'number'.
impl Visit for f64 {
    fn read(input: &mut Input<'_>) -> Result<Self, VisitError> {
        input.number()
    }

    fn write(&self, output: &mut Output) -> Result<(), VisitError> {
        output.number(*self)
    }
}

/// QAPI's 'int' and 'int64'.
impl Visit for i64 {
    fn read(input: &mut Input<'_>) -> Result<Self, VisitError> {
        input.int64()
    }

    fn write(&self, output: &mut Output) -> Result<(), VisitError> {
        output.int(*self);
        Ok(())
    }
}

/// QAPI's 'uint64' and 'size'.
impl Visit for u64 {
    fn read(input: &mut Input<'_>) -> Result<Self, VisitError> {
        input.uint64()
    }

    fn write(&self, output: &mut Output) -> Result<(), VisitError> {
        output.uint(*self);
        Ok(())
    }
}

macro_rules! small_signed {
    ($($rust:ty => $name:literal),*) => {$(
        impl Visit for $rust {
            fn read(input: &mut Input<'_>) -> Result<Self, VisitError> {
                let value = input.small_int(Self::MIN.into(), Self::MAX.into(), $name)?;
                Self::try_from(value).map_err(|_| VisitError::new(VisitErrorKind::Range($name)))
            }

            fn write(&self, output: &mut Output) -> Result<(), VisitError> {
                output.int((*self).into());
                Ok(())
            }
        }
    )*};
}

macro_rules! small_unsigned {
    ($($rust:ty => $name:literal),*) => {$(
        impl Visit for $rust {
            fn read(input: &mut Input<'_>) -> Result<Self, VisitError> {
                let value = input.small_uint(Self::MAX.into(), $name)?;
                Self::try_from(value).map_err(|_| VisitError::new(VisitErrorKind::Range($name)))
            }

            fn write(&self, output: &mut Output) -> Result<(), VisitError> {
                output.uint((*self).into());
                Ok(())
            }
        }
    )*};
}

small_signed! { i8 => "int8_t", i16 => "int16_t", i32 => "int32_t" }
small_unsigned! { u8 => "uint8_t", u16 => "uint16_t", u32 => "uint32_t" }

/// QAPI's 'any'.
impl Visit for Value {
    fn read(input: &mut Input<'_>) -> Result<Self, VisitError> {
        Ok(input.value().to_value())
    }

    fn write(&self, output: &mut Output) -> Result<(), VisitError> {
        output.value(self);
        Ok(())
    }
}

/// Arguments that are taken as they come: commands with 'gen': false.
impl Members for Object {
    fn read_members(object: &mut ObjectInput<'_, '_>) -> Result<Self, VisitError> {
        Ok(object.take_all())
    }

    fn write_members(&self, object: &mut ObjectOutput<'_>) {
        for (key, value) in self {
            object.member(key, value);
        }
    }
}

/// Elements for which room is made before the first is read: an element can be far larger in
/// memory than on the wire.
const MAX_RESERVED: usize = 64;

impl<T: Visit> Visit for Vec<T> {
    fn read(input: &mut Input<'_>) -> Result<Self, VisitError> {
        let mut array = input.array()?;
        let mut items = Self::with_capacity(array.len().min(MAX_RESERVED));
        while let Some(mut element) = array.next_element() {
            items.push(T::read(&mut element).map_err(|error| array.locate(error))?);
        }
        Ok(items)
    }

    fn write(&self, output: &mut Output) -> Result<(), VisitError> {
        let mut array = output.array();
        for (index, item) in self.iter().enumerate() {
            array
                .element(item)
                .map_err(|error| error.in_element(index))?;
        }
        array.finish();
        Ok(())
    }
}

/// QAPI's 'QType': the kind of a JSON value.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum QType {
    /// `none`
    None,
    /// `qnull`
    Qnull,
    /// `qnum`
    Qnum,
    /// `qstring`
    Qstring,
    /// `qdict`
    Qdict,
    /// `qlist`
    Qlist,
    /// `qbool`
    Qbool,
    /// A name that this library does not know.
    Unknown(Box<str>),
}

impl Enumeration for QType {
    const NAME: &'static str = "QType";

    const ALL: &'static [Self] = &[
        Self::None,
        Self::Qnull,
        Self::Qnum,
        Self::Qstring,
        Self::Qdict,
        Self::Qlist,
        Self::Qbool,
    ];

    fn from_name(name: &str) -> Option<Self> {
        Self::ALL
            .iter()
            .find(|value| value.as_str() == name)
            .cloned()
    }

    fn as_str(&self) -> &str {
        match self {
            Self::None => "none",
            Self::Qnull => "qnull",
            Self::Qnum => "qnum",
            Self::Qstring => "qstring",
            Self::Qdict => "qdict",
            Self::Qlist => "qlist",
            Self::Qbool => "qbool",
            Self::Unknown(name) => name,
        }
    }

    fn unknown(name: Box<str>) -> Self {
        Self::Unknown(name)
    }

    fn is_unknown(&self) -> bool {
        matches!(self, Self::Unknown(_))
    }
}

impl Visit for QType {
    fn read(input: &mut Input<'_>) -> Result<Self, VisitError> {
        read_enum(input)
    }

    fn write(&self, output: &mut Output) -> Result<(), VisitError> {
        write_enum(self, output)
    }
}
