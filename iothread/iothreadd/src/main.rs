//! A QMP server whose devices, block nodes, exports and monitors run on IOThreads.

use std::process::ExitCode;

fn main() -> ExitCode {
    iothreadd::main()
}
