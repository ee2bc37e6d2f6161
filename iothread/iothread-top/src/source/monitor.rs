//! Questions over QMP.

use std::sync::Arc;
use std::time::Duration;

use qapi_runtime::client::{
    CallOptions, Client, ClientError, ClientErrorKind, EventFilter, Events,
};
use qapi_runtime::{Object, Value};

use super::libvirt::{Virsh, VirshError};

/// A way to ask a server.
pub(crate) enum Monitor {
    /// A connection.
    Connected(Client),
    /// Through libvirt, whose connection it is.
    OfDomain {
        virsh: Arc<Virsh>,
        domain: String,
        /// The domain's process, as far as it is known.
        process: Option<u32>,
        patience: Duration,
    },
}

/// Why nobody can be asked any more.
#[derive(Debug)]
pub(crate) enum AskError {
    Client(ClientError),
    Virsh(VirshError),
}

impl Monitor {
    pub(crate) fn is_closed(&self) -> bool {
        match self {
            Self::Connected(client) => client.is_closed(),
            Self::OfDomain { .. } => false,
        }
    }

    /// Events of a name, from now on; a server that is asked through libvirt sends them to that.
    pub(crate) fn listen(&self, name: &str) -> Option<Events> {
        match self {
            Self::Connected(client) => Some(client.listen(EventFilter::name(name))),
            Self::OfDomain { .. } => None,
        }
    }

    /// The server's process, as the kernel tells it for a unix socket.
    pub(crate) fn process(&self) -> Option<u32> {
        match self {
            Self::Connected(client) => client.peer_credentials().and_then(|it| it.process),
            Self::OfDomain { process, .. } => *process,
        }
    }

    /// What the server greeted with, for people.
    pub(crate) fn version(&self) -> String {
        let greeting = match self {
            Self::Connected(client) => client.greeting(),
            Self::OfDomain { .. } => return "monitor of libvirt".to_owned(),
        };
        let Some(greeting) = greeting else {
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

    /// What a command returns; nothing if the server refuses it or has no command of that name.
    ///
    /// # Errors
    ///
    /// The connection is not usable any more.
    pub(crate) async fn ask(
        &self,
        command: &str,
        arguments: &[(&str, Value)],
    ) -> Result<Option<Value>, AskError> {
        let arguments: Object = arguments
            .iter()
            .map(|(name, value)| ((*name).to_owned(), value.clone()))
            .collect();
        let arguments = (!arguments.is_empty()).then_some(Value::Object(arguments));
        match self {
            Self::Connected(client) => {
                let asked = client.execute_raw(command, arguments.as_ref(), CallOptions::new());
                match asked.await {
                    Ok(value) => Ok(Some(value)),
                    Err(error) if matches!(error.kind(), ClientErrorKind::Server(_)) => Ok(None),
                    Err(error) => Err(AskError::Client(error)),
                }
            }
            Self::OfDomain {
                virsh,
                domain,
                patience,
                ..
            } => {
                let mut request = Object::new();
                request.insert("execute".to_owned(), command.into());
                request.extend(arguments.map(|it| ("arguments".to_owned(), it)));
                let request = Value::Object(request);
                let asked = virsh.monitor(domain, &request, *patience).await;
                asked.map_err(AskError::Virsh)
            }
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
        arguments: &[(&str, Value)],
    ) -> Result<Option<Vec<Value>>, AskError> {
        Ok(match self.ask(command, arguments).await? {
            Some(Value::Array(elements)) => Some(elements),
            Some(_) | None => None,
        })
    }

    /// A property of an object; nothing if it has no property of that name.
    ///
    /// # Errors
    ///
    /// As [`Monitor::ask`].
    pub(crate) async fn property(&self, path: &str, name: &str) -> Result<Option<Value>, AskError> {
        self.ask(
            "qom-get",
            &[("path", path.into()), ("property", name.into())],
        )
        .await
    }
}

impl Drop for Monitor {
    /// A monitor of QEMU is free for others from then on.
    fn drop(&mut self) {
        match self {
            Self::Connected(client) => client.close(),
            Self::OfDomain { .. } => {}
        }
    }
}

/// The text of a member, or nothing.
pub(crate) fn text<'v>(value: &'v Value, name: &str) -> Option<&'v str> {
    value.get(name).and_then(Value::as_str)
}
