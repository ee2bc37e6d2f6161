//! The codes of all diagnostics, declared once.

use super::Level;

/// The explanation of a code: a page of the folder `explain`.
macro_rules! page {
    ($code:literal) => {
        include_str!(concat!("explain/", $code, ".md"))
    };
}

macro_rules! codes {
    ($($(#[$attr:meta])* $variant:ident = $code:literal,)*) => {
        /// The rule that a diagnostic is about; `qapi-gen explain CODE` tells more.
        ///
        /// `Q01` is syntax, `Q02` documentation comments, `Q03` directives, `Q04` the form of an
        /// expression, `Q05` the schema as a whole, `Q06` documentation against definition,
        /// `Q07` limits and files, `Q08` what an output cannot express. `D` is what a change of
        /// the schema does to the other side of the wire: `D01` commands and events, `D02`
        /// arguments, `D03` results and the data of events, `D04` features and conditions.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Code {
            $($(#[$attr])* $variant,)*
            /// A lint; its name is its code.
            Lint(Lint),
        }

        impl Code {
            /// Every code that is not a lint.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The code as it is printed.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $code,)*
                    Self::Lint(lint) => lint.as_str(),
                }
            }

            /// What the rule is and why, with an example, as Markdown.
            #[must_use]
            pub fn explanation(self) -> &'static str {
                match self {
                    $(Self::$variant => page!($code),)*
                    Self::Lint(lint) => lint.explanation(),
                }
            }
        }
    };
}

codes! {
    /// `stray 'X'`
    Stray = "Q0101",
    /// `missing terminating "'"`
    UnterminatedString = "Q0102",
    /// `unknown escape \X`
    UnknownEscape = "Q0103",
    /// `funny character in string`
    FunnyCharacter = "Q0104",
    /// `expected ...`
    UnexpectedToken = "Q0105",
    /// `duplicate key 'X'`
    DuplicateKey = "Q0106",
    /// `top-level expression must be an object`
    TopLevelNotObject = "Q0107",
    /// `junk after '##' at start of documentation comment`
    DocJunkAtStart = "Q0201",
    /// `junk after '##' at end of documentation comment`
    DocJunkAtEnd = "Q0202",
    /// `documentation comment must end with '##'`
    DocUnterminated = "Q0203",
    /// `missing space after #`
    DocMissingSpace = "Q0204",
    /// `line should end with ':'`
    DocSymbolWithoutColon = "Q0205",
    /// `name required after '@'`
    DocSymbolWithoutName = "Q0206",
    /// `duplicated 'Features:' line`
    DocDuplicateFeatures = "Q0207",
    /// `feature descriptions expected`
    DocFeaturesEmpty = "Q0208",
    /// `description of '@X:' follows a section`
    DocMemberAfterSection = "Q0209",
    /// `unexpected de-indent (expected at least N spaces)`
    DocDeindent = "Q0210",
    /// `'@X:' not allowed in free-form documentation`
    DocMemberInFreeForm = "Q0211",
    /// `The 'X' section is no longer supported. ...`
    DocRetiredSection = "Q0214",
    /// `invalid parameter name`
    DocMemberWithoutName = "Q0215",
    /// `'X' parameter name duplicated`
    DocDuplicateMember = "Q0216",
    /// `duplicated 'X' section`
    DocDuplicateSection = "Q0217",
    /// `text required after 'X:'`
    DocSectionEmpty = "Q0218",
    /// `documentation for 'X' is not followed by the definition`
    DocNotFollowed = "Q0219",
    /// `definition documentation required`
    DocNotForDefinition = "Q0220",
    /// `invalid 'include' directive`
    IncludeExtraKeys = "Q0301",
    /// `value of 'include' must be a string`
    IncludeNotString = "Q0302",
    /// `can't read include file 'X': ...`
    IncludeUnreadable = "Q0303",
    /// `inclusion loop for X`
    IncludeLoop = "Q0304",
    /// `invalid 'pragma' directive`
    PragmaExtraKeys = "Q0305",
    /// `value of 'pragma' must be an object`
    PragmaNotObject = "Q0306",
    /// `pragma 'doc-required' must be boolean`
    PragmaNotBool = "Q0307",
    /// `pragma X must be a list of strings`
    PragmaNotStrings = "Q0308",
    /// `unknown pragma 'X'`
    PragmaUnknown = "Q0309",
    /// `expression must have exactly one key ...`
    NoSingleMetaKey = "Q0401",
    /// `X requires a string name`
    NameNotString = "Q0402",
    /// `X has an invalid name`
    NameInvalid = "Q0403",
    /// `name of X must not use ...` or `must use CamelCase`
    NameStyle = "Q0404",
    /// `X name should not end in 'List'`
    NameReservedList = "Q0405",
    /// `X uses reserved name`
    NameReserved = "Q0406",
    /// `X misses key 'Y'`
    KeyMissing = "Q0407",
    /// `X has unknown key 'Y'`
    KeyUnknown = "Q0408",
    /// `X should be a type name`, `... or array`, `array type must contain single type name`
    TypeReferenceForm = "Q0409",
    /// `X should be an object or type name`, `X must be an object`, `X must be an array`
    ValueForm = "Q0410",
    /// `'data' must not be empty`
    AlternateEmpty = "Q0411",
    /// `'prefix' must be a string`
    PrefixNotString = "Q0412",
    /// `flag 'X' may only use true value`
    FlagValue = "Q0413",
    /// `flags 'allow-oob' and 'coroutine' are incompatible`
    FlagsIncompatible = "Q0414",
    /// `'boxed': true requires 'data'`
    BoxedWithoutData = "Q0415",
    /// `'if' condition of X must be a string or an object`
    ConditionForm = "Q0416",
    /// `'if' condition 'X' of Y is not a valid identifier`
    ConditionName = "Q0417",
    /// `'if' condition of X has conflicting keys`
    ConditionKeys = "Q0418",
    /// `'if' condition [] of X is useless`
    ConditionEmpty = "Q0419",
    /// `documentation comment required`
    DocMissing = "Q0420",
    /// `documentation comment is for 'X'`
    DocSymbolMismatch = "Q0421",
    /// `'X' section is only valid for commands`
    DocSectionNotCommand = "Q0422",
    /// `'Returns' section, but command doesn't return anything`
    DocReturnsNothing = "Q0423",
    /// `X is already defined`
    Redefinition = "Q0501",
    /// `X uses unknown type 'Y'`
    UnknownType = "Q0502",
    /// `X collides with Y`
    MemberCollision = "Q0503",
    /// `'base' requires a struct type, X isn't`
    BaseNotStruct = "Q0504",
    /// `object X contains itself`
    ContainsItself = "Q0505",
    /// `discriminator 'X' is not a member of Y`
    DiscriminatorUnknown = "Q0506",
    /// `discriminator member 'X' of Y must ...`
    DiscriminatorKind = "Q0507",
    /// `union has no branches`
    UnionEmpty = "Q0508",
    /// `branch 'X' is not a value of Y`
    BranchUnknown = "Q0509",
    /// `branch 'X' cannot use Y`
    BranchType = "Q0510",
    /// `branch 'X' can't be distinguished from 'Y'`
    AlternateAmbiguous = "Q0511",
    /// `command's 'data' cannot take X`
    ArgumentType = "Q0512",
    /// `command's 'data' can take X only with 'boxed': true`
    UnionNotBoxed = "Q0513",
    /// `conditional command arguments require 'boxed': true`
    ConditionalNotBoxed = "Q0514",
    /// `command's 'returns' cannot take X`
    ReturnType = "Q0515",
    /// `feature 'X' is not supported for types`
    FeatureOfType = "Q0516",
    /// `member 'X' lacks documentation`
    DocMemberMissing = "Q0601",
    /// `feature 'X' lacks documentation`
    DocFeatureMissing = "Q0602",
    /// `documented member 'X' does not exist`
    DocMemberUnknown = "Q0603",
    /// `documented feature 'X' does not exist`
    DocFeatureUnknown = "Q0604",
    /// `can't read schema file 'X': ...`
    SchemaUnreadable = "Q0701",
    /// `file is not UTF-8`
    NotUtf8 = "Q0702",
    /// `nesting is deeper than N levels`
    TooDeep = "Q0703",
    /// `line is longer than N bytes`
    LineTooLong = "Q0704",
    /// `sources are larger than N bytes`
    TooLarge = "Q0705",
    /// `include files are nested deeper than N levels`
    IncludeTooDeep = "Q0706",
    /// `bases are nested deeper than N levels`
    BasesTooDeep = "Q0707",
    /// `types have more than N members and branches that they do not list`
    TooMuchRepeated = "Q0708",
    /// `unions in branches take more than N comparisons of names`
    BranchesTooEntangled = "Q0709",
    /// `name is longer than N bytes`
    NameTooLong = "Q0710",
    /// `internal error: a name was neither resolved nor reported`
    Internal = "Q0711",
    /// `Maximum of N schema features is permitted`
    TooManyFeatures = "Q0712",
    /// `X: element N of the array ...`
    IntrospectionForm = "Q0713",
    /// `X and Y both become 'Z' in Rust`
    RustNameCollision = "Q0801",
    /// `option 'X' names 'Y', which the schema does not have`
    OptionNamesNothing = "Q0802",
    /// `X uses Y, which is not there under the same conditions`
    ConditionExcludes = "Q0803",
    /// `types repeat more than N bytes of Rust for members and branches that they do not list`
    RustTooMuchRepeated = "Q0804",
    /// `command 'X' was removed`
    CommandGone = "D0101",
    /// `event 'X' was removed`
    EventGone = "D0102",
    /// `command 'X' may no longer be executed out of band`
    OutOfBandGone = "D0103",
    /// `command 'X' answers success where it did not, or the other way round`
    ResponseChanged = "D0104",
    /// `argument 'X' of Y was removed`
    ArgumentGone = "D0201",
    /// `argument 'X' of Y is new and mandatory`
    ArgumentMandatory = "D0202",
    /// `argument 'X' of Y became mandatory`
    ArgumentBecameMandatory = "D0203",
    /// `value 'X' of argument 'Y' of Z was removed`
    ArgumentValueGone = "D0204",
    /// `argument 'X' of Y no longer takes Z`
    ArgumentKind = "D0205",
    /// `argument 'X' of Y now takes integers from N to M only`
    RangeNarrower = "D0206",
    /// `member 'X' of Y was removed`
    ResultGone = "D0301",
    /// `member 'X' of Y became optional`
    ResultBecameOptional = "D0302",
    /// `member 'X' of Y may now be Z`
    ResultKind = "D0303",
    /// `value 'X' of member 'Y' of Z is new`
    ResultValueNew = "D0304",
    /// `member 'X' of Y was removed, it was optional`
    OptionalResultGone = "D0305",
    /// `member 'X' of Y may now be any integer from N to M`
    RangeWider = "D0306",
    /// `value 'X' of member 'Y' of Z does not exist`
    ResultValueGone = "D0307",
    /// `X became deprecated`
    BecameDeprecated = "D0401",
    /// `X became unstable`
    BecameUnstable = "D0402",
    /// `X lost feature 'Y'`
    FeatureGone = "D0403",
    /// `X is now there only if Y`
    BecameConditional = "D0404",
}

impl Code {
    /// Whether the reference's message shows the first of a pair too.
    pub(super) fn shows_related(self) -> bool {
        self == Self::Redefinition
    }
}

macro_rules! lints {
    ($($(#[$attr:meta])* $variant:ident = $name:literal, $level:ident;)*) => {
        /// A rule of style, with a level that the user chooses.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Lint {
            $($(#[$attr])* $variant,)*
        }

        impl Lint {
            /// Every lint.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The lint's name.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }

            /// What the rule is and why, with an example, as Markdown.
            #[must_use]
            pub fn explanation(self) -> &'static str {
                match self {
                    $(Self::$variant => page!($name),)*
                }
            }

            /// The level where the user sets none.
            #[must_use]
            pub fn default_level(self) -> Level {
                match self {
                    $(Self::$variant => Level::$level,)*
                }
            }
        }
    };
}

lints! {
    /// `documentation line longer than 70 characters`
    DocLineLength = "doc-line-length", Deny;
    /// `Use two spaces between sentences`
    DocSentenceSpace = "doc-sentence-space", Deny;
    /// A type that no command and no event reaches.
    UnusedType = "unused-type", Allow;
    /// A documented definition without a `Since:` section.
    MissingSince = "missing-since", Allow;
    /// A name with underscores that an exception permits, or one that differs by case only.
    NameUnderscore = "name-underscore", Allow;
    /// A name with prefix `x-` that lacks the feature 'unstable'.
    UnstableWithoutFeature = "unstable-without-feature", Allow;
    /// A name on a pragma's list of exceptions that needs none.
    UnusedException = "unused-exception", Allow;
    /// A definition without a documentation comment.
    MissingDocumentation = "missing-documentation", Allow;
    /// A `TODO:` section.
    OpenTodo = "open-todo", Allow;
    /// A condition that the definition around it has already.
    RedundantCondition = "redundant-condition", Allow;
    /// Markup in documentation that is not well-formed.
    DocMarkup = "doc-markup", Allow;
    /// A name in documentation that nothing has.
    DocReference = "doc-reference", Allow;
    /// An example in documentation that does not fit the schema.
    DocExample = "doc-example", Allow;
}

impl Lint {
    /// Whether it looks at documentation comments.
    pub(crate) fn is_about_documentation(self) -> bool {
        match self {
            Self::DocLineLength
            | Self::DocSentenceSpace
            | Self::MissingSince
            | Self::MissingDocumentation
            | Self::OpenTodo
            | Self::DocMarkup
            | Self::DocReference
            | Self::DocExample => true,
            Self::UnusedType
            | Self::NameUnderscore
            | Self::UnstableWithoutFeature
            | Self::UnusedException
            | Self::RedundantCondition => false,
        }
    }
}

impl std::str::FromStr for Lint {
    type Err = UnknownLint;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .iter()
            .copied()
            .find(|lint| lint.as_str() == name)
            .ok_or_else(|| UnknownLint(name.to_owned()))
    }
}

impl std::str::FromStr for Code {
    type Err = UnknownCode;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let codes = Self::ALL.iter().copied();
        let lints = Lint::ALL.iter().copied().map(Self::Lint);
        codes
            .chain(lints)
            .find(|code| code.as_str().eq_ignore_ascii_case(name))
            .ok_or_else(|| UnknownCode(name.to_owned()))
    }
}

/// There is no code and no lint of this name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown code '{0}'")]
pub struct UnknownCode(pub String);

/// There is no lint of this name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown lint '{0}'")]
pub struct UnknownLint(pub String);
