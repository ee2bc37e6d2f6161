//! The session, driven by hand.

use std::sync::Arc;
use std::time::SystemTime;

use qapi_runtime::Error;
use qapi_runtime::codegen::{Command, Handler, Table};
use qapi_runtime::dispatch::{BoxFuture, CommandInfo, Reply, Service};
use qapi_runtime::session::{
    Call, EVENT_QUEUE_LENGTH, EventMessage, EventQueue, OUTPUT_HIGH_WATER, QUEUE_LENGTH, Session,
    SessionConfig, SessionControl, Started,
};
use qapi_runtime::visit::{
    CompatInput, CompatOutput, CompatPolicy, Input, Output, SpecialFeatures, Visit,
};

/// A session and what is said in it.
pub(crate) struct Dialogue {
    pub(crate) session: Session,
    service: Arc<dyn Service>,
}

impl Dialogue {
    pub(crate) fn new(config: SessionConfig) -> Self {
        Self::with_service(config, Arc::new(tests::service()))
    }

    fn with_service(config: SessionConfig, service: Arc<dyn Service>) -> Self {
        let mut dialogue = Self {
            session: Session::new(config),
            service,
        };
        assert!(dialogue.output().starts_with("{"));
        dialogue
    }

    pub(crate) fn negotiated(oob: bool) -> Self {
        let mut dialogue = Self::new(SessionConfig::default());
        dialogue.negotiate(oob);
        dialogue
    }

    pub(crate) fn negotiate(&mut self, oob: bool) {
        let enable = if oob { "'oob'" } else { "" };
        let request =
            format!("{{'execute': 'qmp_capabilities', 'arguments': {{'enable': [{enable}]}}}}");
        let reply = self.say(&request).replace([' ', '\r', '\n'], "");
        assert_eq!(reply, "{\"return\":{}}");
    }

    pub(crate) fn output(&mut self) -> String {
        let output = String::from_utf8(self.session.output().to_vec()).unwrap();
        self.session.consume_output(output.len());
        output
    }

    /// Sends text of which all commands run inline.
    pub(crate) fn say(&mut self, text: &str) -> String {
        let mut input = text.as_bytes();
        assert!(
            self.session
                .advance(&mut input, &*self.service, |_| true)
                .is_none()
        );
        assert!(input.is_empty(), "input left over: {input:?}");
        self.output()
    }

    /// Sends text of which `query-name` runs elsewhere; the rest of it.
    fn say_blocking<'t>(&mut self, text: &'t str, calls: &mut Vec<Call>) -> &'t str {
        let mut input = text.as_bytes();
        while let Some(call) = self
            .session
            .advance(&mut input, &*self.service, |info| info.name != "query-name")
        {
            calls.push(call);
        }
        &text[text.len() - input.len()..]
    }

    fn finish(&mut self, call: Call) {
        let id = call.id();
        let result = match call.start(&*self.service) {
            Started::Done(result) => result,
            Started::Pending(_) => panic!("no future"),
        };
        self.session.complete(id, result);
    }
}

pub(crate) fn name(id: usize) -> String {
    format!("{{'execute': 'query-name', 'id': {id}}}\n")
}

pub(crate) fn reply(id: usize) -> String {
    format!("{{\"return\": {{}}, \"id\": {id}}}\r\n")
}

#[test]
fn without_oob_nothing_is_read_while_a_command_runs() {
    let mut dialogue = Dialogue::negotiated(false);
    let mut calls = Vec::new();
    let text = name(1) + &name(2);
    let rest = dialogue.say_blocking(&text, &mut calls);
    assert_eq!(rest, format!("\n{}", name(2)));
    assert!(!dialogue.session.wants_input());
    dialogue.finish(calls.pop().unwrap());
    assert!(dialogue.session.wants_input());
    assert_eq!(dialogue.say_blocking(rest, &mut calls), "\n");
    dialogue.finish(calls.pop().unwrap());
    assert_eq!(dialogue.output(), reply(1) + &reply(2));
}

/// Those out of band overtake, but not without end: each holds memory, and maybe a thread.
#[test]
fn eight_commands_run_out_of_band_at_a_time() {
    let mut dialogue = Dialogue::negotiated(true);
    let mut calls = Vec::new();
    let oob = |id: usize| {
        format!("{{'exec-oob': 'yank', 'arguments': {{'instances': []}}, 'id': {id}}}\n")
    };
    let text: String = (0..10).map(oob).collect();
    let mut input = text.as_bytes();
    let mut advance = |dialogue: &mut Dialogue, calls: &mut Vec<Call>| {
        let service = &*dialogue.service;
        while let Some(call) = dialogue.session.advance(&mut input, service, |_| false) {
            calls.push(call);
        }
    };
    advance(&mut dialogue, &mut calls);
    assert_eq!(calls.len(), 8);
    assert!(!dialogue.session.wants_input());
    dialogue.finish(calls.remove(0));
    assert!(dialogue.session.wants_input());
    advance(&mut dialogue, &mut calls);
    assert_eq!(calls.len(), 8);
    dialogue.finish(calls.remove(0));
    advance(&mut dialogue, &mut calls);
    calls.into_iter().for_each(|call| dialogue.finish(call));
    assert_eq!(dialogue.output(), (0..10).map(reply).collect::<String>());
}

#[test]
fn with_oob_eight_requests_wait_and_others_overtake() {
    let mut dialogue = Dialogue::negotiated(true);
    let mut calls = Vec::new();
    // One runs, eight wait, the tenth is not read.
    let text: String = (0..10).map(name).collect();
    let rest = dialogue.say_blocking(&text, &mut calls);
    assert_eq!(rest.trim(), name(9).trim());
    assert_eq!(calls.len(), 1);
    assert!(!dialogue.session.wants_input());
    // The end of the first makes room.
    dialogue.finish(calls.pop().unwrap());
    assert_eq!(dialogue.say_blocking("", &mut calls), "");
    assert_eq!(calls.len(), 1);
    assert!(dialogue.session.wants_input());
    let oob = "{'exec-oob': 'yank', 'arguments': {'instances': []}, 'id': 'oob'} [";
    assert_eq!(dialogue.say_blocking(oob, &mut calls), "");
    assert_eq!(
        dialogue.output(),
        reply(0) + "{\"return\": {}, \"id\": \"oob\"}\r\n"
    );
    // A mistake waits for its turn like a request.
    assert_eq!(
        dialogue.say_blocking("} {'execute': 'nope'}", &mut calls),
        " {'execute': 'nope'}"
    );
    for id in 1..=QUEUE_LENGTH {
        dialogue.finish(calls.pop().unwrap());
        dialogue.say_blocking("", &mut calls);
        assert!(dialogue.output().starts_with(&reply(id)));
    }
    assert!(calls.is_empty());
}

#[test]
fn a_result_cannot_be_sent_twice() {
    let mut dialogue = Dialogue::negotiated(false);
    let mut calls = Vec::new();
    dialogue.say_blocking(&name(1), &mut calls);
    let id = calls[0].id();
    dialogue.session.complete(id, Ok(Reply::empty()));
    dialogue.session.complete(id, Err(Error::generic("late")));
    assert_eq!(dialogue.output(), reply(1));
}

#[test]
fn events_wait_for_the_negotiation() {
    let event = EventMessage::new("STOP", None, SystemTime::UNIX_EPOCH);
    let mut dialogue = Dialogue::new(SessionConfig::default());
    dialogue.session.send_event(&event);
    assert_eq!(dialogue.output(), "");
    dialogue.negotiate(false);
    dialogue.session.send_event(&event);
    assert_eq!(
        dialogue.output(),
        "{\"timestamp\": {\"seconds\": 0, \"microseconds\": 0}, \"event\": \"STOP\"}\r\n"
    );
}

#[test]
fn a_peer_that_does_not_read_is_not_read_and_gets_no_more_events() {
    let config = SessionConfig {
        max_unsent_events: OUTPUT_HIGH_WATER + 100,
        ..SessionConfig::default()
    };
    let mut dialogue = Dialogue::new(config);
    dialogue.negotiate(false);
    let event = EventMessage::new("STOP", None, SystemTime::UNIX_EPOCH);
    while dialogue.session.n_dropped_events() == 0 {
        dialogue.session.send_event(&event);
    }
    assert!(dialogue.session.output().len() < OUTPUT_HIGH_WATER + 300);
    assert!(!dialogue.session.wants_input());
    let request = name(1);
    let mut input = request.as_bytes();
    let service = Arc::clone(&dialogue.service);
    assert!(
        dialogue
            .session
            .advance(&mut input, &*service, |_| true)
            .is_none()
    );
    assert_eq!(input.len(), request.len());
    dialogue.output();
    assert_eq!(dialogue.say(&request), reply(1));
}

#[test]
fn the_end_of_input_answers_what_is_complete() {
    let mut dialogue = Dialogue::negotiated(true);
    let mut calls = Vec::new();
    let text = name(1) + &name(2) + "{'execute':";
    assert_eq!(dialogue.say_blocking(&text, &mut calls), "");
    dialogue.session.end_of_input();
    assert!(!dialogue.session.is_finished());
    dialogue.finish(calls.pop().unwrap());
    dialogue.say_blocking("", &mut calls);
    dialogue.finish(calls.pop().unwrap());
    assert!(!dialogue.session.is_finished());
    assert_eq!(dialogue.output(), reply(1) + &reply(2));
    assert!(dialogue.session.is_finished());
}

#[test]
fn an_event_of_before_the_negotiation_is_not_sent_after_it() {
    let mut dialogue = Dialogue::new(SessionConfig::default());
    let queue = dialogue.session.event_queue();
    assert!(queue.push(EventMessage::new("EARLY", None, SystemTime::UNIX_EPOCH)));
    dialogue.negotiate(false);
    assert!(queue.is_empty());
    assert_eq!(dialogue.say(&name(1)), reply(1));
}

#[test]
fn events_that_nobody_takes_are_dropped_and_counted() {
    let mut dialogue = Dialogue::negotiated(false);
    let queue = dialogue.session.event_queue();
    let event = EventMessage::new("STOP", None, SystemTime::UNIX_EPOCH);
    for number in 0..EVENT_QUEUE_LENGTH + 3 {
        assert_eq!(queue.push(event.clone()), number == 0);
    }
    dialogue.session.take_events();
    assert_eq!(dialogue.output().lines().count(), EVENT_QUEUE_LENGTH);
    assert_eq!(dialogue.session.n_dropped_events(), 3);
}

/// The handler of the next tests.
struct Handlers {
    control: SessionControl,
    events: EventQueue,
}

fn emits(handlers: &Handlers, _: &mut Input<'_>, output: &mut Output) -> Result<(), Error> {
    for name in ["FIRST", "SECOND"] {
        let event = EventMessage::new(name, None, SystemTime::UNIX_EPOCH);
        assert_eq!(handlers.events.push(event), name == "FIRST");
    }
    Ok(().write(output)?)
}

fn quit(handlers: &Handlers, _: &mut Input<'_>, output: &mut Output) -> Result<(), Error> {
    handlers.control.quit();
    Ok(().write(output)?)
}

fn later(_: Arc<Handlers>, input: &mut Input<'_>) -> Result<BoxFuture, Error> {
    input.object()?.finish()?;
    Ok(Box::pin(async { Ok(Reply::empty()) }))
}

fn silent(_: &Handlers, _: &mut Input<'_>, output: &mut Output) -> Result<(), Error> {
    Ok(().write(output)?)
}

static COMMANDS: [Command<Handlers>; 7] = [
    Command {
        info: CommandInfo::new("emits"),
        call: Handler::Sync(emits),
    },
    Command {
        info: CommandInfo::new("later"),
        call: Handler::Async(later),
    },
    Command {
        info: CommandInfo {
            special_features: SpecialFeatures::DEPRECATED,
            ..CommandInfo::new("old")
        },
        call: Handler::Sync(silent),
    },
    Command {
        info: CommandInfo {
            allow_preconfig: true,
            ..CommandInfo::new("preconfig")
        },
        call: Handler::Sync(silent),
    },
    Command {
        info: CommandInfo::new("quit"),
        call: Handler::Sync(quit),
    },
    Command {
        info: CommandInfo {
            success_response: false,
            ..CommandInfo::new("silent")
        },
        call: Handler::Sync(silent),
    },
    Command {
        info: CommandInfo {
            special_features: SpecialFeatures::UNSTABLE,
            ..CommandInfo::new("x-new")
        },
        call: Handler::Sync(silent),
    },
];

fn dialogue(config: SessionConfig) -> Dialogue {
    let session = Session::new(config);
    let handlers = Handlers {
        control: session.control(),
        events: session.event_queue(),
    };
    let mut dialogue = Dialogue {
        session,
        service: Arc::new(Table::new(&COMMANDS, Arc::new(handlers))),
    };
    dialogue.output();
    dialogue.negotiate(false);
    dialogue
}

#[test]
fn quit_is_answered_and_nothing_after_it_is_read() {
    let mut dialogue = dialogue(SessionConfig::default());
    let mut input: &[u8] = b"{'execute': 'quit'} {'execute': 'silent'}";
    let service = Arc::clone(&dialogue.service);
    assert!(
        dialogue
            .session
            .advance(&mut input, &*service, |_| true)
            .is_none()
    );
    assert_eq!(input, b" {'execute': 'silent'}");
    assert!(!dialogue.session.is_finished());
    assert_eq!(dialogue.output(), "{\"return\": {}}\r\n");
    assert!(dialogue.session.is_finished());
}

#[test]
fn events_of_a_handler_precede_its_reply() {
    for pretty in [false, true] {
        let mut dialogue = dialogue(SessionConfig {
            pretty,
            ..SessionConfig::default()
        });
        let output = dialogue.say("{'execute': 'emits', 'id': 1} {'execute': 'emits', 'id': 2}");
        let found: Vec<&str> = ["FIRST", "SECOND", "return", "id"]
            .iter()
            .flat_map(|word| output.match_indices(word))
            .collect::<std::collections::BTreeMap<_, _>>()
            .into_values()
            .collect();
        let one = ["FIRST", "SECOND", "return", "id"];
        assert_eq!(found, [one, one].concat(), "{output}");
        assert!(output.ends_with("}\r\n"), "{output}");
    }
}

#[test]
fn futures_are_handed_out() {
    let mut dialogue = dialogue(SessionConfig::default());
    let mut input: &[u8] = b"{'execute': 'later', 'id': 1}";
    let service = Arc::clone(&dialogue.service);
    let call = dialogue
        .session
        .advance(&mut input, &*service, |_| true)
        .unwrap();
    assert!(call.is_future());
    dialogue.session.complete(call.id(), Ok(Reply::empty()));
    assert_eq!(dialogue.output(), reply(1));
    let wrong = "{'execute': 'later', 'arguments': {'a': 1}}";
    assert!(dialogue.say(wrong).contains("Parameter 'a' is unexpected"));
}

#[test]
fn success_is_not_answered_where_the_schema_says_so() {
    let mut dialogue = dialogue(SessionConfig::default());
    assert_eq!(dialogue.say("{'execute': 'silent'}"), "");
}

#[test]
fn policies_and_preconfig_are_checked() {
    let config = SessionConfig {
        compat: CompatPolicy {
            deprecated_input: CompatInput::Reject,
            unstable_input: CompatInput::Reject,
            deprecated_output: CompatOutput::Hide,
            unstable_output: CompatOutput::Accept,
        },
        preconfig: true,
        ..SessionConfig::default()
    };
    let mut dialogue = dialogue(config);
    for (command, text) in [
        (
            "old",
            "CommandNotFound\", \"desc\": \"Deprecated command old disabled by policy",
        ),
        (
            "x-new",
            "CommandNotFound\", \"desc\": \"Unstable command x-new disabled by policy",
        ),
        (
            "quit",
            "GenericError\", \"desc\": \"The command 'quit' is permitted only after machine \
             initialization has completed",
        ),
    ] {
        let output = dialogue.say(&format!("{{'execute': '{command}'}}"));
        assert!(output.contains(text), "{output}");
    }
    assert_eq!(
        dialogue.say("{'execute': 'preconfig'}"),
        "{\"return\": {}}\r\n"
    );
    dialogue.session.leave_preconfig();
    assert_eq!(dialogue.say("{'execute': 'quit'}"), "{\"return\": {}}\r\n");
}

#[test]
fn pretty_output_has_a_line_for_each_value() {
    let config = SessionConfig {
        pretty: true,
        ..SessionConfig::default()
    };
    let mut dialogue = Dialogue::new(config);
    let output = dialogue.say("{'execute': 'qmp_capabilities', 'id': {'a': []}}");
    let expected = [
        "{",
        "    \"return\": {",
        "    },",
        "    \"id\": {",
        "        \"a\": [",
        "        ]",
        "    }",
        "}",
        "",
    ];
    assert_eq!(output, expected.join("\r\n"));
}

#[test]
fn a_second_negotiation_is_refused() {
    let mut dialogue = Dialogue::negotiated(false);
    assert!(
        dialogue
            .say("{'execute': 'qmp_capabilities'}")
            .contains("Capabilities negotiation is already complete, command ignored")
    );
    let config = SessionConfig {
        oob: false,
        ..SessionConfig::default()
    };
    let mut dialogue = Dialogue::new(config);
    assert!(
        dialogue
            .say("{'execute': 'qmp_capabilities', 'arguments': {'enable': ['oob']}}")
            .contains("Capability oob not available")
    );
}

#[cfg(panic = "unwind")]
#[test]
fn panics_are_contained() {
    let _expected = tests::panics::expect("on purpose");
    let mut dialogue = Dialogue::negotiated(false);
    assert_eq!(
        dialogue.say("{'execute': 'panics', 'id': 1}"),
        "{\"id\": 1, \"error\": {\"class\": \"GenericError\", \"desc\": \"internal error while \
         executing command 'panics'\"}}\r\n"
    );
    assert_eq!(dialogue.say(&name(2)), reply(2));
}

#[test]
fn integers_of_all_widths() {
    let mut dialogue = Dialogue::negotiated(false);
    for (arguments, text) in [
        ("'i8': 128", "Parameter 'i8' expects int8_t"),
        ("'i8': -129", "Parameter 'i8' expects int8_t"),
        ("'i16': 32768", "Parameter 'i16' expects int16_t"),
        ("'i32': 2147483648", "Parameter 'i32' expects int32_t"),
        (
            "'i64': 9223372036854775808",
            "Invalid parameter type for 'i64', expected: integer",
        ),
        (
            "'i8': 1.0",
            "Invalid parameter type for 'i8', expected: integer",
        ),
        ("'u8': 256", "Parameter 'u8' expects uint8_t"),
        ("'u8': -1", "Parameter 'u8' expects uint8_t"),
        ("'u16': 65536", "Parameter 'u16' expects uint16_t"),
        ("'u32': 4294967296", "Parameter 'u32' expects uint32_t"),
        ("'u64': 'x'", "Parameter 'u64' expects uint64"),
        (
            "'u64': 18446744073709551616",
            "Parameter 'u64' expects uint64",
        ),
        ("'list': [1, 256]", "Parameter 'null' expects uint8_t"),
        ("'list': [1, 'x']", "Parameter 'list[1]' expects uint64"),
        (
            "'list': {}",
            "Invalid parameter type for 'list', expected: array",
        ),
    ] {
        let request = format!("{{'execute': 'x-integers', 'arguments': {{{arguments}}}}}");
        let output = dialogue.say(&request);
        assert!(
            output.contains(&format!("\"{text}\"")),
            "{arguments}: {output}"
        );
    }
    for arguments in [
        "'i8': -128",
        "'u64': -1",
        "'u64': 18446744073709551615",
        "'i64': -0",
    ] {
        let request = format!("{{'execute': 'x-integers', 'arguments': {{{arguments}}}}}");
        assert_eq!(
            dialogue.say(&request),
            "{\"return\": {}}\r\n",
            "{arguments}"
        );
    }
}

#[test]
fn a_peer_that_begins_like_http_or_tls_is_ended() {
    let config = SessionConfig {
        ends_foreign: true,
        ..SessionConfig::default()
    };
    let body = "\r\n\r\n{'execute': 'qmp_capabilities'}{'execute': 'quit'}";
    for start in [
        "GET / HTTP/1.1",
        "POST / HTTP/1.1",
        "PUT / HTTP/1.1",
        "HEAD / HTTP/1.1",
        "OPTIONS * HTTP/1.1",
        "DELETE / HTTP/1.1",
        "CONNECT localhost:80 HTTP/1.1",
        "VERSION-CONTROL / HTTP/1.1",
        "PRI * HTTP/2.0",
        "\r\nGET / HTTP/1.1",
        "\u{16}\u{3}\u{1}\u{0}\u{7f}",
    ] {
        for piece in [1, 2, 3, 1000] {
            let mut dialogue = Dialogue::new(config.clone());
            let text = format!("{start}{body}");
            let mut output = String::new();
            for piece in text.as_bytes().chunks(piece) {
                output += &dialogue.say(std::str::from_utf8(piece).unwrap());
            }
            let protocol = dialogue.session.foreign_protocol();
            assert!(protocol.is_some(), "{start} in pieces of {piece}");
            assert!(dialogue.session.is_finished());
            assert!(!dialogue.session.is_negotiated());
            // Not even a mistake is found in it.
            assert_eq!(output, "", "{start} in pieces of {piece}");
        }
    }
    for start in [
        "",
        " \r\n",
        "hello ",
        "HELLO",
        "H ",
        "-X ",
        "{} GET / HTTP/1.1",
        "\u{16}",
        "\u{16}\u{16}\u{3}",
        "{}\u{16}\u{3}",
        "G\u{16}\u{3}\u{1} GET ",
        "HTTP/1.1 200",
    ] {
        let mut dialogue = Dialogue::new(config.clone());
        dialogue.say(start);
        dialogue.say("\n");
        dialogue.negotiate(false);
        assert_eq!(dialogue.session.foreign_protocol(), None, "{start}");
        assert_eq!(dialogue.say(&name(1)), reply(1));
        // It is answered as where nobody minds, at the latest at the end of input.
        let [minding, other] = [config.clone(), SessionConfig::default()].map(|config| {
            let mut dialogue = Dialogue::new(config);
            let mut output = String::new();
            for piece in start.as_bytes().chunks(1) {
                let mut input = piece;
                let service = &*dialogue.service;
                assert!(
                    dialogue
                        .session
                        .advance(&mut input, service, |_| true)
                        .is_none()
                );
                output += &dialogue.output();
            }
            dialogue.session.end_of_input();
            output + &dialogue.output()
        });
        assert_eq!(minding, other, "{start}");
    }
    // Only where it is asked for: in QEMU the commands are executed.
    let mut dialogue = Dialogue::new(SessionConfig::default());
    let output = dialogue.say("GET / HTTP/1.1\r\n\r\n{'execute': 'qmp_capabilities'}");
    assert!(output.contains("{\"return\": {}}"));
}

#[test]
fn commands_without_a_reply_are_counted() {
    let mut dialogue = Dialogue::negotiated(true);
    let n_unanswered = |dialogue: &Dialogue| dialogue.session.n_unanswered();
    assert_eq!(n_unanswered(&dialogue), 0);
    let mut calls = Vec::new();
    let text: String = (0..3).map(name).collect();
    dialogue.say_blocking(&text, &mut calls);
    assert_eq!(n_unanswered(&dialogue), 3);
    dialogue.finish(calls.pop().unwrap());
    let event = EventMessage::new("STOP", None, SystemTime::UNIX_EPOCH);
    dialogue.session.send_event(&event);
    assert_eq!(n_unanswered(&dialogue), 3);
    // All but the last byte, then that one.
    let len = reply(0).len();
    dialogue.session.consume_output(len - 1);
    assert_eq!(n_unanswered(&dialogue), 3);
    dialogue.session.consume_output(1);
    assert_eq!(n_unanswered(&dialogue), 2);
    dialogue.say_blocking("{'exec-oob': 'nope'}", &mut calls);
    while let Some(call) = calls.pop() {
        dialogue.finish(call);
        dialogue.say_blocking("", &mut calls);
    }
    assert_eq!(n_unanswered(&dialogue), 3);
    dialogue.output();
    assert_eq!(n_unanswered(&dialogue), 0);
}
