//! The haggling phase of the NBD protocol (fixed newstyle), without I/O: bytes in, bytes out.

use std::sync::Arc;

use super::export::NbdExport;
use super::protocol::{
    BASE_ALLOCATION, BASE_ALLOCATION_ID, GREETING, MAX_STRING, OPTION_MAGIC, OPTION_REPLY_MAGIC,
    export_flag, handshake_flag, info, option, option_reply,
};
use crate::block::MAX_TRANSFER;

/// The longest data of an option that are looked at; a client may send this many bytes ahead. More than a name and
/// hundreds of queries.
const MAX_OPTION_DATA: usize = 64 << 10;

/// The longest data of an option that are read and thrown away; who sends more is disconnected, as in QEMU.
const MAX_SKIPPED: u32 = 32 << 20;

/// With so much output the next option waits until it is sent: a client that asks has to listen, too.
const ENOUGH_OUTPUT: usize = 64 << 10;

/// Bytes of an option before its data.
const OPTION_HEADER: usize = 16;

/// What a client has chosen.
#[derive(Clone)]
pub(super) struct Choice {
    pub(super) export: Arc<NbdExport>,
    pub(super) structured_replies: bool,
    /// Whether `base:allocation` can be asked for.
    pub(super) base_allocation: bool,
}

/// Looks up what is on offer.
pub(super) trait Offer {
    /// All exports, in the order of their creation.
    fn exports(&self) -> Vec<Arc<NbdExport>>;

    /// Whether several connections of a client may share an export.
    fn allows_several_connections(&self) -> bool;
}

/// How it goes on.
pub(super) enum Progress {
    /// More input is needed, or the output has to be sent.
    More,
    /// The transmission begins with the input that is left.
    Transmission(Choice),
    /// What was sent is to be sent, and the connection closed.
    Close,
}

/// The state of the haggling.
pub(super) struct Handshake {
    phase: Phase,
    fixed: bool,
    no_zeroes: bool,
    structured_replies: bool,
    /// The export for which `base:allocation` was chosen.
    base_allocation: Option<Arc<NbdExport>>,
}

enum Phase {
    ClientFlags,
    Option,
    /// Data of an option that has been answered already.
    Skip(u32),
}

impl Handshake {
    /// Begins with the server's greeting.
    pub(super) fn new(output: &mut Vec<u8>) -> Self {
        output.extend_from_slice(GREETING);
        output.extend_from_slice(&OPTION_MAGIC.to_be_bytes());
        let flags = handshake_flag::FIXED_NEWSTYLE | handshake_flag::NO_ZEROES;
        output.extend_from_slice(&(flags as u16).to_be_bytes());
        Self {
            phase: Phase::ClientFlags,
            fixed: false,
            no_zeroes: false,
            structured_replies: false,
            base_allocation: None,
        }
    }

    /// Takes what it can from the input, and adds to the output what it answers.
    pub(super) fn advance(
        &mut self,
        input: &mut &[u8],
        output: &mut Vec<u8>,
        offer: &dyn Offer,
    ) -> Progress {
        while output.len() < ENOUGH_OUTPUT {
            match self.phase {
                Phase::ClientFlags => {
                    let Some(flags) = take_u32(input) else {
                        return Progress::More;
                    };
                    let known = handshake_flag::FIXED_NEWSTYLE | handshake_flag::NO_ZEROES;
                    if flags & !known != 0 {
                        return Progress::Close;
                    }
                    self.fixed = flags & handshake_flag::FIXED_NEWSTYLE != 0;
                    self.no_zeroes = flags & handshake_flag::NO_ZEROES != 0;
                    self.phase = Phase::Option;
                }
                Phase::Skip(left) => {
                    let skipped = input.len().min(left as usize);
                    *input = &input[skipped..];
                    let left = left - u32::try_from(skipped).unwrap_or(left);
                    if left > 0 {
                        self.phase = Phase::Skip(left);
                        return Progress::More;
                    }
                    self.phase = Phase::Option;
                }
                Phase::Option => {
                    let mut rest = *input;
                    let (Some(magic), Some(number), Some(length)) = (
                        take_u64(&mut rest),
                        take_u32(&mut rest),
                        take_u32(&mut rest),
                    ) else {
                        return Progress::More;
                    };
                    if magic != OPTION_MAGIC || length > MAX_SKIPPED {
                        return Progress::Close;
                    }
                    let length_here = length as usize;
                    if length_here > MAX_OPTION_DATA {
                        if number == option::EXPORT_NAME {
                            return Progress::Close;
                        }
                        let text = "option is too long";
                        refuse(output, number, option_reply::ERR_TOO_BIG, text);
                        *input = rest;
                        self.phase = Phase::Skip(length);
                        continue;
                    }
                    let Some(data) = rest.get(..length_here) else {
                        return Progress::More;
                    };
                    *input = &input[OPTION_HEADER + length_here..];
                    match self.answer(number, data, output, offer) {
                        Progress::More => {}
                        end @ (Progress::Transmission(_) | Progress::Close) => return end,
                    }
                }
            }
        }
        Progress::More
    }

    /// How much input it wants to have at once, at most.
    pub(super) const MAX_INPUT: usize = OPTION_HEADER + MAX_OPTION_DATA;

    fn answer(
        &mut self,
        number: u32,
        data: &[u8],
        output: &mut Vec<u8>,
        offer: &dyn Offer,
    ) -> Progress {
        if number == option::EXPORT_NAME {
            return self.export_name(data, output, offer);
        }
        if !self.fixed {
            // Such a client does not expect replies.
            return Progress::Close;
        }
        let invalid = |output: &mut Vec<u8>, text: &str| {
            refuse(output, number, option_reply::ERR_INVALID, text);
        };
        match number {
            option::ABORT => {
                reply(output, number, option_reply::ACK, &[]);
                return Progress::Close;
            }
            option::LIST if !data.is_empty() => invalid(output, "OPT_LIST has no data"),
            option::LIST => {
                for export in offer.exports() {
                    let name = export.name().as_bytes();
                    let description = export.description().unwrap_or_default().as_bytes();
                    let length = u32::try_from(name.len()).unwrap_or_default().to_be_bytes();
                    let data = [&length, name, description].concat();
                    reply(output, number, option_reply::SERVER, &data);
                }
                reply(output, number, option_reply::ACK, &[]);
            }
            option::STARTTLS => {
                let text = "TLS is not configured";
                refuse(output, number, option_reply::ERR_POLICY, text);
            }
            option::INFO | option::GO => return self.info(number, data, output, offer),
            option::STRUCTURED_REPLY if !data.is_empty() => {
                invalid(output, "OPT_STRUCTURED_REPLY has no data");
            }
            option::STRUCTURED_REPLY if self.structured_replies => {
                invalid(output, "structured replies are negotiated already");
            }
            option::STRUCTURED_REPLY => {
                self.structured_replies = true;
                reply(output, number, option_reply::ACK, &[]);
            }
            option::LIST_META_CONTEXT | option::SET_META_CONTEXT => {
                self.meta_context(number, data, output, offer);
            }
            _ => refuse(
                output,
                number,
                option_reply::ERR_UNSUP,
                &format!("option {number} is not supported"),
            ),
        }
        Progress::More
    }

    fn export_name(&mut self, data: &[u8], output: &mut Vec<u8>, offer: &dyn Offer) -> Progress {
        let Some(export) = find(data, offer) else {
            return Progress::Close;
        };
        let flags = self.export_flags(&export, offer);
        output.extend_from_slice(&export.size().to_be_bytes());
        output.extend_from_slice(&flags.to_be_bytes());
        if !self.no_zeroes {
            output.extend_from_slice(&[0; 124]);
        }
        Progress::Transmission(self.choice(export))
    }

    fn choice(&self, export: Arc<NbdExport>) -> Choice {
        let chosen = self.base_allocation.as_ref();
        Choice {
            structured_replies: self.structured_replies,
            base_allocation: chosen.is_some_and(|chosen| Arc::ptr_eq(chosen, &export)),
            export,
        }
    }

    fn export_flags(&self, export: &NbdExport, offer: &dyn Offer) -> u16 {
        let mut flags = export_flag::HAS_FLAGS
            | export_flag::SEND_FLUSH
            | export_flag::SEND_FUA
            | export_flag::SEND_CACHE;
        if export.is_writable() {
            flags |= export_flag::SEND_TRIM
                | export_flag::SEND_WRITE_ZEROES
                | export_flag::SEND_FAST_ZERO;
        } else {
            flags |= export_flag::READ_ONLY;
        }
        if offer.allows_several_connections() {
            flags |= export_flag::CAN_MULTI_CONN;
        }
        if self.structured_replies {
            flags |= export_flag::SEND_DF;
        }
        flags
    }

    fn info(
        &mut self,
        number: u32,
        mut data: &[u8],
        output: &mut Vec<u8>,
        offer: &dyn Offer,
    ) -> Progress {
        let invalid = |output: &mut Vec<u8>, text: &str| {
            refuse(output, number, option_reply::ERR_INVALID, text);
            Progress::More
        };
        let Some(name) = take_string(&mut data) else {
            return invalid(output, "the name does not fit the option");
        };
        let Some(n_requests) = take_u16(&mut data) else {
            return invalid(output, "the number of requests is missing");
        };
        if data.len() != 2 * usize::from(n_requests) {
            return invalid(output, "the number of requests does not fit the option");
        }
        let mut wants_name = false;
        let mut wants_description = false;
        while let Some(request) = take_u16(&mut data) {
            wants_name |= request == info::NAME;
            wants_description |= request == info::DESCRIPTION;
        }
        let Some(export) = find(name, offer) else {
            let name = String::from_utf8_lossy(name);
            let text = format!("export '{name}' not present");
            refuse(output, number, option_reply::ERR_UNKNOWN, &text);
            return Progress::More;
        };
        let mut send = |kind: u16, data: &[u8]| {
            let data = [&kind.to_be_bytes(), data].concat();
            reply(output, number, option_reply::INFO, &data);
        };
        if wants_name {
            send(info::NAME, export.name().as_bytes());
        }
        if let Some(description) = export.description().filter(|_| wants_description) {
            send(info::DESCRIPTION, description.as_bytes());
        }
        // The smallest, the best and the largest.
        let sizes = [1, 4096, MAX_TRANSFER as u32];
        send(info::BLOCK_SIZE, sizes.map(u32::to_be_bytes).as_flattened());
        let flags = self.export_flags(&export, offer).to_be_bytes();
        let size = export.size().to_be_bytes();
        send(info::EXPORT, &[&size[..], &flags].concat());
        reply(output, number, option_reply::ACK, &[]);
        if number == option::GO {
            return Progress::Transmission(self.choice(export));
        }
        Progress::More
    }

    fn meta_context(
        &mut self,
        number: u32,
        mut data: &[u8],
        output: &mut Vec<u8>,
        offer: &dyn Offer,
    ) {
        let sets = number == option::SET_META_CONTEXT;
        let mut refuse = |kind: u32, text: &str| refuse(output, number, kind, text);
        if !self.structured_replies {
            let text = "structured replies have to be negotiated before";
            return refuse(option_reply::ERR_INVALID, text);
        }
        if sets {
            // Whatever happens, the earlier choice is void.
            self.base_allocation = None;
        }
        let Some(name) = take_string(&mut data) else {
            return refuse(
                option_reply::ERR_INVALID,
                "the name does not fit the option",
            );
        };
        let Some(export) = find(name, offer) else {
            let text = format!("export '{}' not present", String::from_utf8_lossy(name));
            return refuse(option_reply::ERR_UNKNOWN, &text);
        };
        let Some(n_queries) = take_u32(&mut data) else {
            return refuse(
                option_reply::ERR_INVALID,
                "the number of queries is missing",
            );
        };
        // To ask for nothing in particular is to ask what there is.
        let mut matches = n_queries == 0 && !sets;
        for _ in 0..n_queries {
            let Some(query) = take_string(&mut data) else {
                return refuse(option_reply::ERR_INVALID, "a query does not fit the option");
            };
            matches |= query == BASE_ALLOCATION.as_bytes() || (!sets && query == b"base:");
        }
        if !data.is_empty() {
            return refuse(option_reply::ERR_INVALID, "there is more than the queries");
        }
        if matches {
            let id = BASE_ALLOCATION_ID.to_be_bytes();
            let data = [&id, BASE_ALLOCATION.as_bytes()].concat();
            reply(output, number, option_reply::META_CONTEXT, &data);
        }
        reply(output, number, option_reply::ACK, &[]);
        if sets && matches {
            self.base_allocation = Some(export);
        }
    }
}

fn find(name: &[u8], offer: &dyn Offer) -> Option<Arc<NbdExport>> {
    let mut exports = offer.exports().into_iter();
    exports.find(|export| export.name().as_bytes() == name)
}

fn reply(output: &mut Vec<u8>, number: u32, kind: u32, data: &[u8]) {
    output.extend_from_slice(&OPTION_REPLY_MAGIC.to_be_bytes());
    output.extend_from_slice(&number.to_be_bytes());
    output.extend_from_slice(&kind.to_be_bytes());
    let length = u32::try_from(data.len()).unwrap_or_default();
    output.extend_from_slice(&length.to_be_bytes());
    output.extend_from_slice(data);
}

/// Answers with an error and a text for people, cut to what clients have to take.
fn refuse(output: &mut Vec<u8>, number: u32, kind: u32, text: &str) {
    let mut end = MAX_STRING.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    reply(output, number, kind, &text.as_bytes()[..end]);
}

fn take<'a>(input: &mut &'a [u8], count: usize) -> Option<&'a [u8]> {
    let (taken, rest) = input.split_at_checked(count)?;
    *input = rest;
    Some(taken)
}

fn take_u16(input: &mut &[u8]) -> Option<u16> {
    let bytes = take(input, 2)?;
    Some(u16::from_be_bytes(bytes.try_into().ok()?))
}

fn take_u32(input: &mut &[u8]) -> Option<u32> {
    let bytes = take(input, 4)?;
    Some(u32::from_be_bytes(bytes.try_into().ok()?))
}

fn take_u64(input: &mut &[u8]) -> Option<u64> {
    let bytes = take(input, 8)?;
    Some(u64::from_be_bytes(bytes.try_into().ok()?))
}

/// A string after its length.
fn take_string<'a>(input: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = take_u32(input)? as usize;
    if length > MAX_STRING {
        return None;
    }
    take(input, length)
}
