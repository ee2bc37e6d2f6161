//! A command for QMP servers.

use std::process::ExitCode;

fn main() -> ExitCode {
    qmp::main()
}
