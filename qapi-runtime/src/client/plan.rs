//! Several commands as one: each with what undoes it.

use std::fmt;
use std::time::Duration;

use super::error::{ClientError, ClientErrorKind};
use super::front::{Front, Patience, exchange};
use super::late::{LateReply, Outcome};
use super::listener::Listener;
use super::options::CallOptions;
use super::reason::Reason;
use super::request::{Draft, Exchanged};
use super::undo::Undo;
use crate::json::ValueRef;
use crate::value::Value;
use crate::visit::Visit;

/// How long each step of the way back may take, unless it is said otherwise: guests take seconds to release a device.
const PATIENCE: Duration = Duration::from_secs(10);

/// A step of a plan has failed, or the way back.
///
/// `Display` is one line, with all that could not be undone.
#[derive(Debug)]
pub struct PlanError {
    cause: Option<ClientError>,
    left: Vec<Left>,
}

/// What could not be undone.
#[derive(Debug)]
struct Left {
    name: String,
    why: String,
}

/// What was done, and how it is undone.
struct Step {
    undo: Undo,
    state: State,
}

enum State {
    /// It was done.
    Done,
    /// It may have been done.
    Unsure(Option<LateReply>),
    /// Asked for, and not seen to happen by this listener.
    Asked(Listener),
}

/// What is undone when a step fails.
pub(super) struct Steps<F> {
    front: F,
    patience: Duration,
    steps: Vec<Step>,
}

/// What became of one step of the way back.
enum Back {
    Undone,
    Left(String),
    /// The server says nothing, or is not there: there is no use in asking on.
    Over(String),
}

impl<F: Front> Steps<F> {
    pub(super) fn new(front: &F) -> Self {
        Self {
            front: front.clone(),
            patience: PATIENCE,
            steps: Vec::new(),
        }
    }

    pub(super) fn set_patience(&mut self, patience: Duration) {
        self.patience = patience;
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.steps.iter().map(|step| step.undo.name.as_str())
    }

    /// Adds what undoes something that the caller has done.
    pub(super) fn push(&mut self, command: &str, arguments: Option<&Value>) {
        self.steps.push(Step {
            undo: Undo::by(command, arguments),
            state: State::Done,
        });
    }

    pub(super) async fn execute<T: Visit>(
        &mut self,
        draft: Result<Draft, ClientError>,
        options: CallOptions,
    ) -> Result<T, PlanError> {
        let known = draft.and_then(|draft| Ok((Undo::of(&draft)?, draft)));
        let done = match known {
            Ok((undo, draft)) => self.attempt(draft, options, undo).await,
            Err(error) => Err(error),
        };
        match done.and_then(Exchanged::decode) {
            Ok(value) => Ok(value),
            Err(error) => Err(self.failed(error).await),
        }
    }

    /// Whether it was to be done: false if it is there already.
    pub(super) async fn ensure(
        &mut self,
        draft: Result<Draft, ClientError>,
        options: CallOptions,
    ) -> Result<bool, PlanError> {
        let known = draft.and_then(|draft| Ok((Undo::of(&draft)?, draft)));
        let done = match known {
            Ok((undo, draft)) => {
                match is_there(&self.front, &undo, &draft, options.timeout).await {
                    Ok(true) => return Ok(false),
                    Ok(false) => self.attempt(draft, options, undo).await,
                    Err(error) => Err(error),
                }
            }
            Err(error) => Err(error),
        };
        match done {
            Ok(_) => Ok(true),
            // Somebody else was faster.
            Err(error) if error.reason() == Some(Reason::AlreadyThere) => Ok(false),
            Err(error) => Err(self.failed(error).await),
        }
    }

    /// Executes a command, and keeps what undoes it, also where it may have been executed.
    async fn attempt(
        &mut self,
        draft: Draft,
        options: CallOptions,
        undo: Undo,
    ) -> Result<Exchanged, ClientError> {
        let error = match exchange(&self.front, draft, options).await {
            Ok(exchanged) => {
                let undo = undo.after(&exchanged.value());
                self.steps.push(Step {
                    undo,
                    state: State::Done,
                });
                return Ok(exchanged);
            }
            Err(error) => error,
        };
        // What is late may still come, and decides.
        let outcome = match error.late_reply() {
            Some(late) => self.front.settled(late, self.patience).await,
            None => error.outcome(),
        };
        match outcome {
            Outcome::NotSent | Outcome::Refused(_) => {}
            Outcome::Done(value) => self.steps.push(Step {
                undo: undo.after(&value),
                state: State::Done,
            }),
            Outcome::ConnectionLost | Outcome::Unknown => self.steps.push(Step {
                undo,
                state: State::Unsure(error.late_reply().cloned()),
            }),
        }
        Err(error)
    }

    /// Goes back for this reason.
    async fn failed(&mut self, cause: ClientError) -> PlanError {
        let left = self.go_back().await;
        let cause = Some(cause);
        PlanError { cause, left }
    }

    /// Undoes everything, the last first.
    pub(super) async fn undo(&mut self) -> Result<(), PlanError> {
        let left = self.go_back().await;
        match left.is_empty() {
            true => Ok(()),
            false => Err(PlanError { cause: None, left }),
        }
    }

    /// Undoes what it can; what is left stays for another attempt.
    async fn go_back(&mut self) -> Vec<Left> {
        let mut left = Vec::new();
        let mut kept = Vec::new();
        let mut is_over = None;
        while let Some(mut step) = self.steps.pop() {
            let back = match &is_over {
                Some(why) => Back::Left(format!("not tried: {why}")),
                None => self.undo_step(&mut step).await,
            };
            let why = match back {
                Back::Undone => continue,
                Back::Left(why) => why,
                Back::Over(why) => {
                    is_over = Some(why.clone());
                    why
                }
            };
            let name = step.undo.name.clone();
            left.push(Left { name, why });
            kept.push(step);
        }
        kept.reverse();
        self.steps = kept;
        left
    }

    async fn undo_step(&self, step: &mut Step) -> Back {
        if let State::Unsure(late) = &step.state {
            match late.as_ref().map(LateReply::outcome) {
                None | Some(Outcome::ConnectionLost) => {
                    let why = "the connection was lost before it was answered";
                    return Back::Left(why.to_owned());
                }
                Some(Outcome::Unknown) => {
                    return Back::Over("it is not known whether it was done".to_owned());
                }
                Some(Outcome::NotSent | Outcome::Refused(_)) => return Back::Undone,
                Some(Outcome::Done(value)) => {
                    step.undo.learn(&value);
                    step.state = State::Done;
                }
            }
        }
        let before = match std::mem::replace(&mut step.state, State::Done) {
            State::Asked(listener) if !listener.is_over() => Some(listener),
            State::Asked(_) | State::Done | State::Unsure(_) => None,
        };
        let was_asked = before.is_some();
        let news = before
            .iter()
            .flat_map(|it| std::iter::from_fn(|| it.try_next()));
        let mut names = news.map(|event| step.undo.is_done_by(event.name()));
        if names.any(|is_done| is_done) {
            return Back::Undone;
        }
        let patience = Patience::new(Some(self.patience));
        let mut options = patience.options();
        let listener = match (before, step.undo.events()) {
            (Some(before), _) => Some(before),
            (None, None) => None,
            (None, Some(filter)) => {
                let (listener, following) = Listener::following(filter, self.front.peer());
                options.following = Some(following);
                Some(listener)
            }
        };
        let asked = match step.undo.draft() {
            Ok(draft) => exchange(&self.front, draft, options).await,
            Err(error) => Err(error),
        };
        let failed = match asked {
            Ok(_) => None,
            Err(error) if error.reason() == Some(Reason::NotFound) => return Back::Undone,
            Err(error) => match error.outcome() {
                // It is under way, since it was asked for before.
                Outcome::Refused(_) if was_asked => None,
                Outcome::Refused(_) | Outcome::Done(_) => Some(Back::Left(error.to_string())),
                Outcome::NotSent | Outcome::ConnectionLost | Outcome::Unknown => {
                    Some(Back::Over(error.to_string()))
                }
            },
        };
        let Some(listener) = listener else {
            return failed.unwrap_or(Back::Undone);
        };
        let back = match failed {
            Some(failed) => failed,
            None => match self.front.next(&listener, patience.left()).await {
                Ok(event) if step.undo.is_done_by(event.name()) => Back::Undone,
                Ok(event) => Back::Left(format!("the guest keeps it ({})", event.name())),
                Err(error) if matches!(error.kind(), ClientErrorKind::TimedOut(_)) => {
                    let patience = self.patience;
                    Back::Left(format!("asked for, and not gone in {patience:?}"))
                }
                Err(error) => Back::Over(error.to_string()),
            },
        };
        step.state = State::Asked(listener);
        back
    }
}

/// Whether the server has what a command would make.
async fn is_there<F: Front>(
    front: &F,
    undo: &Undo,
    draft: &Draft,
    timeout: Option<Duration>,
) -> Result<bool, ClientError> {
    let Some(query) = undo.query() else {
        return Err(draft.error(ClientErrorKind::NoQuery));
    };
    let wanted = undo.made();
    let patience = Patience::new(timeout.or(front.timeout()));
    let path = query.path.map(|path| Value::from([("path", path)]));
    let asking = Draft::new(query.command, path.as_ref(), false)?;
    let told = exchange(front, asking, patience.options()).await?;
    let is_it = |it: ValueRef<'_>| {
        let name = it.get(query.member).map(ValueRef::to_value);
        name.is_some() && name.as_ref() == wanted
    };
    Ok(told.returned().elements().any(is_it))
}

impl PlanError {
    /// What has failed; nothing if it was the way back alone.
    pub fn cause(&self) -> Option<&ClientError> {
        self.cause.as_ref()
    }

    /// What could not be undone, by name, as in `device_add disk0`, and why. The plan still has it.
    pub fn left(&self) -> impl ExactSizeIterator<Item = (&str, &str)> {
        self.left
            .iter()
            .map(|it| (it.name.as_str(), it.why.as_str()))
    }
}

impl fmt::Display for PlanError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let before = match &self.cause {
            Some(cause) => {
                cause.fmt(f)?;
                "; "
            }
            None => "",
        };
        if self.left.is_empty() {
            return match &self.cause {
                Some(_) => f.write_str("; what was done before is undone"),
                None => f.write_str("all is undone"),
            };
        }
        f.write_str(before)?;
        f.write_str("not undone: ")?;
        for (n, Left { name, why }) in self.left.iter().enumerate() {
            let comma = if n == 0 { "" } else { ", " };
            write!(f, "{comma}{name} ({why})")?;
        }
        Ok(())
    }
}

impl std::error::Error for PlanError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.cause.as_ref().map(|cause| cause as _)
    }
}
