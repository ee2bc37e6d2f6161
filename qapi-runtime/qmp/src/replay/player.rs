//! One client that is answered as recorded.

use std::collections::HashMap;
use std::sync::Arc;

use qapi_runtime::{Error, Object, Value};
use rustix::fd::OwnedFd;

use super::script::{Asked, SYNCS, Script, What};
use super::{Shared, Stray};
use crate::wire::framing::{Framer, Said};
use crate::wire::relay::Ends;
use crate::wire::{Policy, Who};

/// What of a request is quoted, in bytes.
const MAX_QUOTE: usize = 200;

/// What has become of a recorded command.
#[derive(Debug, Clone)]
enum Fate {
    /// It came, with this id.
    Came(Option<Value>),
    /// The client left it out.
    LeftOut,
}

/// Follows the script of one connection.
pub(super) struct Player {
    shared: Arc<Shared>,
    script: Script,
    /// The first item that is not over.
    place: usize,
    /// Of the commands that are over.
    fates: HashMap<usize, Fate>,
    /// Answers that were given before their turn, as nothing but commands stood before them.
    given: Vec<usize>,
    framer: Framer,
}

impl Player {
    pub(super) fn new(shared: Arc<Shared>, script: Script) -> Self {
        Self {
            shared,
            script,
            place: 0,
            fates: HashMap::new(),
            given: Vec::new(),
            framer: Framer::new(),
        }
    }

    /// Says what was said up to the next command that has not come.
    fn play(&mut self, ends: &mut Ends) {
        while let Some(item) = self.script.items.get(self.place) {
            match &item.what {
                What::Asked(_) if self.fates.contains_key(&self.place) => {}
                What::Asked(_) => return self.play_ahead(ends),
                What::Answered(answer, to) => {
                    if !self.given.contains(&self.place) {
                        self.answer(*to, answer.clone(), ends);
                    }
                }
                What::Told(message) => say(message, ends),
                What::HungUp => ends.client.end(),
            }
            self.place += 1;
        }
    }

    /// Some clients had sent several commands at once where this one waits for each answer: what comes next after commands is
    /// said, if it answers one that came.
    fn play_ahead(&mut self, ends: &mut Ends) {
        for place in self.place..self.script.items.len() {
            match &self.script.items[place].what {
                What::Asked(_) => {}
                What::Answered(_, _) if self.given.contains(&place) => {}
                What::Answered(answer, to) if self.fates.contains_key(to) => {
                    let (answer, to) = (answer.clone(), *to);
                    self.given.push(place);
                    self.answer(to, answer, ends);
                }
                What::Answered(..) | What::Told(_) | What::HungUp => return,
            }
        }
    }

    fn answer(&self, to: usize, answer: Value, ends: &mut Ends) {
        match self.fates.get(&to) {
            Some(Fate::Came(id)) => reply(answer, id.as_ref(), ends),
            Some(Fate::LeftOut) | None => {}
        }
    }

    /// A command of the client.
    fn hear_request(&mut self, message: &Value, ends: &mut Ends) {
        let Some(asked) = Asked::of(message, Vec::new()) else {
            let error = Error::generic("QMP input lacks member 'execute'");
            let text = format!("no command: {}", quoted(message));
            self.shared.stray(Stray::at(self.next_line(), text));
            return refuse(&error, message.get("id"), ends);
        };
        if SYNCS.contains(&&*asked.command) {
            return answer_sync(&asked.command, message, ends);
        }
        let id = asked.id().cloned();
        match self.find(&asked) {
            Some(place) => {
                self.leave_out_before(place, &asked.command, ends);
                self.fates.insert(place, Fate::Came(id.clone()));
                if let Some(desc) = self.misfit(place, message) {
                    // Its own answer is not to be given.
                    self.fates.insert(place, Fate::LeftOut);
                    refuse(&Error::generic(desc), id.as_ref(), ends);
                }
            }
            None => self.hear_stray(&asked, message, ends),
        }
        self.play(ends);
    }

    /// The first command that has not come and is like this one.
    fn find(&self, asked: &Asked) -> Option<usize> {
        (self.place..self.script.items.len()).find(|place| {
            let recorded = self.script.asked(*place);
            !self.fates.contains_key(place) && recorded.is_some_and(|it| it.fits(asked))
        })
    }

    /// The client has gone on to `place`. What it passed over on the way is left out, unless it only asks in another order.
    fn leave_out_before(&mut self, place: usize, command: &str, ends: &mut Ends) {
        let before = self.place..place;
        let is_answered_between = before.clone().any(|it| match &self.script.items[it].what {
            What::Asked(_) => false,
            What::Answered(..) => !self.given.contains(&it),
            What::Told(_) | What::HungUp => true,
        });
        if !is_answered_between {
            return;
        }
        let left_out: Vec<usize> = before
            .filter(|it| self.script.asked(*it).is_some() && !self.fates.contains_key(it))
            .collect();
        for it in left_out {
            let expected = self.script.asked(it).map(|it| it.command.clone());
            let text = format!(
                "{} was left out before {command}",
                expected.unwrap_or_default()
            );
            let line = self.script.items[it].line;
            self.shared.stray(Stray::at(Some(line), text));
            self.fates.insert(it, Fate::LeftOut);
        }
        self.play(ends);
    }

    /// What the schema says against a command that was answered well.
    fn misfit(&self, place: usize, message: &Value) -> Option<String> {
        let is_refused = |answer: &Value| answer.get("error").is_some();
        if self.script.answer_to(place).is_some_and(is_refused) {
            return None;
        }
        let desc = self.shared.misfit(message)?;
        let command = &self.script.asked(place)?.command;
        let text = format!("{command} does not fit the schema: {desc}");
        let line = self.script.items[place].line;
        self.shared.stray(Stray::at(Some(line), text));
        Some(desc)
    }

    /// A command that was not recorded here. One that is like it may have been recorded elsewhere.
    fn hear_stray(&self, asked: &Asked, message: &Value, ends: &mut Ends) {
        let expected = match self.next_asked() {
            Some((_, next)) => format!("{} was expected", next.command),
            None => "nothing more was expected".to_owned(),
        };
        let mut text = format!("{expected}, and {} came", quoted(message));
        let misfit = self.shared.misfit(message);
        if let Some(desc) = &misfit {
            text = format!("{text}, which does not fit the schema: {desc}");
        }
        self.shared.stray(Stray::at(self.next_line(), text));
        let known = self.shared.answer_like(asked);
        match (misfit, known) {
            (None, Some(answer)) => reply(answer, asked.id(), ends),
            (Some(desc), _) => refuse(&Error::generic(desc), asked.id(), ends),
            (None, None) => {
                let text = format!("the log has no answer to this; {expected}");
                refuse(&Error::generic(text), asked.id(), ends);
            }
        }
    }

    fn next_asked(&self) -> Option<(usize, &Asked)> {
        let open = (self.place..self.script.items.len()).filter(|it| !self.fates.contains_key(it));
        open.into_iter()
            .find_map(|place| Some((place, self.script.asked(place)?)))
    }

    /// The line at which the client is.
    fn next_line(&self) -> Option<usize> {
        let place = self.next_asked().map(|(place, _)| place);
        let item = match place {
            Some(place) => self.script.items.get(place),
            None => self.script.items.last(),
        };
        item.map(|item| item.line)
    }
}

impl Policy for Player {
    fn begin(&mut self, ends: &mut Ends) {
        self.play(ends);
    }

    fn hear(&mut self, _who: Who, bytes: &[u8], descriptors: Vec<OwnedFd>, ends: &mut Ends) {
        // Whatever they are for, nobody is here who could use them.
        drop(descriptors);
        let mut found = Vec::new();
        self.framer.feed(bytes, |said| found.push(said));
        for said in found {
            match said {
                Said::Message(message) => {
                    self.hear_request(&message.document.root().to_value(), ends);
                }
                Said::Text(text) => {
                    let text = format!("no JSON came: {}", cut(&text));
                    self.shared.stray(Stray::at(self.next_line(), text));
                    refuse(&Error::generic("JSON parse error"), None, ends);
                }
            }
        }
    }

    fn end(&mut self, _who: Who, _ends: &mut Ends) {}

    fn over(&mut self) {
        if let Some((place, asked)) = self.next_asked() {
            let text = format!("{} was expected, and the client has gone", asked.command);
            let line = self.script.items[place].line;
            self.shared.stray(Stray::at(Some(line), text));
        }
    }
}

fn say(message: &Value, ends: &mut Ends) {
    ends.client
        .send(format!("{message}\r\n").as_bytes(), Vec::new());
}

/// Sends an answer with the id of this client's request.
fn reply(answer: Value, id: Option<&Value>, ends: &mut Ends) {
    let Value::Object(mut members) = answer else {
        return;
    };
    members.remove("id");
    if let Some(id) = id {
        members.insert("id", id.clone());
    }
    say(&Value::Object(members), ends);
}

fn refuse(error: &Error, id: Option<&Value>, ends: &mut Ends) {
    let error = Object::from_iter([
        ("class".to_owned(), Value::from(error.class.as_str())),
        ("desc".to_owned(), Value::from(error.desc.as_str())),
    ]);
    let answer = Value::from_iter([("error".to_owned(), Value::Object(error))]);
    reply(answer, id, ends);
}

fn answer_sync(command: &str, message: &Value, ends: &mut Ends) {
    let argument = message.get("arguments").and_then(|it| it.get("id"));
    let answer = Value::from_iter([(
        "return".to_owned(),
        argument.cloned().unwrap_or(Value::Null),
    )]);
    if command == SYNCS[0] {
        ends.client.send(b"\xff", Vec::new());
    }
    reply(answer, message.get("id"), ends);
}

fn quoted(message: &Value) -> String {
    cut(&message.to_string())
}

fn cut(text: &str) -> String {
    let mut end = text.len().min(MAX_QUOTE);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let dots = if end < text.len() { "..." } else { "" };
    format!("{}{dots}", &text[..end])
}
