//! What several threads do at once to the parts of `iothreadd`, for loom to try in every interleaving: as for the library beside it.
#![cfg(loom)]
#![allow(
    dead_code,
    unreachable_pub,
    unused_imports,
    reason = "the parts have more than the models use"
)]

// The parts know the main loop by this name.
extern crate self as iothread;

#[path = "../../../iothread/iothreadd/src/cause.rs"]
mod cause;
#[path = "../../../iothread/iothreadd/src/net/door.rs"]
mod door;
#[path = "../../../iothread/iothreadd/src/finally.rs"]
mod finally;
#[path = "../../../iothread/iothreadd/src/nbd/places.rs"]
mod places;
#[path = "../sync.rs"]
mod sync;
#[path = "../../../iothread/iothreadd/src/block/io/under_way.rs"]
mod under_way;

use std::marker::PhantomData;

use loom::thread;

use self::door::Door;
use self::finally::Finally;
use self::places::Places;
use self::sync::{Arc, AtomicUsize, Mutex, Ordering};
use self::under_way::UnderWay;

/// What a closure is given by the stand-in for a main loop.
#[derive(Clone, Copy)]
pub(crate) struct OnMain<'a>(PhantomData<&'a MainContext>);

type Posted = Box<dyn FnOnce(OnMain<'_>) + Send>;

/// A stand-in for the context of a main loop, which keeps what is to run until the model runs it.
#[derive(Clone, Default)]
pub(crate) struct MainContext(Arc<Mutex<Vec<Posted>>>);

impl MainContext {
    pub(crate) fn run(&self, task: impl FnOnce(OnMain<'_>) + Send + 'static) -> Result<(), ()> {
        self.0.lock().push(Box::new(task));
        Ok(())
    }

    fn on_main(&self) -> OnMain<'_> {
        OnMain(PhantomData)
    }

    fn run_all(&self) {
        let posted = std::mem::take(&mut *self.0.lock());
        posted.into_iter().for_each(|task| task(self.on_main()));
    }
}

/// Something that is done in the end, and how often it has been.
fn finally(main: &MainContext) -> (Finally, Arc<AtomicUsize>) {
    let n_done = Arc::new(AtomicUsize::new(0));
    let counting = Arc::clone(&n_done);
    let finally = Finally::new(main, move |_| {
        counting.fetch_add(1, Ordering::AcqRel);
    });
    (finally, n_done)
}

#[test]
fn what_the_last_request_ends_is_done_once_and_after_all_of_them() {
    loom::model(|| {
        let main = MainContext::default();
        let requests = Arc::new(UnderWay::default());
        let (idle, n_done) = finally(&main);
        let workers = [(); 2].map(|()| {
            requests.begin();
            let (requests, n_done) = (Arc::clone(&requests), Arc::clone(&n_done));
            thread::spawn(move || {
                assert_eq!(n_done.load(Ordering::Acquire), 0);
                requests.end();
            })
        });
        requests.keep_until_idle(&idle);
        idle.or_now(main.on_main());
        for worker in workers {
            worker.join().unwrap();
        }
        assert!(requests.is_idle());
        main.run_all();
        assert_eq!(n_done.load(Ordering::Acquire), 1);
    });
}

#[test]
fn a_request_that_begins_while_another_ends_is_waited_for_or_comes_after() {
    loom::model(|| {
        let main = MainContext::default();
        let requests = Arc::new(UnderWay::default());
        requests.begin();
        let ending = Arc::clone(&requests);
        let first = thread::spawn(move || ending.end());
        let beginning = Arc::clone(&requests);
        let second = thread::spawn(move || {
            beginning.begin();
            beginning.end();
        });
        let (idle, n_done) = finally(&main);
        requests.keep_until_idle(&idle);
        idle.or_now(main.on_main());
        first.join().unwrap();
        second.join().unwrap();
        main.run_all();
        // Nothing is left behind for a request that never comes.
        assert_eq!(n_done.load(Ordering::Acquire), 1);
    });
}

#[test]
fn what_precedes_is_done_first_whoever_gives_it_up_last() {
    loom::model(|| {
        let main = MainContext::default();
        let order = Arc::new(Mutex::new(Vec::new()));
        let noting = Arc::clone(&order);
        let last = Finally::new(&main, move |_| noting.lock().push("last"));
        let noting = Arc::clone(&order);
        let first = last.preceded_by(move |_, _| noting.lock().push("first"));
        let threads = [first.clone(), last.clone()].map(|kept| thread::spawn(move || drop(kept)));
        last.or_now(main.on_main());
        first.or_now(main.on_main());
        for thread in threads {
            thread.join().unwrap();
        }
        // The one posts the other.
        main.run_all();
        main.run_all();
        assert_eq!(*order.lock(), ["first", "last"]);
    });
}

/// Whether a socket is watched, as its door says.
#[derive(Default)]
struct Watched(Mutex<Option<bool>>);

impl Watched {
    fn set(&self, lets_in: bool) {
        *self.0.lock() = Some(lets_in);
    }

    fn get(&self) -> Option<bool> {
        *self.0.lock()
    }
}

#[test]
fn no_more_clients_come_in_than_there_are_places_and_the_door_is_open_while_there_is_one() {
    loom::model(|| {
        let (places, door) = (Arc::new(Places::new(1)), Arc::new(Door::new()));
        let watched = Arc::new(Watched::default());
        let n_inside = Arc::new(AtomicUsize::new(0));
        let clients = [(); 2].map(|()| {
            let (places, door) = (Arc::clone(&places), Arc::clone(&door));
            let (watched, n_inside) = (Arc::clone(&watched), Arc::clone(&n_inside));
            thread::spawn(move || {
                let open = |opens| door.set_wanted(opens, |lets_in| watched.set(lets_in));
                if places.take(open) {
                    assert_eq!(n_inside.fetch_add(1, Ordering::AcqRel), 0);
                    n_inside.fetch_sub(1, Ordering::AcqRel);
                    places.give_back(open);
                }
            })
        });
        for client in clients {
            client.join().unwrap();
        }
        // At least one came in, and the last that left has opened the door.
        assert_eq!(watched.get(), Some(true));
    });
}

#[test]
fn the_door_is_shut_behind_a_client_that_took_the_last_place_and_stays() {
    loom::model(|| {
        let (places, door) = (Arc::new(Places::new(1)), Arc::new(Door::new()));
        let watched = Arc::new(Watched::default());
        let visit = |leaves: bool| {
            let (places, door) = (Arc::clone(&places), Arc::clone(&door));
            let watched = Arc::clone(&watched);
            thread::spawn(move || {
                let open = |opens| door.set_wanted(opens, |lets_in| watched.set(lets_in));
                let is_inside = places.take(open);
                if is_inside && leaves {
                    places.give_back(open);
                }
                is_inside && !leaves
            })
        };
        let (leaver, stayer) = (visit(true), visit(false));
        leaver.join().unwrap();
        let stays = stayer.join().unwrap();
        assert_eq!(watched.get(), Some(!stays));
    });
}

#[test]
fn the_door_is_open_if_one_leaves_while_another_takes_the_last_place() {
    loom::model(|| {
        let (places, door) = (Arc::new(Places::new(2)), Arc::new(Door::new()));
        let watched = Arc::new(Watched::default());
        let open = |opens| door.set_wanted(opens, |lets_in| watched.set(lets_in));
        assert!(places.take(open));
        let (taking, its_door) = (Arc::clone(&places), Arc::clone(&door));
        let its_watched = Arc::clone(&watched);
        let comer = thread::spawn(move || {
            taking.take(|opens| its_door.set_wanted(opens, |lets_in| its_watched.set(lets_in)))
        });
        places.give_back(open);
        assert!(comer.join().unwrap());
        // There is room for one more, whether or not there was none for a moment.
        assert_ne!(watched.get(), Some(false));
    });
}

#[test]
fn the_end_of_a_pause_lets_nobody_in_who_is_to_wait() {
    loom::model(|| {
        let door = Arc::new(Door::new());
        let watched = Arc::new(Watched::default());
        let (owned, owner_watched) = (Arc::clone(&door), Arc::clone(&watched));
        let owner = thread::spawn(move || {
            owned.set_wanted(false, |lets_in| owner_watched.set(lets_in));
        });
        let (paused, pause_watched) = (Arc::clone(&door), Arc::clone(&watched));
        let pause = thread::spawn(move || {
            paused.set_paused(true, |lets_in| {
                assert!(!lets_in);
                pause_watched.set(lets_in);
            });
            paused.set_paused(false, |lets_in| pause_watched.set(lets_in));
        });
        owner.join().unwrap();
        pause.join().unwrap();
        assert_eq!(watched.get(), Some(false));
        door.set_wanted(true, |lets_in| watched.set(lets_in));
        assert_eq!(watched.get(), Some(true));
    });
}
