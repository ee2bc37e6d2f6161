//! A thermostat that is operated over QMP.
//!
//! The interface is in `schema/thermostat.json`; `build.rs` makes the module `qapi` of it. Start
//! the server, and talk to it:
//!
//! ```console
//! $ cargo run --package thermostat -- /tmp/thermostat.sock &
//! $ socat - UNIX:/tmp/thermostat.sock
//! {"QMP": {"version": {...}, "capabilities": ["oob"]}}
//! {"execute": "qmp_capabilities"}
//! {"return": {}}
//! {"execute": "set-target", "arguments": {"celsius": 21.5, "mode": "heat"}}
//! {"timestamp": {...}, "event": "TARGET_CHANGED", "data": {"celsius": 21.5}}
//! {"return": {}}
//! {"execute": "query-status"}
//! {"return": {"mode": "heat", "target": 21.5, "rooms": []}}
//! {"execute": "set-target", "arguments": {"celsius": "warm"}}
//! {"error": {"class": "GenericError", "desc": "Invalid parameter type for 'celsius', expected: number"}}
//! ```

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use qapi_runtime::Error;
use qapi_runtime::server::{Connection, ListenAddress, Server};
use qapi_runtime::session::SessionConfig;

include!(concat!(env!("OUT_DIR"), "/qapi.rs"));

use qapi::{AddRoom, Commands, Dispatcher, Mode, SetTarget, Status, TargetChanged};

/// The device that the commands are about.
struct Thermostat {
    status: Mutex<Status>,
}

impl Thermostat {
    fn status(&self) -> MutexGuard<'_, Status> {
        self.status.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What one client operates it with.
struct Panel {
    thermostat: Arc<Thermostat>,
    connection: Connection,
}

/// One function a command. Arguments that do not fit the schema never get here.
impl Commands for Panel {
    fn query_status(&self) -> Result<Status, Error> {
        Ok(self.thermostat.status().clone())
    }

    fn set_target(&self, arguments: SetTarget) -> Result<(), Error> {
        if !(5.0..=30.0).contains(&arguments.celsius) {
            return Err(Error::generic("the temperature is out of range"));
        }
        let mut status = self.thermostat.status();
        status.target = arguments.celsius;
        if let Some(mode) = arguments.mode {
            status.mode = mode;
        }
        // To all clients; to this one, before the reply.
        let changed = TargetChanged {
            celsius: arguments.celsius,
        };
        Ok(self.connection.emit_event(&changed)?)
    }

    fn add_room(&self, arguments: AddRoom) -> Result<(), Error> {
        self.thermostat.status().rooms.push(arguments.name);
        Ok(())
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let socket = std::env::args().nth(1).ok_or("which socket?")?;
    let thermostat = Arc::new(Thermostat {
        status: Mutex::new(Status {
            mode: Mode::Off,
            target: 20.0,
            rooms: Vec::new(),
        }),
    });
    // Every client gets a panel; all of them operate the same thermostat.
    let server = Server::new(SessionConfig::default(), move |connection| {
        let panel = Panel {
            thermostat: Arc::clone(&thermostat),
            connection: connection.clone(),
        };
        Arc::new(Dispatcher::new(Arc::new(panel)))
    });
    server.listen(&ListenAddress::unix(socket)).await?;
    tokio::signal::ctrl_c().await?;
    server.shutdown().await;
    Ok(())
}
