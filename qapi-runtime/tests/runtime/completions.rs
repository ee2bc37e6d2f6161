//! Commands with what completes them: the first of several events, and jobs to their end.

use std::time::Duration;

use qapi_runtime::client::mock::{Mock, RunningMock};
use qapi_runtime::client::{
    CallOptions, Client, ClientErrorKind, ConnectOptions, EventFilter, JobState, Outcome, blocking,
};
use qapi_runtime::{Error, Value};
use tests::PATIENCE;

const SHORT: Duration = Duration::from_millis(100);

fn value(json: &str) -> Value {
    let document = qapi_runtime::json::Document::parse(json.as_bytes());
    document.unwrap().root().to_value()
}

fn device(id: &str) -> Option<Value> {
    Some(Value::from([("device", id)]))
}

fn deleted(id: &str) -> EventFilter {
    EventFilter::names(["DELETED", "REFUSED"]).with_member("device", id)
}

fn in_time() -> CallOptions {
    CallOptions::new().timeout(PATIENCE)
}

fn in_short() -> CallOptions {
    CallOptions::new().timeout(SHORT)
}

fn connect(mock: &RunningMock) -> blocking::Client {
    blocking::Client::connect(ConnectOptions::new(mock.address())).unwrap()
}

async fn connect_too(mock: &RunningMock) -> Client {
    let options = ConnectOptions::new(mock.address());
    Client::connect(options).await.unwrap()
}

/// Events of others, the same event from before the command, one before the reply and one after it.
fn unplugging() -> RunningMock {
    let script = Mock::new()
        .expect("before", None)
        .event("DELETED", device("a"))
        .reply(Value::Null)
        .expect("del", None)
        .event("DELETED", device("b"))
        .event("REFUSED", device("a"))
        .reply(Value::from("early"))
        .expect("del", None)
        .reply(Value::from("late"))
        .event("DELETED", device("b"))
        .event("DELETED", device("a"));
    script.start().unwrap()
}

#[test]
fn the_first_event_after_a_command_completes_it() {
    let mock = unplugging();
    let client = connect(&mock);
    client.execute_raw("before", None, in_time()).unwrap();
    for (returned, name) in [("early", "REFUSED"), ("late", "DELETED")] {
        let done = client.execute_raw_until("del", None, deleted("a"), in_time());
        let (value, event) = done.unwrap();
        assert_eq!((value.as_str(), event.name()), (Some(returned), name));
        assert_eq!(event.data().get("device").unwrap().as_str(), Some("a"));
    }
    drop(client);
    assert_eq!(mock.finish(), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_event_after_a_command_completes_it_without_a_thread() {
    let mock = unplugging();
    let client = connect_too(&mock).await;
    client.execute_raw("before", None, in_time()).await.unwrap();
    for (returned, name) in [("early", "REFUSED"), ("late", "DELETED")] {
        let client = client.clone();
        let done = async move {
            let done = client.execute_raw_until("del", None, deleted("a"), in_time());
            done.await
        };
        // Others may do it.
        let (value, event) = tokio::spawn(done).await.unwrap().unwrap();
        assert_eq!((value.as_str(), event.name()), (Some(returned), name));
    }
}

/// What was executed and not completed says both; what was refused is not waited for.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_completed_is_told() {
    let script = || {
        let refused = Error::generic("Device 'a' is busy");
        let script = Mock::new().expect("del", None).error(&refused);
        let script = script.expect("del", None).reply(Value::Int(1));
        let script = script.expect("del", None).reply(Value::Int(2)).disconnect();
        script.event("DELETED", device("a")).start().unwrap()
    };
    let check = |n: usize, error: &qapi_runtime::client::ClientError| match n {
        0 => assert!(error.server_error().is_some(), "{error:?}"),
        1 => {
            let timed_out = matches!(error.kind(), ClientErrorKind::TimedOut(SHORT));
            assert!(timed_out, "{error:?}");
            // Mostly it has come by now.
            let outcome = error.late_reply().unwrap().wait(PATIENCE);
            assert_eq!(outcome, Outcome::Done(Value::Int(1)));
        }
        _ => {
            // The event of the next connection is not of this command.
            assert!(matches!(error.kind(), ClientErrorKind::Closed), "{error:?}");
            assert_eq!(error.outcome(), Outcome::Done(Value::Int(2)));
        }
    };
    let options = [in_time, in_short, in_time];
    let mock = script();
    let reconnecting = ConnectOptions::new(mock.address()).reconnect(PATIENCE);
    let client = blocking::Client::connect(reconnecting).unwrap();
    for (n, options) in options.into_iter().enumerate() {
        let failed = client.execute_raw_until("del", None, deleted("a"), options());
        check(n, &failed.unwrap_err());
    }
    let mock = script();
    let reconnecting = ConnectOptions::new(mock.address()).reconnect(PATIENCE);
    let client = Client::connect(reconnecting).await.unwrap();
    for (n, options) in options.into_iter().enumerate() {
        let failed = client.execute_raw_until("del", None, deleted("a"), options());
        check(n, &failed.await.unwrap_err());
    }
}

/// What a job goes through, and the client's share in it.
fn jobs() -> RunningMock {
    let status = |script: Mock, status: &str| {
        let data = Value::from([("id", "j"), ("status", status)]);
        script.event("JOB_STATUS_CHANGE", Some(data))
    };
    let listed = |state: &str| value(&format!("[{{'id': 'i'}}, {{'id': 'j', {state}}}]"));
    let id = || Some(Value::from([("id", "j")]));
    // Everything, and dismissed by the client; nothing of it is waited for before the reply.
    let script = status(Mock::new().expect("mirror", None), "created");
    let script = script.reply(value("{}"));
    let script = script.event("BLOCK_JOB_READY", device("j"));
    let script = script.expect("job-complete", id()).reply(value("{}"));
    let script = script.event("BLOCK_JOB_PENDING", Some(Value::from([("id", "j")])));
    let script = script.expect("job-finalize", id()).reply(value("{}"));
    let script = status(script, "concluded");
    let script = script.expect("query-jobs", None);
    let script = script.reply(listed("'status': 'concluded'"));
    let script = script.expect("job-dismiss", id()).reply(value("{}"));
    let script = status(script, "null");
    // Goes by itself, and has told why it failed. What is told before is of the one before.
    let script = status(script.expect("mirror", None), "created");
    let script = script.event(
        "BLOCK_JOB_COMPLETED",
        Some(value("{'device': 'j', 'error': 'No space'}")),
    );
    let script = status(script, "concluded");
    let script = status(script, "null").reply(value("{}"));
    let script = script.expect("query-jobs", None).reply(value("[]"));
    // Found on the next connection, concluded.
    let script = script.expect("query-jobs", None);
    let script = script.reply(listed("'status': 'concluded', 'error': 'Bad'"));
    let script = script.expect("query-jobs", None);
    let script = script.reply(listed("'status': 'concluded', 'error': 'Bad'"));
    let script = script.expect("job-dismiss", id()).reply(value("{}"));
    let script = script.expect("query-jobs", None).reply(value("[]"));
    script.start().unwrap()
}

#[test]
fn jobs_are_followed_to_their_end() {
    let mock = jobs();
    let client = connect(&mock);
    let mut job = client
        .start_raw_job("mirror", None, "j", in_time())
        .unwrap();
    assert_eq!(job.wait(Some(PATIENCE)).unwrap(), JobState::Ready);
    // It goes on when somebody says so.
    let error = job.wait(Some(SHORT)).unwrap_err();
    assert!(error.to_string().ends_with("(of the job 'j')"), "{error}");
    client
        .execute_raw("job-complete", Some(&Value::from([("id", "j")])), in_time())
        .unwrap();
    assert_eq!(job.finish(Some(PATIENCE)).unwrap(), JobState::Completed);
    assert_eq!(job.wait(None).unwrap(), JobState::Completed);
    let mut job = client
        .start_raw_job("mirror", None, "j", in_time())
        .unwrap();
    let failed = JobState::Failed("No space".into());
    assert_eq!(job.finish(Some(PATIENCE)).unwrap(), failed);
    let mut job = client.find_job("j").unwrap().unwrap();
    let failed = JobState::Failed("Bad".into());
    assert_eq!(job.finish(Some(PATIENCE)).unwrap(), failed);
    assert!(client.find_job("j").unwrap().is_none());
    drop(client);
    assert_eq!(mock.finish(), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_are_followed_to_their_end_without_a_thread() {
    let mock = jobs();
    let client = connect_too(&mock).await;
    let job = client.start_raw_job("mirror", None, "j", in_time()).await;
    let mut job = job.unwrap();
    let finished = tokio::spawn(async move { job.finish(Some(PATIENCE)).await });
    assert_eq!(finished.await.unwrap().unwrap(), JobState::Completed);
    let job = client.start_raw_job("mirror", None, "j", in_time()).await;
    let failed = JobState::Failed("No space".into());
    assert_eq!(job.unwrap().finish(Some(PATIENCE)).await.unwrap(), failed);
    let job = client.find_job("j").await.unwrap();
    let failed = JobState::Failed("Bad".into());
    let mut job = job.unwrap();
    assert_eq!(job.wait(Some(PATIENCE)).await.unwrap(), failed);
    assert!(client.find_job("j").await.unwrap().is_none());
}
