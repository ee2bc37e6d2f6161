//! Sends the commands that come as lines of JSON on standard input, each as the crate's own type, and
//! prints each reply, read as the crate's own type, and each event.
//!
//! A command or arguments that the crate has no type for are answered with `unsendable`.

use std::error::Error;
use std::io::BufRead as _;

use futures::{Sink, StreamExt as _};
use qapi::futures::{QapiService, QmpStreamTokio};
use qapi::{Command, Execute, ExecuteError, qmp};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let socket = std::env::args_os()
        .nth(1)
        .ok_or("usage: qapi-rs-client SOCKET")?;
    let stream = QmpStreamTokio::open_uds(socket).await?.negotiate().await?;
    let (service, mut events) = stream.into_parts();
    let events = tokio::spawn(async move {
        while let Some(Ok(event)) = events.next().await {
            match serde_json::to_value(&event) {
                Ok(event) => println!("{event}"),
                Err(error) => println!("{}", json!({"unreadable": error.to_string()})),
            }
        }
    });
    for line in std::io::stdin().lock().lines() {
        let step: Value = serde_json::from_str(&line?)?;
        let name = step["execute"].as_str().unwrap_or_default();
        let arguments = step.get("arguments").cloned().unwrap_or_else(|| json!({}));
        println!("{}", execute(&service, name, arguments).await?);
    }
    // The last command ends the server, and with it the connection.
    Ok(events.await?)
}

/// Makes a chain of the crate's commands by their names on the wire.
macro_rules! by_name {
    ($service:ident, $name:ident, $arguments:ident: $($command:ident)*) => {
        $(
            if $name == <qmp::$command as Command>::NAME {
                return typed::<qmp::$command, _>($service, $arguments).await;
            }
        )*
    };
}

async fn execute<W>(
    service: &QapiService<QmpStreamTokio<W>>,
    name: &str,
    arguments: Value,
) -> Result<Value, Box<dyn Error>>
where
    W: tokio::io::AsyncWrite + Unpin,
{
    by_name!(service, name, arguments:
        add_fd block_export_add block_export_del block_resize blockdev_add blockdev_del chardev_add
        chardev_change chardev_remove chardev_send_break closefd device_add device_del device_list_properties
        getfd human_monitor_command nbd_server_add nbd_server_remove nbd_server_start nbd_server_stop object_add
        object_del qmp_capabilities qom_get qom_list qom_list_properties qom_list_types qom_set query_block query_block_exports query_blockstats query_chardev query_chardev_backends
        query_commands query_fdsets query_iothreads query_name query_named_block_nodes query_qmp_schema
        query_status query_version query_yank quit remove_fd ringbuf_read ringbuf_write
        x_blockdev_set_iothread yank
    );
    Ok(json!({"unsendable": "the crate does not have the command"}))
}

async fn typed<C, W>(
    service: &QapiService<QmpStreamTokio<W>>,
    arguments: Value,
) -> Result<Value, Box<dyn Error>>
where
    C: Command + DeserializeOwned,
    C::Ok: Serialize,
    QmpStreamTokio<W>: Sink<Execute<C, u32>, Error = std::io::Error> + Unpin,
{
    let command: C = match serde_json::from_value(arguments.clone()) {
        Ok(command) => command,
        Err(error) => return Ok(json!({"unsendable": error.to_string()})),
    };
    if serde_json::to_value(&command)? != arguments {
        return Ok(json!({"unsendable": "the type lacks members"}));
    }
    match service.execute(command).await {
        Ok(value) => Ok(json!({"return": value})),
        Err(ExecuteError::Qapi(error)) => {
            Ok(json!({"error": {"class": error.class, "desc": error.desc}}))
        }
        Err(ExecuteError::Io(error)) => Err(error.into()),
    }
}
