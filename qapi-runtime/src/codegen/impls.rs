//! The macros with which generated types get the traits of other libraries.

use crate::visit::builtin::{Null, QType};

/// Implements `serde::Serialize` and `serde::Deserialize` for types that are
/// [`Visit`](crate::visit::Visit).
///
/// Reading is lenient: members that the type does not have are ignored. A member that an object has twice is an error.
#[doc(hidden)]
#[macro_export]
macro_rules! __impl_serde {
    ($($type:ty),* $(,)?) => {$(
        impl $crate::codegen::serde::Serialize for $type {
            fn serialize<S: $crate::codegen::serde::Serializer>(
                &self,
                serializer: S,
            ) -> ::core::result::Result<S::Ok, S::Error> {
                $crate::codegen::serialize(self, serializer)
            }
        }

        impl<'de> $crate::codegen::serde::Deserialize<'de> for $type {
            fn deserialize<D: $crate::codegen::serde::Deserializer<'de>>(
                deserializer: D,
            ) -> ::core::result::Result<Self, D::Error> {
                $crate::codegen::deserialize(deserializer)
            }
        }
    )*};
}

/// Implements `FromStr` and `Display` for enums that are
/// [`Enumeration`](crate::visit::Enumeration).
#[doc(hidden)]
#[macro_export]
macro_rules! __impl_enum {
    ($($type:ty),* $(,)?) => {$(
        impl ::core::str::FromStr for $type {
            type Err = $crate::codegen::UnknownName;

            fn from_str(name: &str) -> ::core::result::Result<Self, $crate::codegen::UnknownName> {
                $crate::codegen::parse_name(name)
            }
        }

        impl ::core::fmt::Display for $type {
            fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
                f.pad($crate::codegen::Enumeration::as_str(self))
            }
        }
    )*};
}

// The built-in types have what generated ones have.
crate::__impl_enum!(QType);
crate::__impl_serde!(Null, QType);
