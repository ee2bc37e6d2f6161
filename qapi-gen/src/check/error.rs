//! Mistakes in the form of an expression and in the schema as a whole.

use std::fmt;

use thiserror::Error;

use crate::diagnostic::Code;

/// What a message is about, in the reference's words.
#[derive(Debug, Clone, Copy)]
pub(super) enum Source<'a> {
    /// The definition: `struct`, `command`.
    Meta(&'static str),
    /// The value of a key: `'data'`.
    Key(&'static str),
    /// A member of the value of a key: `'data' member 'x'`, or `'data' member` while it has no name.
    Member(&'static str, Option<&'a str>),
}

impl fmt::Display for Source<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Meta(meta) => f.write_str(meta),
            Self::Key(key) => write!(f, "'{key}'"),
            Self::Member(key, None) => write!(f, "'{key}' member"),
            Self::Member(key, Some(name)) => write!(f, "'{key}' member '{name}'"),
        }
    }
}

/// Quoted names, sorted and separated by commas, as the reference lists keys.
pub(super) struct Keys<'a>(pub(super) Vec<&'a str>);

impl fmt::Display for Keys<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut keys = self.0.clone();
        keys.sort_unstable();
        for (n, key) in keys.iter().enumerate() {
            let comma = if n > 0 { ", " } else { "" };
            write!(f, "{comma}'{key}'")?;
        }
        Ok(())
    }
}

fn plural(n: usize) -> &'static str {
    if n == 1 { "" } else { "s" }
}

/// A mistake in the form of one expression.
#[derive(Debug, Error)]
pub(super) enum ExprError {
    #[error(
        "expression must have exactly one key 'enum', 'struct', 'union', 'alternate', \
         'command', 'event'"
    )]
    NoSingleMetaKey,
    #[error("{0} requires a string name")]
    NameNotString(String),
    #[error("{0} has an invalid name")]
    NameInvalid(String),
    #[error("name of {0} must not use lowercase or '-'")]
    NameNotUpper(String),
    #[error("name of {0} must not use uppercase or '_'")]
    NameNotLower(String),
    #[error("name of {0} must use CamelCase")]
    NameNotCamel(String),
    #[error("{0} name should not end in 'List'")]
    NameReservedList(&'static str),
    #[error("{0} uses reserved name")]
    NameReserved(String),
    #[error("{owner} misses key{} {keys}", plural(*.n))]
    KeyMissing {
        owner: String,
        n: usize,
        keys: String,
    },
    #[error("{owner} has unknown key{} {keys}", plural(*.n))]
    KeyUnknown {
        owner: String,
        n: usize,
        keys: String,
    },
    #[error("{0} should be a type name")]
    NotTypeName(String),
    #[error("{0} should be a type name or array")]
    NotTypeNameOrArray(String),
    #[error("{0}: array type must contain single type name")]
    ArrayTypeForm(String),
    #[error("{0} should be an object or type name")]
    NotMembersOrTypeName(String),
    #[error("{0} must be an object")]
    NotObject(String),
    #[error("{0} must be an array")]
    NotArray(String),
    #[error("'data' must not be empty")]
    AlternateEmpty,
    #[error("'prefix' must be a string")]
    PrefixNotString,
    #[error("flag '{0}' may only use {1} value")]
    FlagValue(&'static str, bool),
    #[error("flags 'allow-oob' and 'coroutine' are incompatible")]
    FlagsIncompatible,
    #[error("'boxed': true requires 'data'")]
    BoxedWithoutData,
    #[error("'if' condition of {0} must be a string or an object")]
    ConditionForm(String),
    #[error("'if' condition '{1}' of {0} is not a valid identifier")]
    ConditionName(String, String),
    #[error("'if' condition of {0} has conflicting keys")]
    ConditionKeys(String),
    #[error("'{1}' condition of {0} must be an array")]
    ConditionNotArray(String, &'static str),
    #[error("'if' condition [] of {0} is useless")]
    ConditionEmpty(String),
    #[error("name is longer than {0} bytes")]
    NameTooLong(usize),
    #[error("documentation comment required")]
    DocMissing,
    #[error("documentation comment is for '{0}'")]
    DocSymbolMismatch(String),
    #[error("'{0}' section is only valid for commands")]
    DocSectionNotCommand(&'static str),
    #[error("'Returns' section, but command doesn't return anything")]
    DocReturnsNothing,
}

impl ExprError {
    pub(super) fn code(&self) -> Code {
        match self {
            Self::NoSingleMetaKey => Code::NoSingleMetaKey,
            Self::NameNotString(_) => Code::NameNotString,
            Self::NameInvalid(_) => Code::NameInvalid,
            Self::NameNotUpper(_) | Self::NameNotLower(_) | Self::NameNotCamel(_) => {
                Code::NameStyle
            }
            Self::NameReservedList(_) => Code::NameReservedList,
            Self::NameReserved(_) => Code::NameReserved,
            Self::KeyMissing { .. } => Code::KeyMissing,
            Self::KeyUnknown { .. } => Code::KeyUnknown,
            Self::NotTypeName(_) | Self::NotTypeNameOrArray(_) | Self::ArrayTypeForm(_) => {
                Code::TypeReferenceForm
            }
            Self::NotMembersOrTypeName(_) | Self::NotObject(_) | Self::NotArray(_) => {
                Code::ValueForm
            }
            Self::AlternateEmpty => Code::AlternateEmpty,
            Self::PrefixNotString => Code::PrefixNotString,
            Self::FlagValue(..) => Code::FlagValue,
            Self::FlagsIncompatible => Code::FlagsIncompatible,
            Self::BoxedWithoutData => Code::BoxedWithoutData,
            Self::ConditionForm(_) | Self::ConditionNotArray(..) => Code::ConditionForm,
            Self::ConditionName(..) => Code::ConditionName,
            Self::ConditionKeys(_) => Code::ConditionKeys,
            Self::ConditionEmpty(_) => Code::ConditionEmpty,
            Self::NameTooLong(_) => Code::NameTooLong,
            Self::DocMissing => Code::DocMissing,
            Self::DocSymbolMismatch(_) => Code::DocSymbolMismatch,
            Self::DocSectionNotCommand(_) => Code::DocSectionNotCommand,
            Self::DocReturnsNothing => Code::DocReturnsNothing,
        }
    }
}

/// A mistake that shows only when definitions are seen together.
#[derive(Debug, Error)]
pub(super) enum SchemaError {
    #[error("'{0}' is already defined")]
    Redefinition(String),
    #[error("{0} is already defined")]
    RedefinitionOfBuiltin(String),
    #[error("{what} uses unknown type '{name}'")]
    UnknownType { what: String, name: String },
    #[error("{0} collides with {1}")]
    Collision(String, String),
    #[error("'base' requires a struct type, {0} isn't")]
    BaseNotStruct(String),
    #[error("bases are nested deeper than {0} levels")]
    BasesTooDeep(usize),
    #[error("types have more than {0} members and branches that they do not list")]
    TooMuchRepeated(usize),
    #[error("unions in branches take more than {0} comparisons of names")]
    BranchesTooEntangled(usize),
    #[error("object {0} contains itself")]
    ContainsItself(String),
    #[error("discriminator '{0}' is not a member of 'base'")]
    DiscriminatorUnknown(String),
    #[error("discriminator member '{name}' of {base} must be of enum type")]
    DiscriminatorNotEnum { name: String, base: String },
    #[error("discriminator member '{name}' of {base} must not be optional")]
    DiscriminatorOptional { name: String, base: String },
    #[error("discriminator member '{name}' of {base} must not be conditional")]
    DiscriminatorConditional { name: String, base: String },
    #[error("union has no branches")]
    UnionEmpty,
    #[error("branch '{0}' is not a value of {1}")]
    BranchUnknown(String, String),
    #[error("branch '{0}' cannot use {1}")]
    BranchType(String, String),
    #[error("branch '{0}' can't be distinguished from '{1}'")]
    AlternateAmbiguous(String, String),
    #[error("{0}'s 'data' cannot take {1}")]
    ArgumentType(&'static str, String),
    #[error("{0}'s 'data' can take {1} only with 'boxed': true")]
    UnionNotBoxed(&'static str, String),
    #[error("conditional {0} arguments require 'boxed': true")]
    ConditionalNotBoxed(&'static str),
    #[error("command's 'returns' cannot take {0}")]
    ReturnType(String),
    #[error("feature '{0}' is not supported for types")]
    FeatureOfType(String),
    #[error("Maximum of {0} schema features is permitted")]
    TooManyFeatures(usize),
    #[error("{0} lacks documentation")]
    DocMemberMissing(String),
    #[error("feature '{0}' lacks documentation")]
    DocFeatureMissing(String),
    #[error("documented member{} {} not exist", plural(.0.len()), do_not(.0))]
    DocMembersUnknown(Vec<String>),
    #[error("documented feature{} {} not exist", plural(.0.len()), do_not(.0))]
    DocFeaturesUnknown(Vec<String>),
}

fn do_not(names: &[String]) -> String {
    let verb = if names.len() == 1 { "does" } else { "do" };
    format!("'{}' {verb}", names.join("', '"))
}

impl SchemaError {
    pub(super) fn code(&self) -> Code {
        match self {
            Self::Redefinition(_) | Self::RedefinitionOfBuiltin(_) => Code::Redefinition,
            Self::UnknownType { .. } => Code::UnknownType,
            Self::Collision(..) => Code::MemberCollision,
            Self::BaseNotStruct(_) => Code::BaseNotStruct,
            Self::BasesTooDeep(_) => Code::BasesTooDeep,
            Self::TooMuchRepeated(_) => Code::TooMuchRepeated,
            Self::BranchesTooEntangled(_) => Code::BranchesTooEntangled,
            Self::ContainsItself(_) => Code::ContainsItself,
            Self::DiscriminatorUnknown(_) => Code::DiscriminatorUnknown,
            Self::DiscriminatorNotEnum { .. }
            | Self::DiscriminatorOptional { .. }
            | Self::DiscriminatorConditional { .. } => Code::DiscriminatorKind,
            Self::UnionEmpty => Code::UnionEmpty,
            Self::BranchUnknown(..) => Code::BranchUnknown,
            Self::BranchType(..) => Code::BranchType,
            Self::AlternateAmbiguous(..) => Code::AlternateAmbiguous,
            Self::ArgumentType(..) => Code::ArgumentType,
            Self::UnionNotBoxed(..) => Code::UnionNotBoxed,
            Self::ConditionalNotBoxed(_) => Code::ConditionalNotBoxed,
            Self::ReturnType(_) => Code::ReturnType,
            Self::FeatureOfType(_) => Code::FeatureOfType,
            Self::TooManyFeatures(_) => Code::TooManyFeatures,
            Self::DocMemberMissing(_) => Code::DocMemberMissing,
            Self::DocFeatureMissing(_) => Code::DocFeatureMissing,
            Self::DocMembersUnknown(_) => Code::DocMemberUnknown,
            Self::DocFeaturesUnknown(_) => Code::DocFeatureUnknown,
        }
    }
}
