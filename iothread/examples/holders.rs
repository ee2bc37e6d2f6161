//! Holders of a program's own kinds: who is on which thread, and why a thread cannot go.
//!
//! `cargo run --example holders`

#![forbid(unsafe_code)]

use std::error::Error;

use iothread::{DeleteError, Holder, HolderKind, IoThread, Registry};

const VCPU: HolderKind = HolderKind::new("vcpu");
const NET: HolderKind = HolderKind::new("net");
const SNAPSHOT: HolderKind = HolderKind::new("snapshot");

/// One line a thread, as an administrator would like it.
fn show(registry: &Registry) {
    for thread in registry.query_iothreads() {
        let holders: Vec<_> = thread.holders.iter().map(Holder::to_string).collect();
        println!(
            "{} (thread {}, polls for {:?}): {}",
            thread.id,
            thread.thread_id,
            thread.parameters.poll_max(),
            holders.join(", ")
        );
    }
}

/// What a program of a schema of its own sends. QEMU's schema has neither of these kinds.
fn as_json(holder: &Holder) -> String {
    format!(
        r#"{{"type": "{}", "name": {:?}}}"#,
        holder.kind(),
        holder.name()
    )
}

fn main() -> Result<(), Box<dyn Error>> {
    let registry = Registry::new();
    let [busy, idle] = ["io0", "io1"].map(|id| IoThread::builder(id).registry(&registry).spawn());
    let (busy, idle) = (busy?, idle?);

    // A guard for what has an owner, and the plain pair for what only comes and goes.
    let net = busy.get_aio_context(Holder::new(NET, "tap0"))?;
    let cpus: Vec<_> = (0..2)
        .map(|cpu| busy.get_aio_context(Holder::new(VCPU, cpu.to_string())))
        .collect::<Result<_, _>>()?;
    let snapshot = Holder::new(SNAPSHOT, "before-upgrade");
    busy.ref_holder(snapshot.clone())?;
    show(&registry);
    println!("newest: {}", as_json(&busy.holders()[0]));
    for (kind, count) in busy.holder_counts().iter() {
        println!("{count} of the kind {kind}");
    }

    // Nobody is on this one, and it can go; the other one says how many keep it.
    registry.delete(idle.id())?;
    match busy.delete() {
        Err(DeleteError::InUse { id, n_holders }) => println!("{id} is kept by {n_holders}"),
        other => return Err(format!("a thread that is held was deleted: {other:?}").into()),
    }
    busy.unref_holder(&snapshot)?;
    cpus.into_iter().for_each(|cpu| cpu.release());
    net.release();
    busy.delete()?;
    Ok(())
}
