//! A QMP server on tokio for tests and figures: `qmp-sample SOCKET`. It serves on one thread, with
//! others for handlers that block.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use qapi_runtime::codegen::{Command, Handler, Table};
use qapi_runtime::dispatch::{CommandInfo, Service};
use qapi_runtime::server::{ListenAddress, Server};
use qapi_runtime::session::SessionConfig;
use qapi_runtime::visit::{Input, Output, Visit};
use qapi_runtime::{Error, Object};

/// Does nothing.
fn query_name(_: &(), input: &mut Input<'_>, output: &mut Output) -> Result<(), Error> {
    input.object()?.finish()?;
    Ok(().write(output)?)
}

/// Returns its arguments.
fn echo(_: &(), input: &mut Input<'_>, output: &mut Output) -> Result<(), Error> {
    Ok(Object::read(input)?.write(output)?)
}

/// Blocks for so many milliseconds.
fn block(_: &(), input: &mut Input<'_>, output: &mut Output) -> Result<(), Error> {
    let mut arguments = input.object()?;
    let milliseconds: u64 = arguments.required("milliseconds")?;
    arguments.finish()?;
    std::thread::sleep(Duration::from_millis(milliseconds));
    Ok(().write(output)?)
}

/// Panics.
fn panics(_: &(), _: &mut Input<'_>, _: &mut Output) -> Result<(), Error> {
    panic!("on purpose");
}

const fn row(
    name: &'static str,
    call: fn(&(), &mut Input<'_>, &mut Output) -> Result<(), Error>,
) -> Command<()> {
    Command {
        info: CommandInfo::new(name),
        call: Handler::Sync(call),
    }
}

static COMMANDS: [Command<()>; 4] = [
    row("block", block),
    row("echo", echo),
    row("panic", panics),
    row("query-name", query_name),
];

fn main() -> ExitCode {
    let Some(socket) = std::env::args_os().nth(1) else {
        eprintln!("usage: qmp-sample SOCKET");
        return ExitCode::from(2);
    };
    match serve(socket.into()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("qmp-sample: {error}");
            ExitCode::FAILURE
        }
    }
}

fn serve(socket: PathBuf) -> std::io::Result<()> {
    // The panics here are on purpose, and of no interest.
    std::panic::set_hook(Box::new(|_| {}));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let server = Server::with_inline(
            SessionConfig::default(),
            |_| Arc::new(Table::new(&COMMANDS, Arc::new(()))) as Arc<dyn Service>,
            |info| info.name != "block",
        );
        server.listen(&ListenAddress::unix(socket)).await?;
        std::future::pending().await
    })
}
