//! How the demo looks.

use serde_json::{Value, json};

use super::Message;

/// Prints the steps, for people or for machines.
pub(super) struct Show {
    is_json: bool,
}

impl Show {
    pub(super) fn new(is_json: bool) -> Self {
        Self { is_json }
    }

    /// What is going on before there is anything to show.
    pub(super) fn progress(&self, text: &str) {
        eprintln!("{text}");
    }

    pub(super) fn greeting(&self, greeting: &Message) {
        if self.is_json {
            println!("{}", greeting.text);
        } else {
            println!("\niothreadd greets: {}", greeting.text);
        }
    }

    pub(super) fn chapter(&self, title: &str) {
        if self.is_json {
            println!("{}", json!({ "chapter": title }));
        } else {
            println!("\n=== {title}");
        }
    }

    pub(super) fn events(&self, events: &[Message]) {
        for event in events {
            if self.is_json {
                println!("{}", event.text);
            } else {
                println!("<- {}", event.text);
            }
        }
    }

    /// A request, its reply, and who holds which thread after it.
    pub(super) fn step(&self, request: &str, reply: &Message, threads: &Value) {
        if self.is_json {
            let reply = &reply.text;
            println!(r#"{{"request": {request}, "reply": {reply}, "iothreads": {threads}}}"#);
            return;
        }
        println!("\n-> {request}");
        match reply.value["return"].as_str() {
            // Text from the human monitor reads best as it is.
            Some(text) => print_indented("<- ", text),
            None => println!("<- {}", reply.text),
        }
        for thread in threads.as_array().into_iter().flatten() {
            let holders = thread["holders"].as_array().map_or(&[][..], Vec::as_slice);
            let names: Vec<String> = holders.iter().map(holder_text).collect();
            let held = match &names[..] {
                [] => "nobody".to_owned(),
                names => names.join(", "),
            };
            let id = thread["id"].as_str().unwrap_or_default();
            println!("   {id} (thread {}): held by {held}", thread["thread-id"]);
        }
    }
}

/// A holder as its kind and its name.
fn holder_text(holder: &Value) -> String {
    let kind = holder["type"].as_str().unwrap_or("?");
    let name = holder
        .as_object()
        .into_iter()
        .flatten()
        .find(|(key, _)| *key != "type")
        .and_then(|(_, value)| value.as_str())
        .unwrap_or("?");
    format!("{kind} {name}")
}

fn print_indented(first: &str, text: &str) {
    let mut indent = first;
    for line in text.lines() {
        println!("{indent}{line}");
        indent = "   ";
    }
}
