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
        checker.blocks(&document.blocks);
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
    /// Looks for examples in `blocks`.
    fn blocks(&mut self, blocks: &[Block<'_>]) {
        for block in blocks {
            match block {
                Block::Example(example) => {
                    let mut conversation =
                        Conversation::new(self.schema, self.nearest, self.entity);
                    self.messages(&example.blocks, &mut conversation);
                }
                Block::Bullets(items) | Block::Numbered(_, items) => {
                    items.iter().for_each(|item| self.blocks(item));
                }
                Block::Definitions(items) => {
                    items.iter().for_each(|(_, body)| self.blocks(body));
                }
                Block::Quote(blocks) => self.blocks(blocks),
                Block::Admonition(admonition) => self.blocks(&admonition.blocks),
                Block::Paragraph(_)
                | Block::Heading(..)
                | Block::Code(_)
                | Block::Lines(_)
                | Block::Table(_)
                | Block::Rule => {}
            }
        }
    }

    /// Checks the messages of one example: its blocks of code are one conversation.
    fn messages(&mut self, blocks: &[Block<'_>], conversation: &mut Conversation<'_>) {
        for block in blocks {
            match block {
                Block::Code(code) if code.is_qmp() => self.code(code, conversation),
                Block::Bullets(items) | Block::Numbered(_, items) => {
                    for item in items {
                        self.messages(item, conversation);
                    }
                }
                Block::Definitions(items) => {
                    for (_, body) in items {
                        self.messages(body, conversation);
                    }
                }
                Block::Quote(blocks) => self.messages(blocks, conversation),
                Block::Admonition(admonition) => self.messages(&admonition.blocks, conversation),
                Block::Paragraph(_)
                | Block::Heading(..)
                | Block::Code(_)
                | Block::Lines(_)
                | Block::Example(_)
                | Block::Table(_)
                | Block::Rule => {}
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
