//! A client that runs every command of its table on the server at the socket that its argument
//! names, and prints what came of each, one line a command:
//!
//! - `NAME read`: the reply fits its type;
//! - `NAME refused TEXT`: the server has answered with an error;
//! - `NAME misfit TEXT` and the reply: it does not fit.

mod qapi;
mod table;

use std::error::Error;

use qapi_runtime::client::blocking::Client;
use qapi_runtime::client::{Address, CallOptions, ClientErrorKind, ConnectOptions};
use qapi_runtime::dispatch::Request;

/// Runs one command.
type Query = fn(&Client) -> Result<String, Box<dyn Error>>;

fn main() -> Result<(), Box<dyn Error>> {
    let socket = std::env::args().nth(1).ok_or("which socket?")?;
    let client = Client::connect(ConnectOptions::new(Address::unix(socket)))?;
    for query in table::TABLE {
        println!("{}", query(&client)?);
    }
    Ok(())
}

/// Runs the command without arguments.
fn query<R: Request + Default>(client: &Client) -> Result<String, Box<dyn Error>> {
    let name = R::COMMAND;
    let error = match client.execute(&R::default()) {
        Ok(_) => return Ok(format!("{name} read")),
        Err(error) => error,
    };
    match error.kind() {
        ClientErrorKind::Server(error) => Ok(format!("{name} refused {error}")),
        ClientErrorKind::Reply(_) => {
            let reply = client.execute_raw(name, None, CallOptions::new())?;
            Ok(format!("{name} misfit {error}\t{reply}"))
        }
        _ => Err(error.into()),
    }
}
