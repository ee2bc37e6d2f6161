//! A server on its standard streams, which clients start (`exec:`): this program is both.

use std::process::ExitCode;
use std::sync::Arc;

use libtest_mimic::Failed;
use qapi_runtime::Value;
use qapi_runtime::client::{Address, CallOptions, Client, ConnectOptions, blocking};
use qapi_runtime::server::Server;
use qapi_runtime::session::SessionConfig;
use tests::{PATIENCE, Suite};
use tokio::runtime::Runtime;

/// What tells this program to be the server.
const SERVE: &str = "serve";

fn main() -> ExitCode {
    let told = std::env::args().nth(1);
    match told.as_deref() {
        Some(SERVE) => serve(),
        Some(_) | None => Suite::new()
            .always("clients_start_servers", clients_start_servers)
            .always("commands_that_end", commands_that_end)
            .run(),
    }
}

fn serve() -> ExitCode {
    let commands = Arc::new(tests::service());
    let Ok(runtime) = Runtime::new() else {
        return ExitCode::FAILURE;
    };
    runtime.block_on(async {
        let server = Server::new(SessionConfig::default(), move |_| commands.clone());
        server.serve_stdio().await;
    });
    ExitCode::SUCCESS
}

fn options(command: &str) -> ConnectOptions {
    let address = Address::Exec(command.to_owned());
    ConnectOptions::new(address).handshake_timeout(PATIENCE)
}

/// More than a pipe holds.
fn long() -> Value {
    Value::from([("long", "x".repeat(300_000).as_str())])
}

fn clients_start_servers() -> Result<(), Failed> {
    let program = std::env::current_exe()?;
    let command = format!("\"{}\" {SERVE}", program.display());
    let within = || CallOptions::new().timeout(PATIENCE);

    let client = blocking::Client::connect(options(&command))?;
    let echoed = client.execute_raw("x-echo", Some(&long()), within())?;
    assert_eq!(echoed, long());
    client.execute_raw("quit", None, within())?;

    Runtime::new()?.block_on(async {
        let client = Client::connect(options(&command)).await?;
        let long = long();
        let echoed = client.execute_raw("x-echo", Some(&long), within());
        assert_eq!(echoed.await?, long);
        client.execute_raw("quit", None, within()).await?;
        Ok(())
    })
}

fn commands_that_end() -> Result<(), Failed> {
    let error = blocking::Client::connect(options("exit 3")).err();
    let text = error.ok_or("it connects")?.to_string();
    assert!(
        text.starts_with("cannot connect to 'exec:exit 3': "),
        "{text}"
    );
    assert!(text.contains("the command ended with exit"), "{text}");
    Ok(())
}
