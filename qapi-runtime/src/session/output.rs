//! What a session sends.

use super::Session;
use crate::dispatch::Reply;
use crate::error::Error;
use crate::json::{Document, ValueRef};
use crate::visit::Output;

impl Session {
    pub(super) fn greet(&mut self) {
        let mut output = self.begin_message();
        let writer = output.writer();
        writer.begin_object();
        writer.key("QMP");
        writer.begin_object();
        writer.key("version");
        writer.value(&self.config.version);
        writer.key("capabilities");
        writer.begin_array();
        if self.config.oob {
            writer.string("oob");
        }
        writer.end_array();
        writer.end_object();
        writer.end_object();
        self.end_message(output, 0);
    }

    pub(super) fn begin_message(&mut self) -> Output {
        let out = std::mem::take(&mut self.out);
        Output::with_buffer(out, self.config.compat, self.config.pretty)
    }

    pub(super) fn end_message(&mut self, output: Output, mark: usize) {
        self.out = output.into_bytes();
        if self.config.pretty {
            let lines = self.out.split_off(mark);
            for line in lines.split(|byte| *byte == b'\n') {
                self.out.extend_from_slice(line);
                self.out.extend_from_slice(b"\r\n");
            }
        } else {
            self.out.extend_from_slice(b"\r\n");
        }
    }

    pub(super) fn drop_message(&mut self, output: Output, mark: usize) {
        self.out = output.into_bytes();
        self.out.truncate(mark);
    }

    /// Writes what is in one-line form already.
    pub(super) fn write_wire(&self, output: &mut Output, json: &[u8]) {
        match self.config.pretty.then(|| Document::parse(json)) {
            Some(Ok(document)) => output.value_ref(document.root()),
            Some(Err(_)) | None => output.raw(json),
        }
    }

    pub(super) fn answer_reply(&mut self, id: Option<&[u8]>, reply: &Reply) {
        let mark = self.out.len();
        let mut output = self.begin_message();
        output.writer().begin_object();
        output.writer().key("return");
        self.write_wire(&mut output, reply.as_bytes());
        if let Some(id) = id {
            output.writer().key("id");
            self.write_wire(&mut output, id);
        }
        output.writer().end_object();
        self.end_message(output, mark);
        self.note_reply();
    }

    /// Notes that a reply ends here.
    pub(super) fn note_reply(&mut self) {
        self.replies
            .push_back(self.n_forgotten + self.out.len() as u64);
    }

    pub(super) fn answer_error(&mut self, id: Option<ValueRef<'_>>, error: &Error) {
        self.write_error(id.map(wire_form).as_deref(), error);
    }

    pub(super) fn write_error(&mut self, id: Option<&[u8]>, error: &Error) {
        let mark = self.out.len();
        let mut output = self.begin_message();
        output.writer().begin_object();
        if let Some(id) = id {
            output.writer().key("id");
            self.write_wire(&mut output, id);
        }
        let writer = output.writer();
        writer.key("error");
        writer.begin_object();
        writer.key("class");
        writer.string(error.class.as_str());
        writer.key("desc");
        writer.string(&error.desc);
        writer.end_object();
        writer.end_object();
        self.end_message(output, mark);
        self.note_reply();
    }
}

/// The wire form on one line.
pub(super) fn wire_form(value: ValueRef<'_>) -> Vec<u8> {
    let mut output = Output::new();
    output.value_ref(value);
    output.into_bytes()
}
