//! What clients send, and what they have to be answered.

use serde_json::{Value, json};

use crate::Random;

/// What has to come back.
#[derive(Debug)]
pub(super) struct Expected {
    id: Option<Value>,
    answer: Answer,
}

#[derive(Debug)]
enum Answer {
    Return,
    /// Class and text.
    Error(&'static str, &'static str),
}

const GENERIC: &str = "GenericError";

/// Requests that have no `id`, since they are not commands or not JSON at all.
const WITHOUT_ID: [(&str, &str); 6] = [
    ("]", "JSON parse error, expecting value"),
    ("hello", "JSON parse error, invalid keyword 'hello'"),
    ("[]", "QMP input must be a JSON object"),
    (
        "{\"execute\" \"query-name\"}",
        "JSON parse error, expecting ':'",
    ),
    (
        "{\"execute\": \"\\ud83d\"}",
        "JSON parse error, \\ud83d is not a valid Unicode character",
    ),
    ("{}", "QMP input lacks member 'execute'"),
];

/// Requests with an `id`: their members, and what they are answered.
const WITH_ID: [(&str, Answer); 8] = [
    ("\"execute\": \"query-name\"", Answer::Return),
    (
        "\"execute\": \"query-name\", \"arguments\": {}",
        Answer::Return,
    ),
    ("'execute': 'query-name'", Answer::Return),
    (
        "\"execute\": \"no-such-command\"",
        Answer::Error(
            "CommandNotFound",
            "The command no-such-command has not been found",
        ),
    ),
    (
        "\"execute\": \"query-name\", \"arguments\": {\"x\": 1}",
        Answer::Error(GENERIC, "Parameter 'x' is unexpected"),
    ),
    (
        "\"execute\": \"query-name\", \"arguments\": 1",
        Answer::Error(GENERIC, "QMP input member 'arguments' must be an object"),
    ),
    (
        "\"execute\": 1",
        Answer::Error(GENERIC, "QMP input member 'execute' must be a string"),
    ),
    (
        "\"execute\": \"query-name\", \"bogus\": null",
        Answer::Error(GENERIC, "QMP input member 'bogus' is unexpected"),
    ),
];

/// Appends the next request of a client to `out`. Its `id` carries `padding` bytes more.
pub(super) fn push_request(
    random: &mut Random,
    client: u64,
    number: u64,
    padding: usize,
    out: &mut Vec<u8>,
) -> Expected {
    if padding == 0 && random.below(8) == 0 {
        let (request, text) = WITHOUT_ID[random.below(WITHOUT_ID.len())];
        out.extend_from_slice(request.as_bytes());
        out.push(b'\n');
        return Expected {
            id: None,
            answer: Answer::Error(GENERIC, text),
        };
    }
    let id = match random.below(4) {
        _ if padding > 0 => json!([client, number, "x".repeat(padding)]),
        0 => json!(number),
        1 => json!(format!("{client}/{number}")),
        2 => json!({"client": client, "number": number, "more": [null, true, -1.5, "\u{e9}"]}),
        _ => json!([client, number]),
    };
    let (members, answer) = &WITH_ID[random.below(WITH_ID.len())];
    // Half of the requests end without a line end.
    let end = if random.below(2) == 0 { "\r\n" } else { " " };
    out.extend_from_slice(format!("{{{members}, \"id\": {id}}}{end}").as_bytes());
    Expected {
        id: Some(id),
        answer: match answer {
            Answer::Return => Answer::Return,
            Answer::Error(class, text) => Answer::Error(class, text),
        },
    }
}

impl Expected {
    /// Whether the reply is the one; errors are not returned but must be, so tells which it is.
    pub(super) fn check(&self, reply: &Value) -> Result<bool, String> {
        let as_expected = reply.get("id") == self.id.as_ref()
            && match self.answer {
                Answer::Return => reply.get("return").is_some() && reply.get("error").is_none(),
                Answer::Error(class, text) => {
                    let error = &reply["error"];
                    let desc = error["desc"].as_str().map(without_place);
                    reply.get("return").is_none() && error["class"] == class && desc == Some(text)
                }
            };
        if as_expected {
            Ok(matches!(self.answer, Answer::Error(..)))
        } else {
            Err(format!("expected {self:?}, received {reply}"))
        }
    }
}

/// The text of an error without the line and column that those about JSON begin with.
fn without_place(text: &str) -> &str {
    match text.find(": JSON parse error") {
        Some(end) => &text[end + 2..],
        None => text,
    }
}
