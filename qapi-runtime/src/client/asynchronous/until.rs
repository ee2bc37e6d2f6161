//! Commands with the events that complete them.

use std::sync::Arc;

use super::super::error::ClientError;
use super::super::event::{EventFilter, RawEvent};
use super::super::front::execute_until;
use super::super::options::CallOptions;
use super::super::request::Draft;
use super::Client;
use crate::message::Request;
use crate::value::Value;

impl Client {
    /// Executes a command and waits for the event that completes it: the first one that passes the filter, in the time of
    /// `options`, which is for both.
    ///
    /// Events count from the moment on at which the command is sent, before its reply or after it. What the server had sent
    /// before, and what comes after the connection was lost, does not. If the command is refused nothing is waited for.
    ///
    /// # Errors
    ///
    /// See [`ClientErrorKind`](crate::client::ClientErrorKind). When the command was executed and the event has not come,
    /// [`ClientError::outcome`] is what it returned.
    pub async fn execute_until<R: Request>(
        &self,
        request: &R,
        filter: EventFilter,
        options: CallOptions,
    ) -> Result<(R::Returns, Arc<RawEvent>), ClientError> {
        let draft = Draft::of(request, options.out_of_band)?;
        let (exchanged, event) = execute_until(self, draft, filter, options).await?;
        Ok((exchanged.decode()?, event))
    }

    /// The same without types.
    ///
    /// # Errors
    ///
    /// As [`Client::execute_until`].
    pub async fn execute_raw_until(
        &self,
        command: &str,
        arguments: Option<&Value>,
        filter: EventFilter,
        options: CallOptions,
    ) -> Result<(Value, Arc<RawEvent>), ClientError> {
        let draft = Draft::new(command, arguments, options.out_of_band)?;
        let (exchanged, event) = execute_until(self, draft, filter, options).await?;
        Ok((exchanged.value(), event))
    }
}
