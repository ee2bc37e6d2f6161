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
//! {"return": {}}
//! {"timestamp": {...}, "event": "TARGET_CHANGED", "data": {"celsius": 21.5}}
//! {"execute": "query-status"}
//! {"return": {"mode": "heat", "target": 21.5, "rooms": []}}
//! {"execute": "set-target", "arguments": {"celsius": "warm"}}
//! {"error": {"class": "GenericError", "desc": "Invalid parameter type for 'celsius', expected: number"}}
//! ```

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use qapi_runtime::Error;
use qapi_runtime::server::{ListenAddress, Server};
use qapi_runtime::session::SessionConfig;
use tokio::sync::mpsc;

include!(concat!(env!("OUT_DIR"), "/qapi.rs"));

use qapi::{AddRoom, Commands, Dispatcher, Mode, SetTarget, Status, TargetChanged};

/// The device: what is behind the commands.
struct Thermostat {
    status: Mutex<Status>,
    events: mpsc::UnboundedSender<TargetChanged>,
}

impl Thermostat {
    fn status(&self) -> MutexGuard<'_, Status> {
        self.status.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One function a command. Arguments that do not fit the schema never get here.
impl Commands for Thermostat {
    fn query_status(&self) -> Result<Status, Error> {
        Ok(self.status().clone())
    }

    fn set_target(&self, arguments: SetTarget) -> Result<(), Error> {
        if !(5.0..=30.0).contains(&arguments.celsius) {
            return Err(Error::generic("the temperature is out of range"));
        }
        let mut status = self.status();
        status.target = arguments.celsius;
        if let Some(mode) = arguments.mode {
            status.mode = mode;
        }
        // Once the program ends, nobody is told any more.
        let _ = self.events.send(TargetChanged {
            celsius: arguments.celsius,
        });
        Ok(())
    }

    fn add_room(&self, arguments: AddRoom) -> Result<(), Error> {
        self.status().rooms.push(arguments.name);
        Ok(())
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let socket = std::env::args().nth(1).ok_or("which socket?")?;
    let (events, mut emitted) = mpsc::unbounded_channel();
    let thermostat = Arc::new(Thermostat {
        status: Mutex::new(Status {
            mode: Mode::Off,
            target: 20.0,
            rooms: Vec::new(),
        }),
        events,
    });
    // Every client gets a dispatcher; all of them operate the same thermostat.
    let server = Server::new(SessionConfig::default(), move |_connection| {
        Arc::new(Dispatcher::new(Arc::clone(&thermostat)))
    });
    server.listen(&ListenAddress::unix(socket)).await?;
    loop {
        tokio::select! {
            Some(event) = emitted.recv() => server.emit_event(&event)?,
            end = tokio::signal::ctrl_c() => break end?,
        }
    }
    server.shutdown().await;
    Ok(())
}
