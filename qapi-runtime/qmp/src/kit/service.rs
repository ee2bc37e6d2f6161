//! The server of the kit: a few commands, as QEMU has them.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use qapi_runtime::dispatch::{CommandInfo, Outcome, Service};
use qapi_runtime::visit::{Input, Output, Visit as _};
use qapi_runtime::{Error, Object, Value};

const COMMANDS: [CommandInfo; 3] = [
    CommandInfo::new("qom-get"),
    CommandInfo::new("object-add"),
    CommandInfo::new("query-name"),
];

/// The objects that were added, by their ids.
#[derive(Default)]
struct Kit {
    objects: Mutex<HashSet<String>>,
}

pub(super) fn service() -> Arc<dyn Service> {
    Arc::new(Kit::default())
}

impl Service for Kit {
    fn commands(&self) -> &[CommandInfo] {
        &COMMANDS
    }

    fn call(
        &self,
        index: usize,
        input: &mut Input<'_>,
        output: &mut Output,
    ) -> Result<Outcome, Error> {
        let arguments = Object::read(input)?;
        let text = |name: &str| {
            arguments
                .get(name)
                .and_then(Value::as_str)
                .unwrap_or_default()
        };
        match COMMANDS.get(index).map(|command| command.name) {
            // The value of each property is its name.
            Some("qom-get") => text("property").to_owned().write(output)?,
            Some("object-add") => {
                let id = text("id").to_owned();
                let mut objects = self.objects.lock().unwrap_or_else(PoisonError::into_inner);
                if !objects.insert(id.clone()) {
                    let text = format!(
                        "attempt to add duplicate property '{id}' to object (type 'container')"
                    );
                    return Err(Error::generic(text));
                }
                Object::new().write(output)?;
            }
            _ => Object::from_iter([("name".to_owned(), Value::from("kit"))]).write(output)?,
        }
        Ok(Outcome::Done)
    }
}
