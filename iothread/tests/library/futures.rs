//! Futures on a loop.

use std::future::Future;
use std::pin::pin;
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::Duration;

use iothread::{Clock, ContextError, Interest, MainLoop, TaskError};

use crate::fixture::{held, pair, read_byte, thread, thread_with_panics, unannounced};

struct Parked(Thread);

impl Wake for Parked {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Waits for a future on a thread that runs no loop.
fn wait<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    let waker = Waker::from(Arc::new(Parked(std::thread::current())));
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(outcome) => return outcome,
            Poll::Pending => std::thread::park(),
        }
    }
}

#[test]
fn an_async_function_runs_on_the_thread_from_end_to_end() {
    let io0 = thread("io0");
    let context = held(&io0);
    let view = context.downgrade();
    let (near, far) = pair();
    let near = Arc::new(near);
    let task = context
        .spawn_future(async move {
            let mut steps = vec![view.is_current()];
            view.sleep(Clock::Monotonic, Duration::from_millis(1))?
                .await?;
            steps.push(view.is_current());
            let on_worker = view.downgrade();
            let work = move || (on_worker.is_current(), 7);
            let (worked_here, result) = view.run_blocking(work)?.await?;
            steps.push(view.is_current() && !worked_here && result == 7);
            let ready = view.ready(Arc::clone(&near), Interest::READ)?.await?;
            steps.push(view.is_current() && ready == Interest::READ);
            steps.push(read_byte(&near) == b'x');
            Ok::<_, Box<dyn std::error::Error + Send + Sync>>(steps)
        })
        .unwrap();
    std::io::Write::write_all(&mut &far, b"x").unwrap();
    let steps = wait(task).unwrap().unwrap();
    assert_eq!(steps, [true; 5]);
    context.release();
    assert!(io0.holders().is_empty());
}

#[test]
fn any_thread_wakes_it_and_once_is_enough() {
    let io0 = thread("io0");
    let context = held(&io0);
    let shared: Arc<Mutex<(usize, Option<Waker>)>> = Arc::default();
    let inner = Arc::clone(&shared);
    let (polled, polls) = channel();
    let task = context
        .spawn_future(std::future::poll_fn(move |task| {
            let mut state = inner.lock().unwrap();
            state.1 = Some(task.waker().clone());
            polled.send(()).unwrap();
            match state.0 {
                3 => Poll::Ready("over"),
                _ => Poll::Pending,
            }
        }))
        .unwrap();
    polls.recv().unwrap();
    for _ in 0..3 {
        let shared = Arc::clone(&shared);
        std::thread::spawn(move || {
            let mut state = shared.lock().unwrap();
            state.0 += 1;
            let waker = state.1.clone().unwrap();
            drop(state);
            waker.wake_by_ref();
        })
        .join()
        .unwrap();
        polls.recv().unwrap();
    }
    assert_eq!(wait(task), Ok("over"));
    // A waker that is left over wakes nobody.
    let waker = shared.lock().unwrap().1.clone().unwrap();
    waker.wake();
    context.synchronize().unwrap();
    assert!(polls.try_recv().is_err());
}

/// Says when it is dropped.
struct Told(std::sync::mpsc::Sender<()>);

impl Drop for Told {
    fn drop(&mut self) {
        // Not every test listens to the end.
        let _ = self.0.send(());
    }
}

#[test]
fn a_release_ends_a_future_that_waits_for_ever() {
    let io0 = thread("io0");
    let context = held(&io0);
    let (sent, dropped) = channel();
    let told = Told(sent);
    let task = context
        .spawn_future(async move {
            let _told = told;
            std::future::pending::<()>().await;
        })
        .unwrap();
    let sleep = context
        .sleep(Clock::Monotonic, Duration::from_secs(1_000_000))
        .unwrap();
    let view = context.downgrade();
    context.synchronize().unwrap();
    assert!(dropped.try_recv().is_err());
    context.release();
    dropped.try_recv().unwrap();
    let given_up = TaskError::GivenUp {
        context: "io0".to_owned(),
    };
    assert_eq!(wait(task), Err(given_up.clone()));
    assert_eq!(wait(sleep), Err(given_up));
    let refused = view.spawn_future(async {}).unwrap_err();
    assert!(matches!(refused, ContextError::Released { .. }));
    io0.delete().unwrap();
}

#[test]
fn a_future_that_panics_is_over_and_reported() {
    let _expected = ["in a future", "in work"].map(tests::panics::expect);
    let io0 = thread_with_panics("io0");
    let context = held(&io0);
    let panicked = TaskError::Panicked {
        context: "io0".to_owned(),
    };
    let task = context
        .spawn_future(async { panic!("in a future") })
        .unwrap();
    assert_eq!(wait(task), Err::<(), _>(panicked.clone()));
    let work = context.run_blocking(|| panic!("in work")).unwrap();
    assert_eq!(wait(work), Err::<(), _>(panicked));
    assert_eq!(io0.stats().panics, 2);
}

#[test]
fn what_is_not_waited_for_any_more_goes_on_or_is_taken_back() {
    let mut main_loop = MainLoop::builder().on_panic(unannounced).build().unwrap();
    let main = main_loop.context();
    let (near, _far) = pair();
    let sleep = main
        .sleep(Clock::Monotonic, Duration::from_secs(1_000_000))
        .unwrap();
    let ready = main.ready(near, Interest::READ).unwrap();
    assert_eq!(main.stats().fds, 1);
    drop((sleep, ready));
    assert_eq!(main.stats().fds, 0);
    let (sent, ran) = channel();
    drop(main.spawn_future(async move { sent.send(()).unwrap() }));
    main_loop.run_once(true).unwrap();
    ran.try_recv().unwrap();
}
