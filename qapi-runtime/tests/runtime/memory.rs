//! Sessions that share memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::SystemTime;

use qapi_runtime::budget::Budget;
use qapi_runtime::session::{EventMessage, SessionConfig};

use crate::session::{Dialogue, name, reply};

/// Wherever in a value it is refused: it is answered at once and once, and what is still to come of it is not taken for
/// something else.
#[test]
fn the_rest_of_a_value_that_is_refused_is_dropped() {
    let value = r#"{'execute': 'x-echo', 'arguments': {"a\"": "}{'execute': 'quit'}\\", 'b': [1.5e3, true, -7, "\u00e9"]}, 'id': 1}"#;
    for cut in 1..value.len() {
        let (first, rest) = value.split_at(cut);
        let mut dialogue = Dialogue::negotiated(false);
        assert_eq!(dialogue.say(first), "");
        assert!(dialogue.session.is_mid_value());
        dialogue.session.refuse_value();
        dialogue.session.refuse_value();
        assert_eq!(dialogue.output(), TOO_LARGE);
        // In one piece and byte by byte.
        if cut % 2 == 0 {
            assert_eq!(dialogue.say(rest), "", "cut at {cut}");
        } else {
            for at in 0..rest.len() {
                assert_eq!(dialogue.say(&rest[at..=at]), "", "cut at {cut}");
            }
        }
        assert!(!dialogue.session.is_mid_value());
        assert_eq!(dialogue.say(&name(2)), reply(2));
    }
}

const TOO_LARGE: &str =
    "{\"error\": {\"class\": \"GenericError\", \"desc\": \"JSON token size limit exceeded\"}}\r\n";

#[test]
fn a_value_that_is_refused_holds_no_memory() {
    const LEN: usize = 8 << 20;
    let budget = Budget::new(64 << 20);
    let mut dialogue = Dialogue::new(SessionConfig {
        budget: Some(budget.clone()),
        ..SessionConfig::default()
    });
    dialogue.negotiate(false);
    let padding = "x".repeat(LEN);
    for start in ["{'execute': 'x-echo', 'arguments': {'a': '", "'"] {
        dialogue.say(start);
        dialogue.say(&padding);
        assert!(budget.used() > LEN);
        dialogue.session.refuse_value();
        assert_eq!(dialogue.output(), TOO_LARGE);
        assert!(budget.used() < 64 << 10);
        dialogue.say(&padding);
        assert!(budget.used() < 64 << 10);
        dialogue.say(if start == "'" { "'" } else { "'}}" });
        assert!(!dialogue.session.is_mid_value());
    }
    // Values and queued requests count as well, and all of it is given back.
    dialogue.say("[");
    dialogue.say(&"1,".repeat(LEN / 16));
    assert!(budget.used() > LEN);
    drop(dialogue);
    assert_eq!((budget.used(), budget.n_members()), (0, 0));
}

/// One that uses up the budget stops being read from; others are not affected, and it goes on when there is room.
#[test]
fn a_session_above_its_part_is_not_read_from() {
    const MIB: usize = 1 << 20;
    let budget = Budget::new(8 * MIB);
    let config = SessionConfig {
        budget: Some(budget.clone()),
        ..SessionConfig::default()
    };
    let mut greedy = Dialogue::new(config.clone());
    greedy.negotiate(false);
    let mut modest = Dialogue::new(config);
    modest.negotiate(false);
    let hog = budget.join();
    hog.set_used(8 * MIB);
    let padding = "x".repeat(2 * MIB);
    greedy.say(&format!(
        "{{'execute': 'x-echo', 'arguments': {{'a': '{padding}"
    ));
    assert!(greedy.session.is_short_of_memory() && !greedy.session.wants_input());
    let event = EventMessage::new("STOP", None, SystemTime::UNIX_EPOCH);
    greedy.session.send_event(&event);
    assert_eq!(greedy.session.n_dropped_events(), 1);
    modest.session.send_event(&event);
    assert!(modest.output().contains("STOP"));
    assert!(modest.session.wants_input());
    assert_eq!(modest.say(&name(1)), reply(1));

    let waker = Waker::noop();
    let mut context = Context::from_waker(waker);
    assert!(greedy.session.poll_memory(&mut context).is_pending());
    drop(hog);
    assert!(greedy.session.poll_memory(&mut context).is_ready());
    greedy.say("");
    assert!(greedy.session.wants_input() && !greedy.session.is_short_of_memory());
    assert!(
        greedy
            .say("'}, 'id': 1}")
            .contains("\"return\": {\"a\": \"xxx")
    );
}

/// However many and however large commands were, a session that has answered them all holds no more than its part of an
/// exhausted budget, so that it is read from.
#[test]
fn an_idle_session_does_not_wait_for_memory() {
    let budget = Budget::new(0);
    let mut dialogue = Dialogue::new(SessionConfig {
        budget: Some(budget.clone()),
        ..SessionConfig::default()
    });
    dialogue.negotiate(false);
    for len in [10, 100_000, 300_000] {
        let padding = "x".repeat(len);
        let request = format!("{{'execute': 'x-echo', 'arguments': {{'a': '{padding}'}}}}");
        assert!(dialogue.say(&request).contains(&padding));
        assert!(dialogue.session.wants_input(), "after {len}");
    }
    assert!(budget.used() <= 64 << 10);
}

/// Counts how often it is woken.
#[derive(Default)]
struct Bell(AtomicUsize);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// Who is woken has the memory, and need not ask again: of two who had to, each would find the other before it in the queue.
#[test]
fn sessions_that_wait_do_not_wake_each_other_for_ever() {
    const MIB: usize = 1 << 20;
    let budget = Budget::new(8 * MIB);
    let begun = format!(
        "{{'execute': 'x-echo', 'arguments': {{'a': '{}",
        "x".repeat(2 * MIB)
    );
    let hog = budget.join();
    let begin = || {
        let mut dialogue = Dialogue::new(SessionConfig {
            budget: Some(budget.clone()),
            ..SessionConfig::default()
        });
        dialogue.negotiate(false);
        hog.set_used(8 * MIB);
        dialogue.say(&begun);
        assert!(dialogue.session.is_short_of_memory());
        (dialogue, Arc::<Bell>::default())
    };
    let mut waiting = [begin(), begin()];
    for (dialogue, bell) in &waiting {
        let waker = Waker::from(Arc::clone(bell));
        let memory = dialogue
            .session
            .poll_memory(&mut Context::from_waker(&waker));
        assert!(memory.is_pending());
    }
    hog.set_used(0);
    let mut answered = 0;
    let mut heard = [0, 0];
    for _ in 0..10 {
        for ((dialogue, bell), heard) in waiting.iter_mut().zip(&mut heard) {
            let rings = bell.0.load(Ordering::Relaxed);
            if std::mem::replace(heard, rings) == rings {
                continue;
            }
            let waker = Waker::from(Arc::clone(bell));
            let memory = dialogue
                .session
                .poll_memory(&mut Context::from_waker(&waker));
            if memory == Poll::Ready(()) {
                dialogue.say("");
                assert!(dialogue.session.wants_input());
                assert!(dialogue.say("'}, 'id': 1}").contains("\"id\": 1"));
                answered += 1;
            }
        }
    }
    assert_eq!(answered, 2);
    assert!(heard.iter().sum::<usize>() <= 4, "{heard:?}");
}
