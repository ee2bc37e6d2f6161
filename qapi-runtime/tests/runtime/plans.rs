//! Several commands as one, and what is left when they cannot be undone.

use std::time::Duration;

use qapi_runtime::client::mock::{Mock, RunningMock};
use qapi_runtime::client::{
    CallOptions, Client, ClientErrorKind, ConnectOptions, Outcome, PlanError, blocking,
};
use qapi_runtime::{Error, Value};
use tests::{PATIENCE, eventually};

const SHORT: Duration = Duration::from_millis(100);

fn value(json: &str) -> Value {
    let document = qapi_runtime::json::Document::parse(json.as_bytes());
    document.unwrap().root().to_value()
}

fn id(id: &str) -> Option<Value> {
    Some(Value::from([("id", id)]))
}

fn node(name: &str) -> Option<Value> {
    Some(Value::from([("node-name", name)]))
}

fn done(script: Mock, command: &str, arguments: Option<Value>) -> Mock {
    script.expect(command, arguments).reply(value("{}"))
}

fn refused(script: Mock, command: &str, arguments: Option<Value>, why: &str) -> Mock {
    script
        .expect(command, arguments)
        .error(&Error::generic(why))
}

fn connect(mock: &RunningMock) -> blocking::Client {
    let options = ConnectOptions::new(mock.address()).timeout(PATIENCE);
    blocking::Client::connect(options).unwrap()
}

type Did = Result<Value, PlanError>;

fn run(plan: &mut blocking::Plan, command: &str, arguments: Option<Value>) -> Did {
    plan.execute_raw(command, arguments.as_ref(), CallOptions::new())
}

fn left(error: &PlanError) -> Vec<(&str, &str)> {
    error.left().collect()
}

fn end(client: blocking::Client, mock: RunningMock) {
    drop(client);
    assert_eq!(mock.finish(), [""; 0]);
}

/// What a plan of three steps has done, and the way back.
fn three(script: Mock, then: impl FnOnce(Mock) -> Mock) -> Mock {
    let script = script.expect("add-fd", None);
    let script = script.reply(value("{'fdset-id': 3, 'fd': 17}"));
    let script = done(script, "blockdev-add", node("n"));
    let script = done(script, "object-add", id("o"));
    let script = then(script);
    let script = done(script, "object-del", id("o"));
    let script = done(script, "blockdev-del", node("n"));
    done(
        script,
        "remove-fd",
        Some(value("{'fdset-id': 3, 'fd': 17}")),
    )
}

#[test]
fn what_was_done_is_undone_from_the_last_to_the_first() {
    let script = three(Mock::new(), |script| {
        refused(script, "chardev-add", id("c"), "no such back end")
    });
    let script = three(script, |script| done(script, "query-name", None));
    let mock = script.start().unwrap();
    let client = connect(&mock);
    let mut plan = client.plan();
    run(&mut plan, "add-fd", None).unwrap();
    run(&mut plan, "blockdev-add", node("n")).unwrap();
    run(&mut plan, "object-add", id("o")).unwrap();
    let error = run(&mut plan, "chardev-add", id("c")).unwrap_err();
    assert_eq!(
        error.to_string(),
        "chardev-add: no such back end (GenericError); what was done before is undone"
    );
    assert!(error.cause().unwrap().server_error().is_some());
    assert_eq!(plan.names().count(), 0);
    // It may be begun once more, and undone because it is wanted.
    run(&mut plan, "add-fd", None).unwrap();
    run(&mut plan, "blockdev-add", node("n")).unwrap();
    run(&mut plan, "object-add", id("o")).unwrap();
    let names: Vec<&str> = plan.names().collect();
    assert_eq!(names, ["add-fd 3", "blockdev-add n", "object-add o"]);
    client
        .execute_raw("query-name", None, CallOptions::new())
        .unwrap();
    plan.undo().unwrap();
    end(client, mock);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_done_is_undone_without_a_thread() {
    let script = three(Mock::new(), |script| {
        refused(script, "chardev-add", id("c"), "no such back end")
    });
    let mock = script.start().unwrap();
    let client = Client::connect(ConnectOptions::new(mock.address()))
        .await
        .unwrap();
    let failing = async move {
        let mut plan = client.plan();
        for (command, arguments) in [
            ("add-fd", None),
            ("blockdev-add", node("n")),
            ("object-add", id("o")),
            ("chardev-add", id("c")),
        ] {
            plan.execute_raw(command, arguments.as_ref(), CallOptions::new())
                .await?;
        }
        Ok::<(), PlanError>(())
    };
    let error = tokio::spawn(failing).await.unwrap().unwrap_err();
    assert_eq!(left(&error), []);
    assert_eq!(mock.finish(), [""; 0]);
}

/// What cannot be undone is named and kept, and does not keep the rest from being undone; what is gone is undone.
#[test]
fn what_cannot_be_undone_is_named() {
    let script = done(Mock::new(), "blockdev-add", node("a"));
    let script = done(script, "blockdev-add", node("b"));
    let script = done(script, "object-add", id("o"));
    let script = done(script, "made", None);
    let script = refused(script, "blockdev-add", node("c"), "No space");
    let script = done(script, "unmade", id("x"));
    let script = refused(script, "object-del", id("o"), "object 'o' not found");
    let script = refused(script, "blockdev-del", node("b"), "Node b is in use");
    let script = done(script, "blockdev-del", node("a"));
    let script = done(script, "blockdev-del", node("b"));
    let mock = script.start().unwrap();
    let client = connect(&mock);
    let mut plan = client.plan();
    run(&mut plan, "blockdev-add", node("a")).unwrap();
    run(&mut plan, "blockdev-add", node("b")).unwrap();
    run(&mut plan, "object-add", id("o")).unwrap();
    client
        .execute_raw("made", None, CallOptions::new())
        .unwrap();
    plan.undone_by("unmade", id("x").as_ref());
    let error = run(&mut plan, "blockdev-add", node("c")).unwrap_err();
    let why = "blockdev-del: Node b is in use (GenericError)";
    assert_eq!(left(&error), [("blockdev-add b", why)]);
    assert_eq!(
        error.to_string(),
        format!("blockdev-add: No space (GenericError); not undone: blockdev-add b ({why})")
    );
    plan.undo().unwrap();
    end(client, mock);
}

/// Nothing is sent into a silence, and the late reply decides what there is to undo.
#[test]
fn what_may_have_been_done_is_undone_when_it_is_known() {
    let script = done(Mock::new(), "blockdev-add", node("a"));
    let script = script.expect("blockdev-add", node("b"));
    let script = script.expect("wake-up", None).reply(value("{}"));
    // Now the reply that is late.
    let script = script.reply_to(1, value("{}")).reply_to(2, Value::Null);
    let script = done(script, "blockdev-del", node("b"));
    let script = done(script, "blockdev-del", node("a"));
    let mock = script.start().unwrap();
    let client = connect(&mock);
    let mut plan = client.plan().undo_within(SHORT);
    run(&mut plan, "blockdev-add", node("a")).unwrap();
    let in_short = CallOptions::new().timeout(SHORT);
    let late = plan.execute_raw("blockdev-add", node("b").as_ref(), in_short);
    let late = late.unwrap_err();
    let cause = late.cause().unwrap();
    assert!(matches!(cause.kind(), ClientErrorKind::TimedOut(SHORT)));
    let unknown = "it is not known whether it was done";
    assert_eq!(
        left(&late),
        [
            ("blockdev-add b", unknown),
            ("blockdev-add a", &*format!("not tried: {unknown}"))
        ]
    );
    assert_eq!(plan.undo().unwrap_err().left().len(), 2);
    client
        .execute_raw("wake-up", None, CallOptions::new())
        .unwrap();
    eventually(|| matches!(cause.outcome(), Outcome::Done(_)));
    plan = plan.undo_within(PATIENCE);
    plan.undo().unwrap();
    end(client, mock);
}

/// A reply that comes while the plan still waits for it decides at once.
#[test]
fn a_reply_that_is_a_little_late_is_waited_for() {
    for is_done in [true, false] {
        // A machine that is busy may see the reply in time.
        let mut delay = 3 * SHORT;
        loop {
            let script = done(Mock::new(), "blockdev-add", node("a"));
            let script = script.expect("blockdev-add", node("b")).delay(delay);
            let script = match is_done {
                true => done(script.reply(value("{}")), "blockdev-del", node("b")),
                false => script.error(&Error::generic("no")),
            };
            let script = done(script, "blockdev-del", node("a"));
            let mock = script.start().unwrap();
            let client = connect(&mock);
            let mut plan = client.plan().undo_within(PATIENCE);
            run(&mut plan, "blockdev-add", node("a")).unwrap();
            let in_short = CallOptions::new().timeout(SHORT);
            match plan.execute_raw("blockdev-add", node("b").as_ref(), in_short) {
                Err(late)
                    if matches!(late.cause().unwrap().kind(), ClientErrorKind::TimedOut(_)) =>
                {
                    assert_eq!(left(&late), []);
                    break end(client, mock);
                }
                Ok(_) | Err(_) => delay *= 2,
            }
        }
    }
}

/// A connection that is lost may have taken everything with it, and it is said so.
#[test]
fn what_was_on_a_lost_connection_is_named() {
    let script = done(Mock::new(), "blockdev-add", node("a"));
    let script = script.expect("device_add", id("d")).disconnect();
    let mock = script.start().unwrap();
    let client = connect(&mock);
    let mut plan = client.plan();
    run(&mut plan, "blockdev-add", node("a")).unwrap();
    let lost = run(&mut plan, "device_add", id("d")).unwrap_err();
    assert_eq!(lost.cause().unwrap().outcome(), Outcome::ConnectionLost);
    let names: Vec<&str> = lost.left().map(|(name, _)| name).collect();
    assert_eq!(names, ["device_add d", "blockdev-add a"]);
    assert_eq!(
        lost.left().next().unwrap().1,
        "the connection was lost before it was answered"
    );
}

#[test]
fn what_is_there_already_is_left_alone() {
    let script = Mock::new().expect("query-named-block-nodes", None);
    let script = script.reply(value("[{'node-name': 'x'}, {'node-name': 'n'}]"));
    let script = script.expect("qom-list", Some(value("{'path': '/objects'}")));
    let script = script.reply(value("[{'name': 'type'}]"));
    let script = done(script, "object-add", id("o"));
    // Another client is faster.
    let script = script.expect("query-chardev", None).reply(value("[]"));
    let script = refused(
        script,
        "chardev-add",
        id("c"),
        "Chardev with id 'c' already exists",
    );
    let script = script.expect("query-fdsets", None);
    let script = script.reply(value("[{'fdset-id': 7}]"));
    let script = done(script, "object-del", id("o"));
    let mock = script.start().unwrap();
    let client = connect(&mock);
    let mut plan = client.plan();
    let mut ensure = |command: &str, arguments: Option<Value>| {
        plan.ensure_raw(command, arguments.as_ref(), CallOptions::new())
    };
    assert!(!ensure("blockdev-add", node("n")).unwrap());
    assert!(ensure("object-add", id("o")).unwrap());
    assert!(!ensure("chardev-add", id("c")).unwrap());
    assert!(!ensure("add-fd", Some(value("{'fdset-id': 7}"))).unwrap());
    let error = ensure("netdev_add", id("e")).unwrap_err();
    assert_eq!(
        error.to_string(),
        "netdev_add: no query tells whether that is there already; what was done before is undone"
    );
    end(client, mock);
}

/// A device goes when the guest lets it go: not at all, not in time, later.
#[test]
fn a_device_is_undone_when_it_is_gone() {
    let gone = |id: &str| Some(Value::from([("device", id)]));
    let busy = "Device d is already in the process of unplug";
    let script = done(Mock::new(), "device_add", id("d"));
    let script = script.expect("device_del", id("d")).reply(value("{}"));
    let script = script.event("DEVICE_DELETED", gone("other"));
    let script = script.event("DEVICE_UNPLUG_GUEST_ERROR", gone("d"));
    let script = done(script, "device_del", id("d"));
    let script = refused(script, "device_del", id("d"), busy);
    let script = script.event("DEVICE_DELETED", gone("d"));
    let script = done(script, "device_add", id("d"));
    let script = done(script, "device_del", id("d"));
    let script = script.event("DEVICE_DELETED", gone("d"));
    let mock = script.start().unwrap();
    let client = connect(&mock);
    let mut plan = client.plan();
    run(&mut plan, "device_add", id("d")).unwrap();
    let kept = plan.undo().unwrap_err();
    let why = "the guest keeps it (DEVICE_UNPLUG_GUEST_ERROR)";
    assert_eq!(left(&kept), [("device_add d", why)]);
    plan = plan.undo_within(SHORT);
    let kept = plan.undo().unwrap_err();
    assert_eq!(left(&kept).len(), 1);
    plan = plan.undo_within(PATIENCE);
    plan.undo().unwrap();
    run(&mut plan, "device_add", id("d")).unwrap();
    plan.undo().unwrap();
    end(client, mock);
}

#[test]
fn what_cannot_be_undone_is_not_begun() {
    let script = done(Mock::new(), "blockdev-add", node("a"));
    let script = done(script, "blockdev-del", node("a"));
    let mock = script.start().unwrap();
    let client = connect(&mock);
    let mut plan = client.plan();
    run(&mut plan, "blockdev-add", node("a")).unwrap();
    let error = run(&mut plan, "device_add", None).unwrap_err();
    assert_eq!(
        error.to_string(),
        "device_add: what undoes it is not known; what was done before is undone"
    );
    assert_eq!(error.cause().unwrap().outcome(), Outcome::NotSent);
    let error = run(&mut plan, "system_reset", None).unwrap_err();
    assert!(matches!(
        error.cause().unwrap().kind(),
        ClientErrorKind::NoUndo
    ));
    end(client, mock);
}

/// What is shown is what the live test runs.
#[test]
fn the_readme_has_the_example() {
    let example = include_str!("../../examples/hot-plug.rs");
    assert!(example.lines().count() < 40);
    assert!(include_str!("../../README.md").contains(example));
}
