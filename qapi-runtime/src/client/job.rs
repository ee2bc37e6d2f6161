//! Jobs of a server, followed from the command that starts them to their end.

use std::time::Duration;

use super::error::{ClientError, ClientErrorKind};
use super::event::{EventFilter, RawEvent};
use super::front::{Front, Patience, exchange};
use super::listener::Listener;
use super::options::CallOptions;
use super::request::Draft;
use crate::json::ValueRef;
use crate::value::Value;

/// Where a job stands: at its end, or where it goes on only when somebody says so.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum JobState {
    /// All is copied, and what is written meanwhile is, too: `job-complete` ends it, as does `job-cancel`.
    Ready,
    /// It has no `auto-finalize`: `job-finalize` lets it do its last step.
    Pending,
    /// An I/O error has stopped it, as its `on-source-error` or `on-target-error` wants it: it can be resumed or cancelled.
    Stopped,
    /// It is over, and all went well.
    Completed,
    /// It is over since somebody has cancelled it.
    Cancelled,
    /// It is over, and has failed; why.
    Failed(Box<str>),
}

/// How QEMU calls the failure of a job that was cancelled.
const CANCELLED: &str = "Operation canceled";

/// What an event says of a job.
enum Told {
    Nothing,
    Waits(JobState),
    /// The job is over and may be there until somebody dismisses it.
    Concluded,
    /// The job is not there any more.
    Gone,
}

/// A job of one server.
pub(super) struct Followed<F> {
    front: F,
    id: Box<str>,
    listener: Listener,
    /// What was told when it was looked for.
    first: Told,
    /// False while what is told may be of an earlier job with this id.
    is_begun: bool,
    /// How it ends if it goes without a word. Block jobs tell before that.
    end: JobState,
    is_over: bool,
}

fn filter(id: &str) -> EventFilter {
    let block_jobs = [
        "BLOCK_JOB_CANCELLED",
        "BLOCK_JOB_COMPLETED",
        "BLOCK_JOB_ERROR",
        "BLOCK_JOB_READY",
    ];
    EventFilter::names(block_jobs)
        .with_member("device", id)
        .or(EventFilter::names(["BLOCK_JOB_PENDING", "JOB_STATUS_CHANGE"]).with_member("id", id))
}

fn id_of(id: &str) -> Value {
    Value::from([("id", id)])
}

impl<F: Front> Followed<F> {
    /// Follows the job that a command starts.
    pub(super) async fn start(
        front: &F,
        draft: Draft,
        id: &str,
        mut options: CallOptions,
    ) -> Result<Self, ClientError> {
        let (listener, following) = Listener::following(filter(id), front.peer());
        options.following = Some(following);
        exchange(front, draft, options).await?;
        let followed = Self::new(front, id, listener, Told::Nothing);
        Ok(Self {
            is_begun: false,
            ..followed
        })
    }

    /// Follows a job that is there.
    pub(super) async fn find(front: &F, id: &str) -> Result<Option<Self>, ClientError> {
        let patience = Patience::new(front.timeout());
        let (listener, following) = Listener::following(filter(id), front.peer());
        let mut options = patience.options();
        options.following = Some(following);
        let Some(job) = listed(front, id, options).await? else {
            return Ok(None);
        };
        let told = match job.get("status").and_then(Value::as_str) {
            Some("ready" | "standby") => Told::Waits(JobState::Ready),
            Some("pending") => Told::Waits(JobState::Pending),
            Some("concluded") => Told::Concluded,
            Some(_) | None => Told::Nothing,
        };
        Ok(Some(Self::new(front, id, listener, told)))
    }

    fn new(front: &F, id: &str, listener: Listener, first: Told) -> Self {
        Self {
            front: front.clone(),
            id: id.into(),
            listener,
            first,
            is_begun: true,
            end: JobState::Completed,
            is_over: false,
        }
    }

    pub(super) fn id(&self) -> &str {
        &self.id
    }

    /// Waits until the job is over, or waits itself.
    pub(super) async fn wait(&mut self, patience: Patience) -> Result<JobState, ClientError> {
        while !self.is_over {
            let told = match std::mem::replace(&mut self.first, Told::Nothing) {
                Told::Nothing => {
                    let event = self.front.next(&self.listener, patience.left()).await;
                    let event = event.map_err(|error| self.error(patience.kind_of(&error)))?;
                    self.hear(&event)
                }
                told => told,
            };
            match told {
                Told::Nothing => {}
                Told::Waits(state) => return Ok(state),
                Told::Concluded => self.conclude(patience).await?,
                Told::Gone => self.is_over = true,
            }
        }
        Ok(self.end.clone())
    }

    /// Waits until the job is over, and says what it waits for.
    pub(super) async fn finish(&mut self, patience: Patience) -> Result<JobState, ClientError> {
        loop {
            let command = match self.wait(patience).await? {
                JobState::Ready => "job-complete",
                JobState::Pending => "job-finalize",
                state @ (JobState::Stopped
                | JobState::Completed
                | JobState::Cancelled
                | JobState::Failed(_)) => return Ok(state),
            };
            let draft = Draft::new(command, Some(&id_of(&self.id)), false)?;
            let Err(refused) = exchange(&self.front, draft, patience.options()).await else {
                continue;
            };
            // It may have come to its end by itself, which has been told before the refusal.
            let now = Patience::new(Some(Duration::ZERO));
            match self.wait(now).await {
                Ok(JobState::Ready | JobState::Pending) | Err(_) => return Err(refused),
                Ok(state) => return Ok(state),
            }
        }
    }

    /// What an event tells.
    fn hear(&mut self, event: &RawEvent) -> Told {
        let text = |member| event.data().get(member).and_then(ValueRef::as_str);
        self.is_begun |= text("status") == Some("created");
        if !self.is_begun {
            return Told::Nothing;
        }
        match (event.name(), text("status")) {
            ("JOB_STATUS_CHANGE", Some("concluded")) => return Told::Concluded,
            ("JOB_STATUS_CHANGE", Some("null")) => return Told::Gone,
            ("BLOCK_JOB_READY", _) => return Told::Waits(JobState::Ready),
            ("BLOCK_JOB_PENDING", _) => return Told::Waits(JobState::Pending),
            ("BLOCK_JOB_ERROR", _) if text("action") == Some("stop") => {
                return Told::Waits(JobState::Stopped);
            }
            ("BLOCK_JOB_CANCELLED", _) => self.end = JobState::Cancelled,
            ("BLOCK_JOB_COMPLETED", _) => {
                if let Some(error) = text("error") {
                    self.end = JobState::Failed(error.into());
                }
            }
            _ => {}
        }
        Told::Nothing
    }

    /// The job is over. One without `auto-dismiss` tells how, and goes.
    async fn conclude(&mut self, patience: Patience) -> Result<(), ClientError> {
        let job = listed(&self.front, &self.id, patience.options()).await?;
        let Some(job) = job else {
            self.is_over = true;
            return Ok(());
        };
        let draft = Draft::new("job-dismiss", Some(&id_of(&self.id)), false)?;
        match exchange(&self.front, draft, patience.options()).await {
            // Somebody else may have done it.
            Err(error) if error.server_error().is_none() => return Err(error),
            Ok(_) | Err(_) => {}
        }
        self.is_over = true;
        match job.get("error").and_then(Value::as_str) {
            Some(CANCELLED) => self.end = JobState::Cancelled,
            Some(error) => self.end = JobState::Failed(error.into()),
            None => {}
        }
        Ok(())
    }

    /// The end of the job was not seen.
    fn error(&self, kind: ClientErrorKind) -> ClientError {
        let note = format!("of the job '{}'", self.id);
        self.listener.error(kind).with_note(Some(note))
    }
}

/// What the server tells of a job, if it is there.
async fn listed<F: Front>(
    front: &F,
    id: &str,
    options: CallOptions,
) -> Result<Option<Value>, ClientError> {
    let draft = Draft::new("query-jobs", None::<&Value>, false)?;
    let jobs = exchange(front, draft, options).await?.value();
    let mut jobs = jobs.as_array().unwrap_or_default().iter();
    let is_it = |job: &&Value| job.get("id").and_then(Value::as_str) == Some(id);
    Ok(jobs.find(is_it).cloned())
}
