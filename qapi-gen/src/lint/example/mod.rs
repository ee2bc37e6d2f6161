//! Examples in documentation: what stands in a `qmp-example` fits the schema.

mod json;
mod message;
mod value;

use super::findings::Findings;
use super::markup::for_each_section;
use crate::diagnostic::Definition;
use crate::ir::{Entity, Schema};
use crate::markup::{Block, Code, Text};
use crate::text::Nearest;

use message::Conversation;

/// What is wrong with an example, and where in the text.
struct Problem {
    message: String,
    at: std::ops::Range<usize>,
}

/// Every example fits the schema.
pub(super) fn check(schema: &Schema, findings: &mut Findings<'_>) {
    let nearest = Nearest::default();
    for_each_section(schema, |section, text, document| {
        let mut checker = Checker {
            schema,
            nearest: &nearest,
            entity: section.entity,
            context: &section.context,
            text,
            findings,
        };
        for block in &document.blocks {
            checker.block(block);
        }
    });
}

struct Checker<'c, 'f, 'r> {
    schema: &'c Schema,
    nearest: &'c Nearest,
    entity: Option<Entity>,
    context: &'c Option<Definition>,
    text: &'c Text,
    findings: &'f mut Findings<'r>,
}

impl Checker<'_, '_, '_> {
    /// Looks for examples in a block.
    fn block(&mut self, block: &Block<'_>) {
        if let Block::Example(example) = block {
            let mut conversation = Conversation::new(self.schema, self.nearest, self.entity);
            for block in &example.blocks {
                self.messages(block, &mut conversation);
            }
        } else {
            for block in block.children() {
                self.block(block);
            }
        }
    }

    /// Checks the messages in a block of an example, whose blocks of code are one conversation. An example in an example is
    /// not a part of it.
    fn messages(&mut self, block: &Block<'_>, conversation: &mut Conversation<'_>) {
        if let Block::Code(code) = block
            && code.is_qmp()
        {
            self.code(code, conversation);
        } else if !matches!(block, Block::Example(_)) {
            for block in block.children() {
                self.messages(block, conversation);
            }
        }
    }

    fn code(&mut self, code: &Code<'_>, conversation: &mut Conversation<'_>) {
        let mut problems = Vec::new();
        for message in json::messages(code, &mut problems) {
            conversation.check(&message, &mut problems);
        }
        for problem in problems {
            let span = self.text.span(problem.at);
            self.findings
                .push(problem.message, span, self.context.clone());
        }
    }
}
