//! A live view of the IOThreads of a QMP server.

use std::process::ExitCode;

fn main() -> ExitCode {
    iothread_top::main()
}
