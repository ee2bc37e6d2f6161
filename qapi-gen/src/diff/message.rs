//! Where in the interface a change is, and what is said about it.

use super::Perspective;
use super::way::Start;
use crate::diagnostic::Code;

/// The direction of a value, as the client sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Flow {
    /// Arguments.
    Send,
    /// Results and the data of events.
    Receive,
}

impl Flow {
    /// The one of sender and receiver that is the client's.
    pub(super) fn of_client<T>(self, from: T, to: T) -> T {
        match self {
            Self::Send => from,
            Self::Receive => to,
        }
    }
}

/// What a change is about, seen from the path to it.
#[derive(Debug, Clone)]
pub(super) enum Subject {
    /// The command or event itself.
    Whole,
    Member(String),
    Value(String),
    /// The type of what the path leads to.
    Type,
    /// What is sent, and what is taken.
    Kind(&'static str, String),
    Range(i128, i128),
    Feature(Box<Subject>, String),
    Condition(Box<Subject>, String),
}

/// The way from a command or event to a value.
#[derive(Debug)]
pub(super) struct Path {
    owner: String,
    start: Start,
    /// How many steps there are before `parts`.
    n_left_out: usize,
    parts: Vec<String>,
    /// Tags on the way and their values.
    cases: Vec<(String, String)>,
}

impl Path {
    pub(super) fn new(owner: String, start: Start, n_left_out: usize) -> Self {
        Self {
            owner,
            start,
            n_left_out,
            parts: Vec::new(),
            cases: Vec::new(),
        }
    }

    pub(super) fn enter(&mut self, part: &str) {
        self.parts.push(part.to_owned());
    }

    pub(super) fn enter_case(&mut self, tag: &str, case: &str) {
        self.cases.push((self.within(tag), case.to_owned()));
    }

    /// `member` below what the path leads to, as `a.b[].member`.
    fn within(&self, member: &str) -> String {
        let mut text = match self.n_left_out {
            0 => String::new(),
            n_left_out => format!("({n_left_out} steps)"),
        };
        let parts = self.parts.iter().map(String::as_str);
        for part in parts.chain([member]).filter(|part| !part.is_empty()) {
            if !text.is_empty() && part != "[]" {
                text.push('.');
            }
            text.push_str(part);
        }
        text
    }

    /// `argument 'a.b' of command 'c'`, or what else `member` is.
    fn describe(&self, member: &str) -> String {
        let (owner, name) = (&self.owner, self.within(member));
        let (kind, of, whole) = match self.start {
            Start::Arguments => ("argument", "", "the arguments of "),
            Start::Result => ("member", "the result of ", "the result of "),
            Start::Data => ("member", "", ""),
        };
        let conditions = self.conditions();
        if name.is_empty() {
            format!("{whole}{owner}{conditions}")
        } else {
            format!("{kind} '{name}' of {of}{owner}{conditions}")
        }
    }

    fn conditions(&self) -> String {
        let case = |(tag, value): &(String, String)| format!(" with {tag} '{value}'");
        self.cases.iter().map(case).collect()
    }

    fn name(&self, subject: &Subject) -> String {
        match subject {
            Subject::Whole => self.owner.clone(),
            Subject::Member(name) => self.describe(name),
            Subject::Value(value) => format!("value '{value}' of {}", self.describe("")),
            Subject::Type | Subject::Kind(..) | Subject::Range(..) => self.describe(""),
            Subject::Feature(subject, _) | Subject::Condition(subject, _) => self.name(subject),
        }
    }
}

/// The text of a change, which stands alone in one line.
pub(super) fn message(
    code: Code,
    subject: &Subject,
    path: &Path,
    perspective: Perspective,
) -> String {
    let name = path.name(subject);
    // The same difference, seen from the side that has more; and what it is beside a program.
    let is_for_program = perspective == Perspective::Program;
    let of = |clients: &str, servers: &str, program: &str| {
        let text = match perspective {
            Perspective::Clients => clients,
            Perspective::Servers => servers,
            Perspective::Program => program,
        };
        format!("{name} {text}")
    };
    match (code, subject) {
        (Code::CommandGone | Code::EventGone | Code::ArgumentGone | Code::ArgumentValueGone, _) => {
            of("was removed", "is new", "does not exist")
        }
        (Code::OutOfBandGone, _) => of(
            "may no longer be executed out of band",
            "may now be executed out of band",
            "may not be executed out of band",
        ),
        (Code::ResponseChanged, _) => of(
            "answers success where it did not, or the other way round",
            "answers success where it did not, or the other way round",
            "does not answer success",
        ),
        (Code::ArgumentMandatory, _) => of(
            "is new and mandatory",
            "was mandatory and is gone",
            "is mandatory, and was not sent",
        ),
        (Code::ArgumentBecameMandatory, _) => of(
            "became mandatory",
            "became optional",
            "is mandatory, and was not always sent",
        ),
        (Code::ArgumentKind, Subject::Kind(sent, taken)) => match perspective {
            Perspective::Clients => format!("{name} no longer takes {sent}, only {taken}"),
            Perspective::Servers => format!("{name} now takes {sent}, not only {taken}"),
            Perspective::Program => format!("{name} does not take {sent}, only {taken}"),
        },
        (Code::RangeNarrower, Subject::Range(least, most)) => match perspective {
            Perspective::Clients => {
                format!("{name} now takes integers from {least} to {most} only")
            }
            Perspective::Servers => format!("{name} took integers from {least} to {most} only"),
            Perspective::Program => format!("{name} takes integers from {least} to {most} only"),
        },
        (Code::ResultGone, _) => of("was removed", "is new", "does not exist"),
        (Code::ResultBecameOptional, _) => {
            of("became optional", "became mandatory", "may be absent")
        }
        (Code::ResultKind, Subject::Kind(sent, taken)) => match perspective {
            Perspective::Clients => format!("{name} may now be {sent}, was {taken}"),
            Perspective::Servers => format!("{name} is now {taken}, may have been {sent}"),
            Perspective::Program => format!("{name} may be {sent}, was {taken}"),
        },
        (Code::ResultValueNew, _) => of("is new", "was removed", "may come"),
        (Code::ResultValueGone, _) => of("was removed", "is new", "does not exist"),
        (Code::OptionalResultGone, _) => of(
            "was removed, it was optional",
            "is new and optional",
            "does not exist, it was optional",
        ),
        (Code::RangeWider, Subject::Range(least, most)) => {
            let now = if is_for_program { "" } else { "now " };
            format!("{name} may {now}be any integer from {least} to {most}")
        }
        (Code::BecameDeprecated, _) => of(
            "became deprecated",
            "is no longer deprecated",
            "is deprecated",
        ),
        (Code::BecameUnstable, _) => of("became unstable", "became stable", "is unstable"),
        (Code::FeatureGone, Subject::Feature(_, feature)) => {
            let verb = if is_for_program {
                "does not have"
            } else {
                "lost"
            };
            format!("{name} {verb} feature '{feature}'")
        }
        (Code::BecameConditional, Subject::Condition(_, condition)) => {
            let now = if is_for_program { "" } else { "now " };
            format!("{name} is {now}there only if {condition}")
        }
        // A code comes with the subject that its arm above names.
        _ => of("changed", "changed", "differs"),
    }
}
