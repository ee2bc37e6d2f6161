//! `iothreadd` beside QEMU, and before clients that others have written.

mod block_qemu;
mod clients;
mod devices_qemu;
mod iothreads_qemu;
mod nbd_clients;
mod random_kinds;
mod random_qemu;
mod random_steps;
mod reference;
mod script;
mod semantics;
mod sequences;
mod wire;

use tests::Suite;

fn main() {
    let suite = iothreads_qemu::add(Suite::new());
    let suite = block_qemu::add(suite);
    let suite = devices_qemu::add(suite);
    let suite = reference::add(suite);
    let suite = nbd_clients::add(suite);
    let suite = random_qemu::add(suite);
    let suite = semantics::add(suite);
    let suite = sequences::add(suite);
    let suite = clients::add(suite);
    wire::add(suite).run();
}
