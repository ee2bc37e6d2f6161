//! A client that runs every query of its table on a server, and prints what came of each, one line a command:
//!
//! - `NAME read`: the reply fits its type;
//! - `NAME refused TEXT`: the server has answered with an error;
//! - `NAME misfit TEXT`: the reply does not fit.
//!
//! The argument is the socket of the server; or, after `replay`, a file with the calls of a session, one JSON object a line
//! with command (`c`), arguments (`a`) and result (`r`) or error (`e`). Then a mock is the server, which takes these calls
//! and answers what the file says. `NAME unknown` is a call of a command that the table does not have.

mod qapi;
mod table;

use std::error::Error;
use std::time::Duration;

use qapi_runtime::client::blocking::Client;
use qapi_runtime::client::mock::Mock;
use qapi_runtime::client::{Address, CallOptions, ClientErrorKind, ConnectOptions};
use qapi_runtime::json::{Document, ValueRef};
use qapi_runtime::message::Request;
use qapi_runtime::visit::{Input, Mode, Visit};
use qapi_runtime::{ErrorClass, Value};

/// Runs one command with these arguments.
type Query = fn(&Client, ValueRef<'_>) -> Result<String, Box<dyn Error>>;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [socket] => ask(socket),
        ["replay", file] => replay(&std::fs::read(file)?),
        _ => Err("which socket?".into()),
    }
}

/// Runs every query of the table without arguments.
fn ask(socket: &str) -> Result<(), Box<dyn Error>> {
    // The socket is there a moment before QEMU listens.
    let options =
        ConnectOptions::new(Address::unix(socket)).wait_for_socket(Duration::from_secs(60));
    let client = Client::connect(options)?;
    let nothing = Document::parse(b"{}")?;
    for (_, query) in table::QUERIES {
        println!("{}", query(&client, nothing.root())?);
    }
    Ok(())
}

/// Makes the calls of a session again.
fn replay(session: &[u8]) -> Result<(), Box<dyn Error>> {
    let lines = session.split(|byte| *byte == b'\n');
    let mut calls = Vec::new();
    let mut mock = Mock::new();
    for line in lines.filter(|line| !line.is_empty()) {
        let call = Document::parse(line)?;
        let name = text(call.root(), "c")?.to_owned();
        // The client does that itself.
        if name == "qmp_capabilities" {
            continue;
        }
        mock = mock.expect(&name, Some(arguments(&call)?.root().to_value()));
        mock = match (call.root().get("r"), call.root().get("e")) {
            (Some(result), None) => mock.reply(result.to_value()),
            (None, Some(error)) => {
                let class = ErrorClass::from_name(text(error, "class")?);
                mock.error(&qapi_runtime::Error::new(class, text(error, "desc")?))
            }
            _ => return Err("a call has a result or an error".into()),
        };
        calls.push((name, call));
    }
    let mock = mock.start()?;
    let client = Client::connect(ConnectOptions::new(mock.address()))?;
    for (name, call) in &calls {
        let arguments = arguments(call)?;
        let mut table = table::QUERIES.iter().chain(table::OTHERS);
        match table.find(|(known, _)| known == name) {
            Some((_, query)) => println!("{}", query(&client, arguments.root())?),
            None => {
                // The mock expects it.
                let arguments = arguments.root().to_value();
                let _ = client.execute_raw(name, Some(&arguments), CallOptions::new());
                println!("{name} unknown");
            }
        }
    }
    drop(client);
    match mock.finish()[..] {
        [] => Ok(()),
        ref mistakes => Err(mistakes.join("\n").into()),
    }
}

fn text<'a>(value: ValueRef<'a>, key: &str) -> Result<&'a str, String> {
    let text = value.get(key).and_then(ValueRef::as_str);
    text.ok_or_else(|| format!("'{key}' is missing"))
}

/// The arguments of a call; none are an empty object.
fn arguments(call: &Document) -> Result<Document, Box<dyn Error>> {
    match call.root().get("a").map(ValueRef::to_value) {
        None | Some(Value::Null) => Ok(Document::parse(b"{}")?),
        Some(arguments) => Ok(Document::parse(arguments.to_string().as_bytes())?),
    }
}

/// Runs the command `R`.
fn query<R: Request>(client: &Client, arguments: ValueRef<'_>) -> Result<String, Box<dyn Error>> {
    let name = R::COMMAND;
    let arguments = arguments.to_document();
    let request = R::read(&mut Input::new(&arguments, Mode::Strict))?;
    let error = match client.execute(&request) {
        Ok(_) => return Ok(format!("{name} read")),
        Err(error) => error,
    };
    Ok(match error.kind() {
        ClientErrorKind::Server(error) => format!("{name} refused {error}"),
        ClientErrorKind::Reply(_) => format!("{name} misfit {error}"),
        _ => return Err(error.into()),
    })
}
