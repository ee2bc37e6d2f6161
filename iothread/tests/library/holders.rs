//! Holders of real threads: order, releases, deletion, queries.

use std::time::Duration;

use iothread::{
    CreateError, DeleteError, HoldError, Holder, HolderKind, IoThread, IoThreadInfo, Parameter,
    ParameterError, Registry, UnrefError, holder,
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
    assert_eq!(io0.holder_counts().of(HolderKind::BLOCK_EXPORT), 3);
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
fn a_program_has_kinds_of_its_own() {
    const VCPU: HolderKind = HolderKind::new("vcpu");
    let (_registry, io0) = thread("io0");
    let cpu = Holder::new(VCPU, "0");
    let context = io0.get_aio_context(cpu.clone()).unwrap();
    io0.ref_holder(Holder::new(HolderKind::new("net"), "0"))
        .unwrap();
    // Two names of one kind are the same kind, wherever they are written.
    let same = Holder::new(HolderKind::new(&String::from("vcpu").leak()[..]), "0");
    io0.ref_holder(same.clone()).unwrap();
    assert_eq!(same, cpu);
    assert_eq!(context.holder(), Some(&cpu));
    let names: Vec<_> = io0.holders().iter().map(Holder::to_string).collect();
    assert_eq!(names, ["vcpu '0'", "net '0'", "vcpu '0'"]);
    assert_eq!(io0.holder_counts().of(VCPU), 2);
    assert_eq!(io0.holder_counts().total(), 3);
    io0.unref_holder(&cpu).unwrap();
    assert!(io0.unref_holder(&cpu).is_err());
    io0.unref_holder(&Holder::new(HolderKind::new("net"), "0"))
        .unwrap();
    let counts = io0.holder_counts();
    assert_eq!(counts.iter().collect::<Vec<_>>(), [(VCPU, 1)]);
}

#[test]
fn deletion_is_refused_while_held() {
    let (registry, io0) = thread("io0");
    let held = io0.get_aio_context(holder::monitor("m0")).unwrap();
    let error = registry.delete("io0").unwrap_err();
    let id = || "io0".to_owned();
    assert_eq!(
        error,
        DeleteError::InUse {
            id: id(),
            n_holders: 1
        }
    );
    assert_eq!(registry.query_iothreads().len(), 1);
    // Refused, and not half done: it can still be held.
    drop(io0.get_aio_context(holder::monitor("m1")).unwrap());
    drop(held);
    registry.delete("io0").unwrap();
    assert!(registry.query_iothreads().is_empty());
    assert_eq!(io0.delete(), Err(DeleteError::NotFound { id: id() }));
    let error = io0.get_aio_context(holder::monitor("m0")).unwrap_err();
    assert_eq!(error, HoldError::Deleted { id: id() });
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
    let ids =
        |list: Vec<IoThreadInfo>| -> Vec<String> { list.into_iter().map(|info| info.id).collect() };
    assert_eq!(ids(registry.query_iothreads()), ["z", "a", "m"]);
    assert_eq!(ids(registry.query_internal_iothreads()), ["mon"]);
    registry.delete("a").unwrap();
    IoThread::builder("a").registry(&registry).spawn().unwrap();
    assert_eq!(ids(registry.query_iothreads()), ["z", "m", "a"]);
    let mon = registry.find_internal("mon").unwrap();
    let held = mon.get_aio_context(holder::monitor("m0")).unwrap();
    assert_eq!(
        registry.query_internal_iothreads()[0].holders,
        [holder::monitor("m0")]
    );
    drop(held);
}

#[test]
fn ids_are_identifiers_and_used_once() {
    let (registry, _io0) = thread("io0");
    let error = |id: &str| {
        let builder = IoThread::builder(id).registry(&registry);
        builder.spawn().unwrap_err()
    };
    for bad in ["0io", "", "-", "a b", "\u{e9}"] {
        assert!(matches!(error(bad), CreateError::BadId { id } if id == bad));
    }
    assert!(matches!(error("io0"), CreateError::Duplicate { id } if id == "io0"));
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
    assert!(matches!(
        error,
        CreateError::Parameter(ParameterError::ThreadPool { min: 3, max: 2 })
    ));
    IoThread::builder("io0")
        .registry(&registry)
        .spawn()
        .unwrap();
}

#[test]
fn parameters_have_the_known_defaults_and_can_be_changed() {
    let (registry, io0) = thread("io0");
    let parameters = || registry.query_iothreads()[0].parameters;
    let known = parameters();
    assert_eq!(known.poll_max(), Duration::from_nanos(32_768));
    assert_eq!((known.poll_grow(), known.poll_shrink()), (2, 2));
    assert_eq!((known.poll_weight(), known.aio_max_batch()), (3, 0));
    io0.set_parameter(Parameter::PollMaxNs, 0).unwrap();
    assert_eq!(parameters().poll_max(), Duration::ZERO);
    let error = io0.set_parameter(Parameter::PollMaxNs, -1).unwrap_err();
    assert_eq!(
        error,
        ParameterError::OutOfRange {
            parameter: Parameter::PollMaxNs,
            value: -1
        }
    );
    let error = io0.set_parameter(Parameter::ThreadPoolMax, 0).unwrap_err();
    assert_eq!(error, ParameterError::ThreadPool { min: 0, max: 0 });
    assert_eq!(parameters().thread_pool_max(), 64);
    let held = io0.get_aio_context(holder::monitor("m")).unwrap();
    io0.set_parameter(Parameter::AioMaxBatch, 17).unwrap();
    assert_eq!(held.parameters().aio_max_batch(), 17);
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
    thread.delete().unwrap();
    internal.delete().unwrap();
    assert!(iothread::query_iothreads().is_empty());
}
