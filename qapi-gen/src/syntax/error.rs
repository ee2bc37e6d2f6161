//! Mistakes of syntax.

use thiserror::Error;

use crate::diagnostic::Code;

/// A mistake in the tokens, the structure or a documentation comment of a file.
#[derive(Debug, Error)]
pub(super) enum SyntaxError {
    #[error("stray '{0}'")]
    Stray(String),
    #[error("missing terminating \"'\"")]
    UnterminatedString,
    #[error("unknown escape \\{0}")]
    UnknownEscape(char),
    #[error("funny character in string")]
    FunnyCharacter,
    #[error("expected {0}")]
    Expected(&'static str),
    #[error("duplicate key '{0}'")]
    DuplicateKey(String),
    #[error("top-level expression must be an object")]
    TopLevelNotObject,
    #[error("nesting is deeper than {0} levels")]
    TooDeep(usize),
    #[error("line is longer than {0} bytes")]
    LineTooLong(usize),

    #[error("junk after '##' at start of documentation comment")]
    DocJunkAtStart,
    #[error("junk after '##' at end of documentation comment")]
    DocJunkAtEnd,
    #[error("documentation comment must end with '##'")]
    DocUnterminated,
    #[error("missing space after #")]
    DocMissingSpace,
    #[error("line should end with ':'")]
    DocSymbolWithoutColon,
    #[error("name required after '@'")]
    DocSymbolWithoutName,
    #[error("duplicated 'Features:' line")]
    DocDuplicateFeatures,
    #[error("feature descriptions expected")]
    DocFeaturesEmpty,
    #[error("description of '@{0}:' follows a section")]
    DocMemberAfterSection(String),
    #[error("unexpected de-indent (expected at least {0} spaces)")]
    DocDeindent(usize),
    #[error("'@{0}:' not allowed in free-form documentation")]
    DocMemberInFreeForm(String),
    #[error(
        "The '{0}' section is no longer supported. Please use rST's '.. note::' or \
         '.. admonition:: notes' directives, or another suitable admonition instead."
    )]
    DocRetiredNote(String),
    #[error(
        "The '{0}' section is no longer supported. Please use the '.. qmp-example::' directive, \
         or other suitable markup instead."
    )]
    DocRetiredExample(String),
    #[error("invalid parameter name")]
    DocMemberWithoutName,
    #[error("'{0}' parameter name duplicated")]
    DocDuplicateMember(String),
    #[error("duplicated '{0}' section")]
    DocDuplicateSection(String),
    #[error("text required after '{0}:'")]
    DocSectionEmpty(&'static str),
    #[error("documentation for '{0}' is not followed by the definition")]
    DocNotFollowed(String),
    #[error("definition documentation required")]
    DocNotForDefinition,

    #[error("invalid 'include' directive")]
    IncludeExtraKeys,
    #[error("value of 'include' must be a string")]
    IncludeNotString,
    #[error("can't read include file '{path}': {reason}")]
    IncludeUnreadable { path: String, reason: String },
    #[error("inclusion loop for {0}")]
    IncludeLoop(String),
    #[error("include files are nested deeper than {0} levels")]
    IncludeTooDeep(usize),
    #[error("invalid 'pragma' directive")]
    PragmaExtraKeys,
    #[error("value of 'pragma' must be an object")]
    PragmaNotObject,
    #[error("pragma '{0}' must be boolean")]
    PragmaNotBool(&'static str),
    #[error("pragma {0} must be a list of strings")]
    PragmaNotStrings(String),
    #[error("unknown pragma '{0}'")]
    PragmaUnknown(String),

    #[error("can't read schema file '{path}': {reason}")]
    SchemaUnreadable { path: String, reason: String },
    #[error("file is not UTF-8")]
    NotUtf8,
    #[error("sources are larger than {0} bytes")]
    TooLarge(u64),
}

impl SyntaxError {
    pub(super) fn code(&self) -> Code {
        match self {
            Self::Stray(_) => Code::Stray,
            Self::UnterminatedString => Code::UnterminatedString,
            Self::UnknownEscape(_) => Code::UnknownEscape,
            Self::FunnyCharacter => Code::FunnyCharacter,
            Self::Expected(_) => Code::UnexpectedToken,
            Self::DuplicateKey(_) => Code::DuplicateKey,
            Self::TopLevelNotObject => Code::TopLevelNotObject,
            Self::TooDeep(_) => Code::TooDeep,
            Self::LineTooLong(_) => Code::LineTooLong,
            Self::DocJunkAtStart => Code::DocJunkAtStart,
            Self::DocJunkAtEnd => Code::DocJunkAtEnd,
            Self::DocUnterminated => Code::DocUnterminated,
            Self::DocMissingSpace => Code::DocMissingSpace,
            Self::DocSymbolWithoutColon => Code::DocSymbolWithoutColon,
            Self::DocSymbolWithoutName => Code::DocSymbolWithoutName,
            Self::DocDuplicateFeatures => Code::DocDuplicateFeatures,
            Self::DocFeaturesEmpty => Code::DocFeaturesEmpty,
            Self::DocMemberAfterSection(_) => Code::DocMemberAfterSection,
            Self::DocDeindent(_) => Code::DocDeindent,
            Self::DocMemberInFreeForm(_) => Code::DocMemberInFreeForm,
            Self::DocRetiredNote(_) | Self::DocRetiredExample(_) => Code::DocRetiredSection,
            Self::DocMemberWithoutName => Code::DocMemberWithoutName,
            Self::DocDuplicateMember(_) => Code::DocDuplicateMember,
            Self::DocDuplicateSection(_) => Code::DocDuplicateSection,
            Self::DocSectionEmpty(_) => Code::DocSectionEmpty,
            Self::DocNotFollowed(_) => Code::DocNotFollowed,
            Self::DocNotForDefinition => Code::DocNotForDefinition,
            Self::IncludeExtraKeys => Code::IncludeExtraKeys,
            Self::IncludeNotString => Code::IncludeNotString,
            Self::IncludeUnreadable { .. } => Code::IncludeUnreadable,
            Self::IncludeLoop(_) => Code::IncludeLoop,
            Self::IncludeTooDeep(_) => Code::IncludeTooDeep,
            Self::PragmaExtraKeys => Code::PragmaExtraKeys,
            Self::PragmaNotObject => Code::PragmaNotObject,
            Self::PragmaNotBool(_) => Code::PragmaNotBool,
            Self::PragmaNotStrings(_) => Code::PragmaNotStrings,
            Self::PragmaUnknown(_) => Code::PragmaUnknown,
            Self::SchemaUnreadable { .. } => Code::SchemaUnreadable,
            Self::NotUtf8 => Code::NotUtf8,
            Self::TooLarge(_) => Code::TooLarge,
        }
    }
}
