//! Contexts with several owners.

use std::sync::mpsc::{TryRecvError, channel};
use std::sync::{Arc, Barrier};

use iothread::{CallError, Clock, ContextError, MainLoop, SharedContext, holder};

use crate::fixture::{held, pair, thread, unannounced};

/// Everything that a context that was released refuses.
fn refusals(context: &SharedContext) -> Vec<Option<ContextError>> {
    let weak = context.downgrade();
    let (near, _far) = pair();
    vec![
        context.post(|_| ()).err(),
        context.post_after(std::time::Duration::ZERO, |_| ()).err(),
        context.spawn_blocking(|| (), |_, _| ()).err(),
        context.timer(Clock::Monotonic, |_| ()).err(),
        context.bottom_half(|_| ()).err(),
        context.watch(near).on_readable(|_, _| ()).register().err(),
        match context.call(|_| ()) {
            Err(CallError::Context(error)) => Some(error),
            _ => None,
        },
        weak.post(|_| ()).err(),
        weak.spawn_blocking(|| (), |_, _| ()).err(),
    ]
}

fn assert_released(context: &SharedContext) {
    assert!(context.is_released());
    for refusal in refusals(context) {
        let is_released = matches!(refusal, Some(ContextError::Released { .. }));
        assert!(is_released, "{refusal:?}");
    }
}

#[test]
fn a_release_ends_all_clones_whoever_has_them() {
    let io0 = thread("io0");
    let mut main_loop = MainLoop::builder().on_panic(unannounced).build().unwrap();
    let of_thread = held(&io0).share();
    let of_main = main_loop.context().share();
    assert_eq!(of_thread.iothread(), Some("io0"));
    assert_eq!(of_main.iothread(), None);
    for place in [of_thread, of_main] {
        let clone = place.clone();
        assert!(clone.is_same(&place));
        let (sent, ran) = channel();
        clone.post(move |_| sent.send(()).unwrap()).unwrap();
        let watch = clone.timer(Clock::Monotonic, |_| ()).unwrap();
        if place.iothread().is_none() {
            // Its thread is this one, which does not wait for itself.
            place.release();
            main_loop.run_once(false).unwrap();
        } else {
            place.release();
        }
        ran.try_recv().unwrap();
        assert_released(&clone);
        assert_released(&place);
        drop(watch);
    }
    assert!(io0.holders().is_empty());
    io0.delete().unwrap();
}

#[test]
fn a_context_that_nobody_has_used_is_released_for_all_clones_too() {
    let io0 = thread("io0");
    let place = held(&io0).share();
    let clone = place.clone();
    place.close();
    assert!(io0.holders().is_empty());
    assert_released(&clone);
}

#[test]
fn the_last_clone_releases() {
    let io0 = thread("io0");
    let first = held(&io0).share();
    let second = first.clone();
    drop(first);
    assert_eq!(io0.holders(), [holder::qom_object("/machine/d")]);
    second.call(|_| ()).unwrap();
    let weak = second.downgrade();
    drop(second);
    assert!(io0.holders().is_empty());
    assert!(matches!(
        weak.post(|_| ()),
        Err(ContextError::Released { .. })
    ));
}

#[test]
fn every_release_waits_for_what_is_left_whoever_has_begun_it() {
    let io0 = thread("io0");
    let place = held(&io0).share();
    let (go, wait) = channel::<()>();
    let (sent, over) = channel();
    place
        .spawn_blocking(
            move || assert!(wait.recv().is_err()),
            move |_, _| sent.send(()).unwrap(),
        )
        .unwrap();
    place.close();
    assert_eq!(io0.holders(), [holder::qom_object("/machine/d")]);
    let barrier = Arc::new(Barrier::new(3));
    let releasing = [(); 2].map(|()| {
        let (place, barrier, io0) = (place.clone(), Arc::clone(&barrier), io0.clone());
        std::thread::spawn(move || {
            barrier.wait();
            place.release();
            io0.holders().is_empty()
        })
    });
    barrier.wait();
    assert!(over.try_recv().is_err());
    drop(go);
    for releasing in releasing {
        assert!(releasing.join().unwrap());
    }
    over.try_recv().unwrap();
}

#[test]
fn a_late_follower_does_not_keep_the_record_and_goes_on_elsewhere() {
    let (io0, io1) = (thread("io0"), thread("io1"));
    let lender = held(&io0).share();
    let follower = lender.clone();
    let (sent, ran) = channel();
    // The lender is moved and the follower does not know yet.
    let next = held(&io1).share();
    lender.release();
    assert!(io0.holders().is_empty());
    io0.delete().unwrap();
    assert!(follower.post(|_| ()).is_err());
    let follower = next.clone();
    follower
        .post(move |dispatch| sent.send(dispatch.context().name().to_owned()).unwrap())
        .unwrap();
    assert_eq!(ran.recv().unwrap(), "io1");
}

#[test]
fn a_user_of_a_main_loop_ends_with_it_and_alone() {
    let mut main_loop = MainLoop::builder().on_panic(unannounced).build().unwrap();
    let main = main_loop.context();
    let (first, second) = (main.share(), main.share());
    let (near, _far) = pair();
    let watch = first
        .watch(near)
        .on_writable(|_, dispatch| dispatch.remove())
        .register()
        .unwrap();
    let (sent, kept) = channel::<()>();
    let other = second
        .bottom_half(move |_| assert!(sent.send(()).is_ok()))
        .unwrap();
    assert_eq!(main.stats().fds, 1);
    first.close();
    assert_eq!(main.stats().fds, 0);
    assert_released(&first);
    other.schedule();
    assert!(main_loop.run_once(false).unwrap());
    assert_eq!(kept.try_recv(), Ok(()));
    drop(main_loop);
    // What the callback owned is gone with the loop, although its handle is there.
    assert_eq!(kept.try_recv(), Err(TryRecvError::Disconnected));
    assert!(matches!(
        second.post(|_| ()),
        Err(ContextError::Ended { .. })
    ));
    let third = main.share();
    assert!(third.is_released());
    assert!(matches!(
        third.post(|_| ()),
        Err(ContextError::Ended { .. })
    ));
    drop((watch, other));
}

#[test]
fn the_end_of_a_shared_context_is_told_to_a_loop() {
    let io0 = thread("io0");
    let mut main_loop = MainLoop::builder().on_panic(unannounced).build().unwrap();
    let main = main_loop.context();
    let place = held(&io0).share();
    let (go, wait) = channel::<()>();
    place
        .spawn_blocking(move || assert!(wait.recv().is_err()), |_, _| ())
        .unwrap();
    let (ending, listed) = (main.clone(), io0.clone());
    place
        .release_then(&main, move |_| {
            assert!(listed.holders().is_empty());
            ending.quit();
        })
        .unwrap();
    assert_released(&place);
    assert_eq!(io0.holders().len(), 1);
    drop(go);
    main_loop.run().unwrap();
}
