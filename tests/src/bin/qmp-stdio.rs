//! Serves a handful of commands on standard input and output; a peer for differential tests.

use std::io::{Read, Write};

use qapi_runtime::session::{Session, SessionConfig};

fn main() -> std::io::Result<()> {
    let service = tests::service();
    let mut session = Session::new(SessionConfig::default());
    let mut stdin = std::io::stdin().lock();
    let mut stdout = std::io::stdout().lock();
    let mut buffer = vec![0; 1 << 16];
    stdout.write_all(session.output())?;
    stdout.flush()?;
    session.consume_output(session.output().len());
    loop {
        let count = stdin.read(&mut buffer)?;
        if count == 0 {
            session.end_of_input();
        }
        let mut input = &buffer[..count];
        loop {
            // Every command here runs inline, so no call is handed out.
            let _ = session.advance(&mut input, &service, |_| true);
            stdout.write_all(session.output())?;
            session.consume_output(session.output().len());
            if input.is_empty() {
                break;
            }
        }
        stdout.flush()?;
        if session.is_finished() {
            return Ok(());
        }
    }
}
