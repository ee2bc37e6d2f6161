//! Reads QMP commands, one a line, and prints what the generated dispatcher answers to each, one
//! line a command. No command has a handler: one whose arguments fit is answered "not supported".
//!
//! The arguments are policies: `deprecated-input=reject`, as QEMU's option `-compat` has them.

mod qapi;

use std::io::{self, BufRead as _, Write as _};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use qapi_runtime::dispatch::Service;
use qapi_runtime::session::{Session, SessionConfig, Started};
use qapi_runtime::visit::{CompatPolicy, CompatInput, CompatOutput};

struct Handlers;

impl qapi::server::Commands for Handlers {}

fn main() -> io::Result<()> {
    let service = qapi::server::Dispatcher::new(Arc::new(Handlers));
    let compat = compat().map_err(io::Error::other)?;
    let mut out = io::BufWriter::new(io::stdout().lock());
    for line in io::stdin().lock().split(b'\n') {
        let reply = reply(&service, &line?, compat);
        out.write_all(&reply)?;
        out.write_all(b"\n")?;
    }
    out.flush()
}

fn compat() -> Result<CompatPolicy, String> {
    let mut compat = CompatPolicy::ACCEPT;
    for argument in std::env::args().skip(1) {
        match argument.as_str() {
            "deprecated-input=reject" => compat.deprecated_input = CompatInput::Reject,
            "unstable-input=reject" => compat.unstable_input = CompatInput::Reject,
            "deprecated-output=hide" => compat.deprecated_output = CompatOutput::Hide,
            "unstable-output=hide" => compat.unstable_output = CompatOutput::Hide,
            _ => return Err(format!("unknown policy '{argument}'")),
        }
    }
    Ok(compat)
}

/// The reply to the command in `line`, without its line end.
fn reply(service: &dyn Service, line: &[u8], compat: CompatPolicy) -> Vec<u8> {
    let mut session = Session::new(SessionConfig {
        compat,
        ..SessionConfig::default()
    });
    let negotiation = br#"{"execute": "qmp_capabilities", "arguments": {"enable": ["oob"]}}"#;
    drive(&mut session, service, negotiation);
    session.consume_output(session.output().len());
    drive(&mut session, service, line);
    drive(&mut session, service, b"\n");
    session.end_of_input();
    let output = session.output();
    let end = output.iter().position(|byte| *byte == b'\r');
    output[..end.unwrap_or(output.len())].to_vec()
}

fn drive(session: &mut Session, service: &dyn Service, mut input: &[u8]) {
    while let Some(call) = session.advance(&mut input, service, |_| true) {
        let id = call.id();
        let result = match call.start(service) {
            Started::Done(result) => result,
            // A handler that has nothing to do has nothing to wait for.
            Started::Pending(future) => {
                match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
                    Poll::Ready(result) => result,
                    Poll::Pending => panic!("a handler waits"),
                }
            }
        };
        session.complete(id, result);
    }
}
