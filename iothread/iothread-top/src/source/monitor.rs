//! Questions over QMP.

use qapi_runtime::client::{CallOptions, Client, ClientError, ClientErrorKind};
use qapi_runtime::{Object, Value};

/// A connection to a server.
pub(crate) struct Monitor {
    client: Client,
}

impl Monitor {
    pub(crate) fn new(client: Client) -> Self {
        Self { client }
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.client.is_closed()
    }

    /// The server's process, as the kernel tells it for a unix socket.
    pub(crate) fn process(&self) -> Option<u32> {
        self.client.peer_credentials().and_then(|it| it.process)
    }

    /// What the server greeted with, for people.
    pub(crate) fn version(&self) -> String {
        let Some(greeting) = self.client.greeting() else {
            return String::new();
        };
        let number = |name: &str| {
            let number = greeting.version.get("qemu").and_then(|it| it.get(name));
            number.and_then(Value::as_i64).unwrap_or_default()
        };
        let numbers = ["major", "minor", "micro"].map(|name| number(name).to_string());
        let package = greeting.version.get("package").and_then(Value::as_str);
        match package {
            None | Some("") => numbers.join("."),
            Some(package) => format!("{} {package}", numbers.join(".")),
        }
    }

    /// What a command returns; nothing if the server refuses it or has none of that name.
    ///
    /// # Errors
    ///
    /// The connection is no good any more.
    pub(crate) async fn ask(
        &self,
        command: &str,
        arguments: &[(&str, &str)],
    ) -> Result<Option<Value>, ClientError> {
        let arguments: Object = arguments
            .iter()
            .map(|(name, value)| ((*name).to_owned(), Value::from(*value)))
            .collect();
        let arguments = (!arguments.is_empty()).then_some(Value::Object(arguments));
        let asked = self
            .client
            .execute_raw(command, arguments.as_ref(), CallOptions::new());
        match asked.await {
            Ok(value) => Ok(Some(value)),
            Err(error) if matches!(error.kind(), ClientErrorKind::Server(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The elements of a list that a command returns. Nothing if the server refuses it.
    ///
    /// # Errors
    ///
    /// As [`Monitor::ask`].
    pub(crate) async fn ask_list(
        &self,
        command: &str,
        arguments: &[(&str, &str)],
    ) -> Result<Option<Vec<Value>>, ClientError> {
        Ok(match self.ask(command, arguments).await? {
            Some(Value::Array(elements)) => Some(elements),
            Some(_) | None => None,
        })
    }

    /// A property of an object; nothing if it has none of that name.
    ///
    /// # Errors
    ///
    /// As [`Monitor::ask`].
    pub(crate) async fn property(
        &self,
        path: &str,
        name: &str,
    ) -> Result<Option<Value>, ClientError> {
        self.ask("qom-get", &[("path", path), ("property", name)])
            .await
    }
}

impl Drop for Monitor {
    /// A monitor of QEMU is free for others from then on.
    fn drop(&mut self) {
        self.client.close();
    }
}

/// The text of a member, or nothing.
pub(crate) fn text<'v>(value: &'v Value, name: &str) -> Option<&'v str> {
    value.get(name).and_then(Value::as_str)
}
