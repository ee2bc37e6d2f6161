//! Jobs, followed to their end.

use std::fmt;
use std::time::Duration;

use super::super::error::ClientError;
use super::super::front::Patience;
use super::super::job::{Followed, JobState};
use super::super::options::CallOptions;
use super::super::request::Draft;
use super::Client;
use crate::message::Request;
use crate::value::Value;

impl Client {
    /// Starts a job and follows it: `id` is the one that the command gives it.
    ///
    /// # Errors
    ///
    /// See [`ClientErrorKind`](crate::client::ClientErrorKind).
    pub async fn start_job<R: Request>(
        &self,
        request: &R,
        id: &str,
        options: CallOptions,
    ) -> Result<Job, ClientError> {
        let draft = Draft::of(request, options.out_of_band)?;
        Ok(Job(Followed::start(self, draft, id, options).await?))
    }

    /// The same without types.
    ///
    /// # Errors
    ///
    /// See [`ClientErrorKind`](crate::client::ClientErrorKind).
    pub async fn start_raw_job(
        &self,
        command: &str,
        arguments: Option<&Value>,
        id: &str,
        options: CallOptions,
    ) -> Result<Job, ClientError> {
        let draft = Draft::new(command, arguments, options.out_of_band)?;
        Ok(Job(Followed::start(self, draft, id, options).await?))
    }

    /// Follows a job that runs already, if there is one with this id: after the connection was lost, for example.
    ///
    /// # Errors
    ///
    /// See [`ClientErrorKind`](crate::client::ClientErrorKind).
    pub async fn find_job(&self, id: &str) -> Result<Option<Job>, ClientError> {
        Ok(Followed::find(self, id).await?.map(Job))
    }
}

/// A job of the server, on the connection on which it was started or found.
pub struct Job(Followed<Client>);

impl Job {
    /// Its id.
    pub fn id(&self) -> &str {
        self.0.id()
    }

    /// Waits until the job is over, or waits itself for somebody. One that has to be dismissed when it is over is
    /// dismissed. Without a time-out this takes as long as the job does.
    ///
    /// # Errors
    ///
    /// Neither of it in time, or the end of the connection. The job may be waited for once more, or
    /// [found](Client::find_job) on the next connection.
    pub async fn wait(&mut self, timeout: Option<Duration>) -> Result<JobState, ClientError> {
        self.0.wait(Patience::new(timeout)).await
    }

    /// Waits until the job is over, and completes or finalizes it when it waits for that. One that was stopped by an error is
    /// left so.
    ///
    /// # Errors
    ///
    /// As [`Job::wait`], and when the server refuses to complete or finalize it.
    pub async fn finish(&mut self, timeout: Option<Duration>) -> Result<JobState, ClientError> {
        self.0.finish(Patience::new(timeout)).await
    }
}

impl fmt::Debug for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Job").field(&self.id()).finish()
    }
}
