//! A QMP server whose devices, block nodes, exports and monitors run on IOThreads.

use std::process::ExitCode;

#[cfg(all(target_os = "linux", target_pointer_width = "64"))]
fn main() -> ExitCode {
    iothreadd::main()
}

#[cfg(not(all(target_os = "linux", target_pointer_width = "64")))]
fn main() -> ExitCode {
    use std::io::Write as _;

    // The status tells where this cannot be written.
    let _ = writeln!(
        std::io::stderr(),
        "iothreadd: needs Linux on a machine of 64 bits"
    );
    ExitCode::FAILURE
}
