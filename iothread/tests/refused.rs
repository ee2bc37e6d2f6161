//! What a loop does on a host that refuses system calls: a helper process under `strace`, which has the kernel refuse them.

use std::io::ErrorKind;
use std::process::{Command, Stdio};
use std::sync::mpsc::channel;
use std::time::Duration;

use iothread::{Clock, CreateError, IoThread, MainLoop, Registry, holder};

/// Says to the helper what it is to do.
const TASK: &str = "IOTHREAD_TEST_TASK";

/// Why the kernel cannot be made to refuse anything, if it cannot.
fn lacks() -> Option<String> {
    if tests::is_emulated() {
        return Some("calls that are refused: strace sees those of the emulator".to_owned());
    }
    let tried = Command::new("strace")
        .args(["-qq", "-o", "/dev/null", "true"])
        .stdin(Stdio::null())
        .output();
    match tried {
        Ok(output) if output.status.success() => None,
        Ok(output) => {
            let text = String::from_utf8_lossy(&output.stderr).into_owned();
            Some(format!("strace cannot trace: {}", text.trim()))
        }
        Err(error) => Some(format!("no strace: {error}")),
    }
}

/// Runs a task of the helper once for each way in which the kernel is to refuse calls.
fn run(task: &str, injections: &[&str]) {
    if let Some(reason) = lacks() {
        println!("skipped: {reason}");
        return;
    }
    let helper = std::env::current_exe().expect("a test that runs");
    for inject in injections {
        let output = Command::new("strace")
            .args(["-f", "-qq", "-o", "/dev/null", "-e"])
            .arg(format!("inject={inject}"))
            .arg(&helper)
            // The calls of each thread are counted apart; so the helper runs on the first thread.
            .args(["--exact", "helper", "--nocapture", "--test-threads=1"])
            .env(TASK, task)
            .stdin(Stdio::null())
            .output()
            .expect("a program that has just been run");
        assert!(
            output.status.success(),
            "{task} under {inject}: {}\n{}{}",
            output.status,
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr),
        );
    }
}

/// The helper: does nothing unless it is told to.
#[test]
fn helper() {
    match std::env::var(TASK).as_deref() {
        Ok("idle") => be_idle(),
        Ok("fail") => fail(),
        Ok("spawn") => spawn(),
        Ok("work") => work(),
        Ok("affinity") => affinity(),
        Ok("duplicate") => duplicate(),
        Ok(other) => panic!("unknown task {other}"),
        Err(_) => {}
    }
}

#[test]
fn loops_sleep_and_have_timers_where_epoll_pwait2_is_refused() {
    run(
        "idle",
        &[
            "epoll_pwait2:error=ENOSYS",
            "epoll_pwait2:error=EPERM",
            "epoll_pwait2:error=ENOSYS:when=100+",
            "epoll_pwait2,timerfd_create:error=ENOSYS",
        ],
    );
}

fn be_idle() {
    let io0 = IoThread::builder("io0")
        .registry(&Registry::new())
        .spawn()
        .expect("a thread, which is not refused");
    let context = io0
        .get_aio_context(holder::monitor("m"))
        .expect("a thread that exists");
    let mut main_loop = MainLoop::new().expect("descriptors, which are not refused");
    let main = main_loop.context();
    let (sent, fired) = channel();
    // The calls that are allowed, if any are.
    for _ in 0..120 {
        context.synchronize().expect("a loop that goes on");
    }
    for delay in [Duration::from_micros(200), Duration::from_millis(300)] {
        let before = (context.stats().iterations, main.stats().iterations);
        let sent = sent.clone();
        let quitting = main.clone();
        let timer = context
            .timer(Clock::Monotonic, move |dispatch| {
                sent.send(dispatch.now(Clock::Monotonic))
                    .expect("the helper listens");
                quitting.quit();
            })
            .expect("a context that is held");
        let due = context.now(Clock::Monotonic) + delay;
        timer.arm_at(due);
        main_loop.run().expect("a loop that goes on");
        assert!(fired.recv().expect("a timer that fired") >= due);
        let after = (context.stats().iterations, main.stats().iterations);
        // Thousands, if a refusal ended the wait.
        assert!(after.0 - before.0 <= 10, "{before:?} to {after:?}");
        assert!(after.1 - before.1 <= 10, "{before:?} to {after:?}");
    }
}

#[test]
fn a_loop_that_may_not_wait_ends_with_an_error() {
    run(
        "fail",
        &[
            "epoll_pwait2:error=EBADF",
            "epoll_pwait2:error=EINVAL:when=3+",
            "epoll_pwait2,epoll_wait,epoll_pwait:error=ENOSYS",
        ],
    );
}

fn fail() {
    let (sent, failed) = channel();
    let io0 = IoThread::builder("io0")
        .registry(&Registry::new())
        .on_failure(move |failure| sent.send(failure.clone()).expect("the helper listens"))
        .spawn()
        .expect("a thread, which is not refused");
    // As many waits as are allowed.
    let context = io0
        .get_aio_context(holder::monitor("m"))
        .expect("a thread that exists");
    let failure = loop {
        match failed.try_recv() {
            Ok(failure) => break failure,
            // It may fail at any moment.
            Err(_) => drop(context.synchronize()),
        }
    };
    assert_eq!(failure.context, "io0");
    assert!(io0.failure().is_some());
    assert!(context.post(|_| ()).is_err());
    context.release();
    assert!(io0.holders().is_empty());
    io0.delete().expect("a thread that nobody holds");

    let mut main_loop = MainLoop::new().expect("descriptors, which are not refused");
    let main = main_loop.context();
    let timer = main
        .timer(Clock::Monotonic, |_| ())
        .expect("a loop that is there");
    let failure = loop {
        if !timer.is_armed() {
            timer.arm_after(Duration::from_millis(20));
        }
        if let Err(failure) = main_loop.run_once(true) {
            break failure;
        }
    };
    assert_eq!(failure.context, "main-loop");
    assert!(main_loop.run().is_err());
}

#[test]
fn a_thread_that_the_host_refuses_is_an_error() {
    run(
        "spawn",
        &[
            "clone,clone3:error=EAGAIN:when=3+",
            "eventfd2:error=EMFILE",
            "epoll_create1:error=ENFILE",
        ],
    );
}

fn spawn() {
    let registry = Registry::new();
    // Some are allowed.
    let refused = (0..4).find_map(|number| {
        let builder = IoThread::builder(format!("io{number}")).registry(&registry);
        builder.spawn().err().map(|error| (number, error))
    });
    let (number, error) = refused.expect("a refusal of the host");
    let CreateError::Host { id, source } = error else {
        panic!("{error}");
    };
    assert_eq!(id, format!("io{number}"));
    assert!(source.raw_os_error().is_some());
    // Nothing is left behind.
    assert_eq!(registry.threads().len(), number);
    assert!(registry.find(&id).is_none());
}

#[test]
fn work_is_done_where_the_host_has_no_thread_for_it() {
    run(
        "work",
        &[
            "clone,clone3:error=EAGAIN",
            "clone,clone3:error=EAGAIN:when=2+",
        ],
    );
}

/// With no worker, and with one.
fn work() {
    let mut main_loop = MainLoop::new().expect("descriptors, which are not refused");
    let main = main_loop.context();
    let (sent, done) = channel();
    for number in 0..50 {
        let sent = sent.clone();
        main.spawn_blocking(
            move || number,
            move |_, result| {
                sent.send(result.expect("no panic"))
                    .expect("the helper listens")
            },
        )
        .expect("a loop that is there");
    }
    drop(sent);
    let mut numbers = Vec::new();
    while numbers.len() < 50 {
        main_loop.run_once(true).expect("a loop that may wait");
        numbers.extend(done.try_iter());
    }
    numbers.sort_unstable();
    assert!(numbers.into_iter().eq(0..50));
    assert!(main.stats().workers <= 1);
    // A worker counts its work off after it has handed over what came of it.
    tests::eventually(|| main.stats().work == 0);
}

#[test]
fn processors_that_the_host_keeps_to_itself_are_an_error() {
    run(
        "affinity",
        &[
            "sched_getaffinity,sched_setaffinity:error=ENOSYS",
            "sched_getaffinity,sched_setaffinity:error=EPERM",
            "sched_getaffinity,sched_setaffinity:error=ENOSYS:when=100+",
            "sched_getaffinity,sched_setaffinity:error=EPERM:when=100+",
        ],
    );
}

fn affinity() {
    let io0 = IoThread::builder("io0")
        .registry(&Registry::new())
        .spawn()
        .expect("a thread, which is not refused");
    let refused = [ErrorKind::Unsupported, ErrorKind::PermissionDenied];
    let processors = io0.cpu_affinity().unwrap_or_default();
    let error = (0..100)
        .find_map(|_| io0.cpu_affinity().err())
        .expect("a refusal of the host");
    assert!(refused.contains(&error.kind()), "{error}");
    let error = (0..100)
        .find_map(|_| io0.set_cpu_affinity(&processors).err())
        .expect("a refusal of the host");
    assert!(refused.contains(&error.kind()), "{error}");
    // It goes on.
    let context = io0
        .get_aio_context(holder::monitor("m"))
        .expect("a thread that exists");
    context.synchronize().expect("a loop that goes on");
}

#[test]
fn a_host_that_duplicates_no_descriptors_says_so_and_watches_what_is_lent() {
    run(
        "duplicate",
        &[
            "pidfd_getfd:error=ENOSYS",
            "pidfd_getfd:error=EPERM",
            "pidfd_getfd:error=EPERM:when=100+",
            "pidfd_getfd:error=ENOSYS:when=100+",
            "pidfd_open:error=ENOSYS",
            "pidfd_open:error=EPERM",
            "pidfd_open:error=ENOSYS:when=100+",
            "pidfd_open:error=EPERM:when=100+",
        ],
    );
}

fn duplicate() {
    let mut main_loop = MainLoop::new().expect("descriptors, which are not refused");
    let kick = rustix::event::eventfd(0, rustix::event::EventfdFlags::NONBLOCK)
        .expect("descriptors, which are not refused");
    let error = (0..100)
        .find_map(|_| iothread::duplicate(&kick).err())
        .expect("a refusal of the host");
    assert!(matches!(
        error.kind(),
        ErrorKind::Unsupported | ErrorKind::PermissionDenied
    ));
    assert!(error.to_string().starts_with("pidfd_"), "{error}");
    let (sent, counts) = channel();
    rustix::io::write(&kick, &2_u64.to_ne_bytes()).expect("an eventfd that is not full");
    let _watch = main_loop
        .context()
        .watch_eventfd(kick, move |count, _| {
            sent.send(count).expect("the helper listens");
        })
        .expect("a loop that is there");
    main_loop.run_once(true).expect("a loop that may wait");
    assert_eq!(counts.try_recv(), Ok(2));
}
