//! Takes the steps of the conformance kit of `qmp` with the crate qapi. CONFORMANCE.md there says what they are.

use std::error::Error;
use std::future::Future;
use std::io::BufRead as _;
use std::time::Duration;

use futures::StreamExt as _;
use futures::channel::mpsc::{UnboundedReceiver, unbounded};
use futures::future::join_all;
use qapi::futures::{QapiService, QmpStreamTokio};
use qapi::{Command, ExecuteError, qmp};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::io::WriteHalf;
use tokio::net::UnixStream;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// A text that is told by its length.
const MAX_TEXT: usize = 1000;

type Service = QapiService<QmpStreamTokio<WriteHalf<UnixStream>>>;

/// A client, and the events that it has handed on.
struct Driven {
    service: Service,
    events: UnboundedReceiver<Value>,
    reader: JoinHandle<()>,
}

impl Drop for Driven {
    fn drop(&mut self) {
        // It holds the connection.
        self.reader.abort();
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    // The client goes on while a step is waited for.
    let (sender, mut lines) = unbounded();
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines() {
            if sender.unbounded_send(line).is_err() {
                return;
            }
        }
    });
    let mut driven = None;
    while let Some(line) = lines.next().await {
        let step: Value = serde_json::from_str(&line?)?;
        println!("{}", take(&mut driven, &step).await);
    }
    Ok(())
}

async fn take(driven: &mut Option<Driven>, step: &Value) -> Value {
    let text = |name: &str| step[name].as_str().unwrap_or_default();
    let within = Duration::from_secs_f64(step["within"].as_f64().unwrap_or_default());
    if text("do") == "connect" {
        *driven = None;
        return match timeout(within, connect(text("address"))).await {
            Ok(Ok(client)) => {
                *driven = Some(client);
                json!({"outcome": "connected"})
            }
            Ok(Err(error)) => json!({"outcome": "refused", "desc": error.to_string()}),
            Err(_) => json!({"outcome": "timeout"}),
        };
    }
    let Some(client) = driven else {
        return json!({"outcome": "lost"});
    };
    match text("do") {
        "execute" => in_time(within, execute(&client.service, step)).await,
        "execute-together" => {
            let commands = step["commands"].as_array().cloned().unwrap_or_default();
            let calls = commands
                .iter()
                .map(|command| in_time(within, execute(&client.service, command)));
            json!({"outcome": "together", "outcomes": join_all(calls).await})
        }
        "event" => in_time(within, event(&mut client.events, text("name"))).await,
        _ => json!({"outcome": "cannot"}),
    }
}

async fn in_time(within: Duration, step: impl Future<Output = Value>) -> Value {
    timeout(within, step)
        .await
        .unwrap_or_else(|_| json!({"outcome": "timeout"}))
}

async fn connect(socket: &str) -> std::io::Result<Driven> {
    let stream = QmpStreamTokio::open_uds(socket).await?.negotiate().await?;
    let (service, mut stream) = stream.into_parts();
    let (sender, events) = unbounded();
    // Commands are answered as long as events are taken.
    let reader = tokio::spawn(async move {
        while let Some(Ok(event)) = stream.next().await {
            let told = serde_json::to_value(&event).unwrap_or_default();
            if sender.unbounded_send(told).is_err() {
                return;
            }
        }
    });
    Ok(Driven {
        service,
        events,
        reader,
    })
}

/// The commands that the kit has.
async fn execute(service: &Service, command: &Value) -> Value {
    match command["command"].as_str() {
        Some("qom-get") => typed::<qmp::qom_get>(service, &command["arguments"]).await,
        Some("object-add") => typed::<qmp::object_add>(service, &command["arguments"]).await,
        _ => json!({"outcome": "cannot"}),
    }
}

async fn typed<C>(service: &Service, arguments: &Value) -> Value
where
    C: Command + DeserializeOwned,
    C::Ok: Serialize,
    QmpStreamTokio<WriteHalf<UnixStream>>:
        futures::Sink<qapi::Execute<C, u32>, Error = std::io::Error> + Unpin,
{
    let Ok(command) = C::deserialize(arguments) else {
        return json!({"outcome": "cannot"});
    };
    match service.execute(command).await {
        Ok(value) => match json!(value) {
            Value::String(text) if text.len() > MAX_TEXT => {
                json!({"outcome": "returned", "length": text.len()})
            }
            value => json!({"outcome": "returned", "value": value}),
        },
        Err(ExecuteError::Qapi(error)) => {
            json!({"outcome": "error", "class": error.class, "desc": error.desc})
        }
        Err(ExecuteError::Io(error)) => json!({"outcome": "lost", "desc": error.to_string()}),
    }
}

async fn event(events: &mut UnboundedReceiver<Value>, name: &str) -> Value {
    while let Some(event) = events.next().await {
        if event["event"] == name {
            return json!({"outcome": "event", "data": event["data"]});
        }
    }
    json!({"outcome": "lost"})
}
