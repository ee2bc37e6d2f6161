//! What is generated from a schema compiles without a finding, and does what the schema says.
//!
//! `QAPI_FULL` in the environment adds what takes minutes: more sets of conditions, QEMU's schemas in every mode, the
//! round trip of each of their types, and clients of all of them.

mod lengths;
mod modes;
mod programs;
mod qemu_client;

use tests::{LIVE, QEMU_SCHEMAS, Suite, Tool};

fn main() {
    let is_full = std::env::var_os("QAPI_FULL").is_some();
    let mut suite = Suite::new()
        .always("own-schemas-in-all-modes", move || {
            modes::own_schemas(is_full)
        })
        .always("text-is-no-doctest", modes::no_doctests)
        .always("names-of-every-length", lengths::layout)
        .always("dispatcher-as-validator", programs::dispatcher_as_validator)
        .always("options", programs::options)
        .always("omitted-parts", programs::omitted_parts)
        .always("policies", programs::policies)
        .always("version-skew", programs::skew)
        .always("another-version-of-the-runtime", programs::another_version)
        .always("round-trips-of-own-schemas", programs::round_trips_of_own);
    // The first one reads recordings, too.
    let n_clients = if is_full {
        qemu_client::SCHEMAS.len()
    } else {
        2
    };
    suite = suite.with_all(
        "client-reads-what-other-versions-answered",
        [Tool::Program("qemu-system-x86_64"), Tool::Shared],
        |[_, shared]| qemu_client::replay(shared),
    );
    for (name, tool) in [
        (
            "client-of-what-qemu-tells-drives-it",
            Tool::Program("qemu-system-x86_64"),
        ),
        ("client-of-what-qemu-10-tells-drives-it", Tool::QemuTen),
    ] {
        suite = suite.with(name, tool, qemu_client::drive_by_own);
    }
    suite = suite.with_all(
        "client-of-what-qemu-10.0.13-told-drives-qemu-10",
        [Tool::QemuTen, Tool::Shared],
        |tools| qemu_client::drive_by_told("10.0.13", tools),
    );
    // It needs no peer, but compiles a client for each recording.
    suite = suite.with(
        &format!("{LIVE}clients-of-what-servers-told-read-their-answers"),
        Tool::Shared,
        |shared| qemu_client::replay_by_own(shared, false),
    );
    for schema in qemu_client::SCHEMAS.into_iter().take(n_clients) {
        suite = suite.with_all(
            &format!("client-of-{schema}-drives-qemu"),
            [Tool::Program("qemu-system-x86_64"), Tool::Shared],
            move |tools| qemu_client::drive(schema, tools),
        );
    }
    if is_full {
        suite = suite.with(
            "whole-clients-of-what-servers-told-read-their-answers",
            Tool::Shared,
            |shared| qemu_client::replay_by_own(shared, true),
        );
        for release in ["11.1.3", "10.0.13"] {
            suite = suite.with(
                &format!("round-trips-of-qemu-{release}"),
                Tool::Shared,
                move |shared| programs::round_trips_of_qemu(shared, release),
            );
        }
        for schema in QEMU_SCHEMAS {
            suite = suite.with(
                &format!("modes-of-{}", schema.replace('/', "-")),
                Tool::Shared,
                move |shared| modes::qemu_schema(shared, schema),
            );
        }
    }
    suite.run();
}
