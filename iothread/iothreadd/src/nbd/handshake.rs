//! The haggling phase of the NBD protocol (fixed newstyle), without I/O: bytes in, bytes out.

use std::sync::Arc;

use super::offer::{Choice, Exported, Offer};
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

/// How much input it wants to have at once, at most.
pub(super) const MAX_INPUT: usize = OPTION_HEADER + MAX_OPTION_DATA;

/// How it goes on.
pub(super) enum Progress<E> {
    /// More input is needed, or the output has to be sent.
    More,
    /// The transmission begins with the input that is left.
    Transmission(Choice<E>),
    /// What was sent is to be sent, and the connection closed.
    Close,
}

/// The state of the haggling.
pub(super) struct Handshake<E> {
    phase: Phase,
    fixed: bool,
    no_zeroes: bool,
    structured_replies: bool,
    /// The export for which `base:allocation` was chosen.
    base_allocation: Option<Arc<E>>,
}

enum Phase {
    ClientFlags,
    Option,
    /// Data of an option that has been answered already.
    Skip(u32),
}

impl<E: Exported> Handshake<E> {
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
        offer: &dyn Offer<E>,
    ) -> Progress<E> {
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

    fn answer(
        &mut self,
        number: u32,
        data: &[u8],
        output: &mut Vec<u8>,
        offer: &dyn Offer<E>,
    ) -> Progress<E> {
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

    fn export_name(
        &mut self,
        data: &[u8],
        output: &mut Vec<u8>,
        offer: &dyn Offer<E>,
    ) -> Progress<E> {
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

    fn choice(&self, export: Arc<E>) -> Choice<E> {
        let chosen = self.base_allocation.as_ref();
        Choice {
            structured_replies: self.structured_replies,
            base_allocation: chosen.is_some_and(|chosen| Arc::ptr_eq(chosen, &export)),
            export,
        }
    }

    fn export_flags(&self, export: &E, offer: &dyn Offer<E>) -> u16 {
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
        offer: &dyn Offer<E>,
    ) -> Progress<E> {
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
        offer: &dyn Offer<E>,
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

fn find<E: Exported>(name: &[u8], offer: &dyn Offer<E>) -> Option<Arc<E>> {
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

#[cfg(test)]
pub(super) mod tests {
    use std::sync::OnceLock;

    use super::*;

    /// Something on offer.
    #[derive(Debug, PartialEq, Eq)]
    pub(crate) struct Disk {
        name: &'static str,
        description: Option<&'static str>,
        is_writable: bool,
    }

    impl Exported for Disk {
        fn name(&self) -> &str {
            self.name
        }

        fn description(&self) -> Option<&str> {
            self.description
        }

        fn size(&self) -> u64 {
            1 << 20
        }

        fn is_writable(&self) -> bool {
            self.is_writable
        }
    }

    impl Offer<Disk> for Vec<Arc<Disk>> {
        fn exports(&self) -> Vec<Arc<Disk>> {
            self.clone()
        }

        fn allows_several_connections(&self) -> bool {
            true
        }
    }

    /// Always the same.
    pub(crate) fn disks() -> Arc<dyn Offer<Disk> + Send + Sync> {
        static DISKS: OnceLock<Arc<Vec<Arc<Disk>>>> = OnceLock::new();
        let disk = |name, description, is_writable| {
            Arc::new(Disk {
                name,
                description,
                is_writable,
            })
        };
        let make = || {
            Arc::new(vec![
                disk("one", None, false),
                disk("two", Some("the second"), true),
            ])
        };
        Arc::clone(DISKS.get_or_init(make)) as _
    }

    pub(crate) fn option(number: u32, data: &[u8]) -> Vec<u8> {
        let length = u32::try_from(data.len()).unwrap();
        let mut bytes = b"IHAVEOPT".to_vec();
        bytes.extend(number.to_be_bytes());
        bytes.extend(length.to_be_bytes());
        bytes.extend(data);
        bytes
    }

    fn string(text: &str) -> Vec<u8> {
        let length = u32::try_from(text.len()).unwrap();
        [&length.to_be_bytes(), text.as_bytes()].concat()
    }

    /// The data of an option that chooses an export, and asks for no information.
    pub(crate) fn go(name: &str) -> Vec<u8> {
        [string(name), vec![0, 0]].concat()
    }

    fn queries(name: &str, queries: &[&str]) -> Vec<u8> {
        let mut data = string(name);
        data.extend(u32::try_from(queries.len()).unwrap().to_be_bytes());
        queries.iter().for_each(|query| data.extend(string(query)));
        data
    }

    /// A handshake in which the client's flags have come.
    fn begun(flags: u32) -> Handshake<Disk> {
        let mut handshake = Handshake::new(&mut Vec::new());
        let progress = handshake.advance(&mut &flags.to_be_bytes()[..], &mut Vec::new(), &*disks());
        assert!(matches!(progress, Progress::More));
        handshake
    }

    /// Sends an option. Returns the types of the replies with their data, and how it goes on.
    fn ask(
        handshake: &mut Handshake<Disk>,
        number: u32,
        data: &[u8],
    ) -> (Vec<(u32, Vec<u8>)>, Progress<Disk>) {
        let mut output = Vec::new();
        let input = option(number, data);
        let mut rest = input.as_slice();
        let progress = handshake.advance(&mut rest, &mut output, &*disks());
        assert!(rest.is_empty());
        let mut replies = Vec::new();
        let mut output = output.as_slice();
        while !output.is_empty() {
            assert_eq!(take_u64(&mut output), Some(OPTION_REPLY_MAGIC));
            assert_eq!(take_u32(&mut output), Some(number));
            let kind = take_u32(&mut output).unwrap();
            let length = take_u32(&mut output).unwrap() as usize;
            replies.push((kind, take(&mut output, length).unwrap().to_vec()));
        }
        (replies, progress)
    }

    fn kinds(handshake: &mut Handshake<Disk>, number: u32, data: &[u8]) -> Vec<u32> {
        let (replies, progress) = ask(handshake, number, data);
        assert!(matches!(progress, Progress::More));
        replies.into_iter().map(|(kind, _)| kind).collect()
    }

    #[test]
    fn what_is_on_offer_is_listed() {
        let (replies, _) = ask(&mut begun(3), option::LIST, &[]);
        let second = [string("two"), b"the second".to_vec()].concat();
        let expected = [
            (option_reply::SERVER, string("one")),
            (option_reply::SERVER, second),
            (option_reply::ACK, Vec::new()),
        ];
        assert_eq!(replies, expected);
    }

    #[test]
    fn a_context_belongs_to_the_export_that_it_was_set_for() {
        for (chosen, has_context) in [("one", true), ("two", false)] {
            let mut handshake = begun(3);
            let early = queries("one", &[BASE_ALLOCATION]);
            let set = option::SET_META_CONTEXT;
            assert_eq!(
                kinds(&mut handshake, set, &early),
                [option_reply::ERR_INVALID]
            );
            assert_eq!(
                kinds(&mut handshake, option::STRUCTURED_REPLY, &[]),
                [option_reply::ACK]
            );
            let both = [option_reply::META_CONTEXT, option_reply::ACK];
            assert_eq!(kinds(&mut handshake, set, &early), both);
            let (_, progress) = ask(&mut handshake, option::GO, &go(chosen));
            let Progress::Transmission(choice) = progress else {
                panic!("nothing is chosen");
            };
            assert_eq!(choice.export.name(), chosen);
            assert!(choice.structured_replies);
            assert_eq!(choice.base_allocation, has_context);
        }
    }

    #[test]
    fn an_old_client_gets_what_it_chooses_or_nothing() {
        let mut handshake = begun(0);
        let mut output = Vec::new();
        let input = option(option::EXPORT_NAME, b"two");
        let progress = handshake.advance(&mut &input[..], &mut output, &*disks());
        assert!(matches!(progress, Progress::Transmission(_)));
        // Size, flags, and zeroes, which it has not asked to leave out.
        assert_eq!(output.len(), 8 + 2 + 124);
        for (number, data) in [(option::EXPORT_NAME, &b"none"[..]), (option::LIST, b"")] {
            let progress =
                begun(0).advance(&mut &option(number, data)[..], &mut Vec::new(), &*disks());
            assert!(matches!(progress, Progress::Close), "{number}");
        }
    }
}
