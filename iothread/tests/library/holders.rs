//! Holders of real threads: order, releases, deletion, queries.

use iothread::{
    DeleteError, HoldError, HolderKind, IoThread, Parameter, Registry, UnrefError, holder,
    qapi::IoThreadHolder,
};

use crate::fixture::unannounced;

fn thread(id: &str) -> (Registry, IoThread) {
    let registry = Registry::new();
    let thread = IoThread::builder(id)
        .registry(&registry)
        .on_panic(unannounced)
        .spawn()
        .expect("the host has room for a thread");
    (registry, thread)
}

#[test]
fn taking_the_context_records_the_holder_and_dropping_it_releases() {
    let (registry, io0) = thread("io0");
    let disk = io0
        .get_aio_context(holder::qom_object("/machine/peripheral/d0"))
        .unwrap();
    let node = io0.get_aio_context(holder::block_node("n0")).unwrap();
    assert_eq!(
        registry.query_iothreads()[0].holders,
        [
            holder::block_node("n0"),
            holder::qom_object("/machine/peripheral/d0")
        ]
    );
    drop(disk);
    assert_eq!(io0.holders(), [holder::block_node("n0")]);
    drop(node);
    assert!(io0.holders().is_empty());
}

#[test]
fn equal_holders_need_as_many_releases() {
    let (_registry, io0) = thread("io0");
    let export = holder::block_export("e0");
    io0.ref_holder(export.clone()).unwrap();
    io0.ref_holder(export.clone()).unwrap();
    let guard = io0.get_aio_context(export.clone()).unwrap();
    assert_eq!(io0.holder_counts().of(HolderKind::BlockExport), 3);
    io0.unref_holder(&export).unwrap();
    io0.unref_holder(&export).unwrap();
    assert_eq!(
        io0.unref_holder(&export),
        Err(UnrefError::NotHeld {
            id: "io0".to_owned(),
            holder: export.clone()
        })
    );
    assert_eq!(io0.holders(), [export]);
    drop(guard);
    assert_eq!(io0.holder_counts().total(), 0);
}

#[test]
fn unref_takes_the_most_recent_equal_record() {
    let (_registry, io0) = thread("io0");
    for name in ["a", "b", "a"] {
        io0.ref_holder(holder::monitor(name)).unwrap();
    }
    io0.unref_holder(&holder::monitor("a")).unwrap();
    assert_eq!(io0.holders(), [holder::monitor("b"), holder::monitor("a")]);
}

#[test]
fn kinds_with_equal_names_are_not_equal() {
    let (_registry, io0) = thread("io0");
    io0.ref_holder(holder::monitor("x")).unwrap();
    let error = io0.unref_holder(&holder::block_node("x")).unwrap_err();
    assert_eq!(
        error.to_string(),
        "IOThread 'io0' is not held by block-node 'x'"
    );
}

#[test]
fn unknown_kinds_are_refused() {
    let (_registry, io0) = thread("io0");
    let unknown = IoThreadHolder::Unknown("vhost".into());
    assert_eq!(
        io0.ref_holder(unknown.clone()),
        Err(HoldError::UnknownKind {
            kind: "vhost".to_owned()
        })
    );
    assert!(io0.get_aio_context(unknown.clone()).is_err());
    assert!(io0.unref_holder(&unknown).is_err());
    assert!(io0.holders().is_empty());
}

#[test]
fn deletion_is_refused_while_held() {
    let (registry, io0) = thread("io0");
    let held = io0.get_aio_context(holder::monitor("m0")).unwrap();
    let error = registry.delete("io0").unwrap_err();
    assert_eq!(
        error.to_string(),
        "object 'io0' is in use, can not be deleted"
    );
    assert_eq!(registry.query_iothreads().len(), 1);
    // Refused, and not half done: it can still be held.
    drop(io0.get_aio_context(holder::monitor("m1")).unwrap());
    drop(held);
    registry.delete("io0").unwrap();
    assert!(registry.query_iothreads().is_empty());
    assert_eq!(
        io0.delete(),
        Err(DeleteError::NotFound {
            id: "io0".to_owned()
        })
    );
    let error = io0.get_aio_context(holder::monitor("m0")).unwrap_err();
    assert_eq!(error.to_string(), "object 'io0' not found");
}

#[test]
fn a_thread_outlives_its_handles_and_registry_while_it_is_held() {
    let (registry, io0) = thread("io0");
    let held = io0.get_aio_context(holder::monitor("m0")).unwrap();
    drop((registry, io0));
    assert_eq!(held.call(|_| 42).unwrap(), 42);
    held.release();
}

#[test]
fn threads_are_listed_in_the_order_of_creation() {
    let registry = Registry::new();
    for id in ["z", "a", "m"] {
        IoThread::builder(id).registry(&registry).spawn().unwrap();
    }
    IoThread::builder("mon")
        .registry(&registry)
        .internal()
        .spawn()
        .unwrap();
    let ids = |list: Vec<iothread::qapi::IoThreadInfo>| -> Vec<String> {
        list.into_iter().map(|info| info.id).collect()
    };
    assert_eq!(ids(registry.query_iothreads()), ["z", "a", "m"]);
    assert_eq!(ids(registry.query_internal_iothreads()), ["mon"]);
    registry.delete("a").unwrap();
    IoThread::builder("a").registry(&registry).spawn().unwrap();
    assert_eq!(ids(registry.query_iothreads()), ["z", "m", "a"]);
    let mon = registry.find_internal("mon").unwrap();
    let held = mon.get_aio_context(holder::monitor("m0")).unwrap();
    assert!(
        registry
            .info_internal_iothreads()
            .contains("holders=[monitor: m0]")
    );
    drop(held);
}

#[test]
fn ids_are_identifiers_and_used_once() {
    let (registry, _io0) = thread("io0");
    let error = |id: &str| {
        let builder = IoThread::builder(id).registry(&registry);
        builder.spawn().unwrap_err().to_string()
    };
    assert_eq!(error("0io"), "Parameter 'id' expects an identifier");
    assert_eq!(error(""), "Parameter 'id' expects an identifier");
    assert_eq!(
        error("io0"),
        "attempt to add duplicate property 'io0' to object (type 'container')"
    );
    // An internal thread has a name of its own kind.
    IoThread::builder("io0")
        .registry(&registry)
        .internal()
        .spawn()
        .unwrap();
}

#[test]
fn a_refused_creation_leaves_the_id_free() {
    let registry = Registry::new();
    let error = IoThread::builder("io0")
        .registry(&registry)
        .thread_pool_min(3)
        .thread_pool_max(2)
        .spawn()
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "bad thread-pool-min/thread-pool-max values"
    );
    IoThread::builder("io0")
        .registry(&registry)
        .spawn()
        .unwrap();
}

#[test]
fn parameters_have_the_known_defaults_and_can_be_changed() {
    let (registry, io0) = thread("io0");
    let info = &registry.query_iothreads()[0];
    assert_eq!(
        (info.poll_max_ns, info.poll_grow, info.poll_shrink),
        (32_768, 2, 2)
    );
    assert_eq!((info.poll_weight, info.aio_max_batch), (3, 0));
    io0.set_parameter(Parameter::PollMaxNs, 0).unwrap();
    assert_eq!(registry.query_iothreads()[0].poll_max_ns, 0);
    let error = io0.set_parameter(Parameter::PollMaxNs, -1).unwrap_err();
    assert_eq!(
        error.to_string(),
        "poll-max-ns value must be in range [0, 9223372036854775807]"
    );
    let error = io0.set_parameter(Parameter::ThreadPoolMax, 0).unwrap_err();
    assert_eq!(
        error.to_string(),
        "bad thread-pool-min/thread-pool-max values"
    );
    assert_eq!(io0.parameters().get(Parameter::ThreadPoolMax), 64);
    let held = io0.get_aio_context(holder::monitor("m")).unwrap();
    io0.set_parameter(Parameter::AioMaxBatch, 17).unwrap();
    assert_eq!(held.aio_max_batch(), 17);
}

#[test]
fn the_free_functions_see_the_threads_of_the_program() {
    let thread = IoThread::builder("global0").spawn().unwrap();
    let internal = IoThread::builder("global-internal")
        .internal()
        .spawn()
        .unwrap();
    assert_eq!(iothread::query_iothreads()[0].id, "global0");
    assert_eq!(
        iothread::query_internal_iothreads()[0].id,
        "global-internal"
    );
    assert!(iothread::info_iothreads().starts_with("global0:\r\n  thread_id="));
    thread.delete().unwrap();
    internal.delete().unwrap();
    assert!(iothread::query_iothreads().is_empty());
}
