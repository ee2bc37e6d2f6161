//! Commands with the events that complete them.

use std::sync::Arc;

use super::super::error::ClientError;
use super::super::event::{EventFilter, RawEvent};
use super::super::front::execute_until;
use super::super::options::CallOptions;
use super::super::request::Draft;
use super::Client;
use super::now::now;
use crate::message::Request;
use crate::value::Value;

impl Client {
    /// Executes a command and waits for the event that completes it: the first one that passes the filter, in the time of
    /// `options`, which is for both.
    ///
    /// Events count from the moment on at which the command is sent, before its reply or after it. What the server had sent
    /// before, and what comes after the connection was lost, does not. If the command is refused nothing is waited for.
    ///
    /// ```no_run
    /// use std::time::Duration;
    /// use qapi_runtime::Value;
    /// use qapi_runtime::client::{CallOptions, EventFilter, blocking::Client};
    ///
    /// # fn unplug(client: &Client) -> Result<(), qapi_runtime::client::ClientError> {
    /// let device = Value::from([("id", "disk0")]);
    /// let filter = EventFilter::names(["DEVICE_DELETED", "DEVICE_UNPLUG_GUEST_ERROR"]).with_member("device", "disk0");
    /// let in_time = CallOptions::new().timeout(Duration::from_secs(10));
    /// let (_, event) = client.execute_raw_until("device_del", Some(&device), filter, in_time)?;
    /// println!("{}", event.name());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// See [`ClientErrorKind`](crate::client::ClientErrorKind). When the command was executed and the event has not come,
    /// [`ClientError::outcome`] is what it returned.
    pub fn execute_until<R: Request>(
        &self,
        request: &R,
        filter: EventFilter,
        options: CallOptions,
    ) -> Result<(R::Returns, Arc<RawEvent>), ClientError> {
        let draft = Draft::of(request, options.out_of_band)?;
        let (exchanged, event) = now(execute_until(self, draft, filter, options))?;
        Ok((exchanged.decode()?, event))
    }

    /// The same without types.
    ///
    /// # Errors
    ///
    /// As [`Client::execute_until`].
    pub fn execute_raw_until(
        &self,
        command: &str,
        arguments: Option<&Value>,
        filter: EventFilter,
        options: CallOptions,
    ) -> Result<(Value, Arc<RawEvent>), ClientError> {
        let draft = Draft::new(command, arguments, options.out_of_band)?;
        let (exchanged, event) = now(execute_until(self, draft, filter, options))?;
        Ok((exchanged.value(), event))
    }
}
