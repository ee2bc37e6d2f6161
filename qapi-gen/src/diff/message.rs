//! Where in the interface a change is, and what is said about it.

use super::Perspective;
use super::way::Start;
use crate::diagnostic::Code;

/// The direction of a value, as the client sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Flow {
    /// Arguments.
    Send,
    /// Results and the data of events.
    Receive,
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
    // The same difference, seen from the side that has more.
    let is_for_clients = perspective == Perspective::Clients;
    let of = |clients: &str, servers: &str| {
        format!("{name} {}", if is_for_clients { clients } else { servers })
    };
    match (code, subject) {
        (Code::CommandGone | Code::EventGone | Code::ArgumentGone | Code::ArgumentValueGone, _) => {
            of("was removed", "is new")
        }
        (Code::OutOfBandGone, _) => of(
            "may no longer be executed out of band",
            "may now be executed out of band",
        ),
        (Code::ResponseChanged, _) => of(
            "answers success where it did not, or the other way round",
            "answers success where it did not, or the other way round",
        ),
        (Code::ArgumentMandatory, _) => of("is new and mandatory", "was mandatory and is gone"),
        (Code::ArgumentBecameMandatory, _) => of("became mandatory", "became optional"),
        (Code::ArgumentKind, Subject::Kind(sent, taken)) => {
            if is_for_clients {
                format!("{name} no longer takes {sent}, only {taken}")
            } else {
                format!("{name} now takes {sent}, not only {taken}")
            }
        }
        (Code::RangeNarrower, Subject::Range(least, most)) if is_for_clients => {
            format!("{name} now takes integers from {least} to {most} only")
        }
        (Code::RangeNarrower, Subject::Range(least, most)) => {
            format!("{name} took integers from {least} to {most} only")
        }
        (Code::ResultGone, _) => of("was removed", "is new"),
        (Code::ResultBecameOptional, _) => of("became optional", "became mandatory"),
        (Code::ResultKind, Subject::Kind(sent, taken)) => {
            if is_for_clients {
                format!("{name} may now be {sent}, was {taken}")
            } else {
                format!("{name} is now {taken}, may have been {sent}")
            }
        }
        (Code::ResultValueNew, _) => of("is new", "was removed"),
        (Code::OptionalResultGone, _) => of("was removed, it was optional", "is new and optional"),
        (Code::RangeWider, Subject::Range(least, most)) => {
            format!("{name} may now be any integer from {least} to {most}")
        }
        (Code::BecameDeprecated, _) => of("became deprecated", "is no longer deprecated"),
        (Code::BecameUnstable, _) => of("became unstable", "became stable"),
        (Code::FeatureGone, Subject::Feature(_, feature)) => {
            format!("{name} lost feature '{feature}'")
        }
        (Code::BecameConditional, Subject::Condition(_, condition)) => {
            format!("{name} is now there only if {condition}")
        }
        // A code comes with the subject that its arm above names.
        _ => of("changed", "changed"),
    }
}
