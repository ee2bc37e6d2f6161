//! The screen without a terminal.

use std::sync::Arc;
use std::time::Instant;

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::crossterm::event::{Event, KeyCode, KeyEvent, KeyModifiers};

use super::{Item, Mode, Showing, View, Wish};
use crate::facts::{Disk, Facts, Holder, Origin, Thread, Usage};
use crate::sample::{Look, State};
use crate::view::{FieldList, Filter, Grouping, Order};

fn view() -> View {
    View::new(Showing {
        fields: FieldList::default(),
        filter: Filter::default(),
        order: Order::default(),
        grouping: Grouping::None,
        shows_internal: false,
        has_colour: true,
    })
}

fn thread(id: &str, n_holders: usize) -> Thread {
    let holder = |number: usize| Holder {
        kind: "qom-object".to_owned(),
        name: format!("/machine/peripheral/disk{number}/virtio-backend"),
        queues: Some(vec![0, 2]),
        disks: vec![Disk {
            device: format!("/machine/peripheral/disk{number}"),
            node: "n0".to_owned(),
            file: Some("/srv/image".to_owned()),
        }],
    };
    Thread {
        id: id.to_owned(),
        thread_id: Some(41),
        holders: Some((0..n_holders).map(holder).collect()),
        from: Some(Origin::Derived),
        poll_max_ns: Some(32_768),
        usage: Some(Usage {
            cpu: 0.25,
            ..Usage::default()
        }),
        ..Thread::default()
    }
}

fn look(name: &str, state: State, threads: Vec<Thread>) -> Arc<Look> {
    let target =
        crate::target::Target::At(format!("unix:/run/{}.qmp", name.len()).parse().unwrap());
    Arc::new(Look {
        state,
        reason: "it is away".to_owned(),
        facts: Some(Arc::new(Facts {
            name: Some(name.to_owned()),
            threads,
            ..Facts::default()
        })),
        ..Look::new(target)
    })
}

fn drawn(view: &mut View, width: u16, height: u16) -> String {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| view.draw(frame)).unwrap();
    terminal.backend().to_string()
}

fn press(view: &mut View, code: KeyCode) -> Wish {
    view.react(&Event::Key(KeyEvent::new(code, KeyModifiers::NONE)))
}

fn with_two_guests() -> View {
    let mut view = view();
    let looks = vec![
        look(
            "vm0",
            State::Alive,
            vec![thread("io0", 1), thread("io1", 0)],
        ),
        look("vm11", State::Alive, vec![thread("io0", 2)]),
    ];
    view.take(looks, Instant::now());
    view
}

/// Nothing of a server that does not answer looks as if it were of now.
#[test]
fn a_server_that_is_gone_is_one_row() {
    let mut view = with_two_guests();
    let mut looks = view.looks.clone();
    looks[0] = look("vm0", State::Gone, vec![thread("io0", 1), thread("io1", 0)]);
    view.take(looks, Instant::now());
    let text = drawn(&mut view, 100, 12);
    assert_eq!(text.matches("vm0").count(), 1, "{text}");
    assert!(text.contains("gone for 0s: it is away"), "{text}");
    assert!(!text.contains("io1") && !text.contains("disk0 "), "{text}");
}

#[test]
fn the_selected_row_is_told_about() {
    let mut view = with_two_guests();
    let text = drawn(&mut view, 110, 24);
    for part in [
        "disk0[0,2]",
        "polls at most 32768 ns",
        "25.0% of a CPU",
        "/srv/image",
    ] {
        assert!(text.contains(part), "{part} is not in\n{text}");
    }
    press(&mut view, KeyCode::Down);
    let text = drawn(&mut view, 110, 24);
    assert!(text.contains("io1: thread 41"), "{text}");
    // The selection stays with its row when others come before it.
    let mut looks = view.looks.clone();
    looks.insert(0, look("first", State::Alive, vec![thread("io9", 0)]));
    view.take(looks, Instant::now());
    assert_eq!(view.selected_row().unwrap().thread().unwrap().id, "io1");
    assert_eq!(view.selected, 2);
    // And does not go past the last one.
    for _ in 0..9 {
        press(&mut view, KeyCode::Char('j'));
    }
    assert_eq!(view.selected, 3);
}

#[test]
fn keys() {
    let mut view = with_two_guests();
    assert_eq!(press(&mut view, KeyCode::Char(' ')), Wish::Refresh);
    assert_eq!(press(&mut view, KeyCode::Char('s')), Wish::Nothing);
    assert!(drawn(&mut view, 120, 12).contains("sorted by cpu"));
    press(&mut view, KeyCode::Char('r'));
    assert!(drawn(&mut view, 120, 12).contains("sorted by -cpu"));
    press(&mut view, KeyCode::Char('g'));
    let text = drawn(&mut view, 120, 12);
    assert!(text.contains("vm11: 1 IOThread, 25.0% of a CPU"), "{text}");
    assert!(matches!(view.items[0], Item::Title(_)));
    press(&mut view, KeyCode::Home);
    assert_eq!(view.selected, 1);
    press(&mut view, KeyCode::Enter);
    assert_eq!(view.mode, Mode::Details);
    assert!(drawn(&mut view, 120, 12).contains("holders, as its devices tell:"));
    press(&mut view, KeyCode::Char('?'));
    assert!(drawn(&mut view, 120, 20).contains("internal threads"));
    press(&mut view, KeyCode::Esc);
    assert_eq!(view.mode, Mode::List);
    assert_eq!(press(&mut view, KeyCode::Char('q')), Wish::Quit);
    let interrupt = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
    assert_eq!(view.react(&Event::Key(interrupt)), Wish::Quit);
}

#[test]
fn a_filter_is_typed() {
    let mut view = with_two_guests();
    let type_in = |view: &mut View, text: &str| {
        press(view, KeyCode::Char('/'));
        for ch in text.chars() {
            press(view, KeyCode::Char(ch));
        }
        press(view, KeyCode::Enter);
    };
    type_in(&mut view, "cpu>x");
    assert!(drawn(&mut view, 100, 12).contains("'x' is not a number"));
    for _ in 0..5 {
        press(&mut view, KeyCode::Backspace);
    }
    press(&mut view, KeyCode::Esc);
    assert_eq!(view.rows().count(), 3);
    // A letter that is a command otherwise.
    type_in(&mut view, "held>1");
    assert_eq!(view.rows().count(), 1);
    assert!(drawn(&mut view, 100, 12).contains("only held>1"));
    press(&mut view, KeyCode::Esc);
    assert_eq!(view.rows().count(), 3);
}

/// A terminal may be of any size, and what a server says does not steer it.
#[test]
fn absurd_names_on_screens_of_any_size() {
    let long = "x".repeat(1 << 13);
    let wide = "線".repeat(4_000);
    for name in [
        long.as_str(),
        "\u{1b}[2J\n",
        wide.as_str(),
        "\u{301}",
        "\u{202e}",
    ] {
        let mut odd = thread(name, 3);
        odd.thread_id = Some(i64::MIN);
        odd.usage.as_mut().unwrap().cpu = f64::NAN;
        for holder in odd.holders.iter_mut().flatten() {
            holder.name = name.to_owned();
            holder.kind = name.to_owned();
        }
        for state in State::ALL {
            let mut view = view();
            view.take(vec![look(name, state, vec![odd.clone()])], Instant::now());
            for mode in [Mode::List, Mode::Details, Mode::Help] {
                view.mode = mode;
                for (width, height) in [(1, 1), (10, 2), (40, 10), (300, 60)] {
                    let text = drawn(&mut view, width, height);
                    assert!(!text.contains(['\u{1b}', '\u{202e}']), "{name:.9}");
                }
            }
        }
    }
    let mut nothing = view();
    nothing.take(Vec::new(), Instant::now());
    for (width, height) in [(1, 1), (40, 10), (200, 60)] {
        drawn(&mut nothing, width, height);
        press(&mut nothing, KeyCode::Down);
        press(&mut nothing, KeyCode::Enter);
    }
}

/// What matters is seen on the smallest screen, with many threads of many holders.
#[test]
fn a_small_screen_with_much_to_show() {
    let mut view = view();
    let threads: Vec<_> = (0..200).map(|it| thread(&format!("io{it}"), 50)).collect();
    view.take(vec![look("vm0", State::Alive, threads)], Instant::now());
    let text = drawn(&mut view, 40, 10);
    let lines: Vec<_> = text.lines().collect();
    assert!(
        lines[0].contains("200 IOThreads, 0 of them unheld"),
        "{text}"
    );
    assert!(
        lines[1].contains("IOTHREAD") && lines[1].contains("CPU"),
        "{text}"
    );
    assert!(
        lines[2].contains("io0") && lines[2].contains("25.0%"),
        "{text}"
    );
    press(&mut view, KeyCode::End);
    let text = drawn(&mut view, 40, 10);
    assert!(text.contains("io199"), "{text}");
    press(&mut view, KeyCode::Enter);
    press(&mut view, KeyCode::End);
    let text = drawn(&mut view, 40, 10);
    assert!(text.contains("/machine/peripheral/disk49"), "{text}");
    // The last page is a full one.
    assert!(!text.lines().nth(8).unwrap().trim().is_empty(), "{text}");
    press(&mut view, KeyCode::Home);
    assert!(drawn(&mut view, 40, 10).contains("vm0 at unix:"));
}
