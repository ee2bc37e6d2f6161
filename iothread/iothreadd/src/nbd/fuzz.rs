//! What fuzz targets drive, with any bytes.

use std::sync::Arc;
use std::task::Waker;

use qapi_runtime::budget::Budget;
use rustix::io::Errno;

use super::exchange::{Exchange, Taken};
use super::haggling::Haggling;
use super::offer::{Choice, Exported, Offer};
use super::request::Header;
use crate::block::{IoBuffer, MAX_TRANSFER, Outcome};
use crate::budgets::Allowance;
use crate::net::drive::{Fate, check_pieces, drive};

const SIZE: u64 = 1 << 20;

/// Something on offer.
struct Disk {
    name: &'static str,
    is_writable: bool,
}

impl Exported for Disk {
    fn name(&self) -> &str {
        self.name
    }

    fn description(&self) -> Option<&str> {
        self.is_writable.then_some("it can be written to")
    }

    fn size(&self) -> u64 {
        SIZE
    }

    fn is_writable(&self) -> bool {
        self.is_writable
    }
}

struct Disks([Arc<Disk>; 2]);

impl Offer<Disk> for Disks {
    fn exports(&self) -> Vec<Arc<Disk>> {
        self.0.to_vec()
    }

    fn allows_several_connections(&self) -> bool {
        true
    }
}

fn disks() -> Arc<Disks> {
    let disk = |name, is_writable| Arc::new(Disk { name, is_writable });
    Arc::new(Disks([disk("", false), disk("a", true)]))
}

/// The haggling, as a client's bytes come.
pub(crate) fn handshake(input: &[u8]) {
    check_pieces(input, |piece| {
        let mut haggling = Haggling::new(disks());
        let mut chosen = Vec::new();
        let (output, fate) = drive(&mut haggling, input, piece, |_, choice: Choice<Disk>| {
            chosen.push((choice.export.name, choice.base_allocation));
        });
        assert!(output.starts_with(b"NBDMAGICIHAVEOPT"));
        // It waits only for the thread that serves the export that was chosen.
        assert_eq!(fate == Fate::Waits, chosen.len() == 1);
        (chosen, output, fate.is_over())
    });
}

/// What becomes of the requests of a client: each is answered in the order in which it has come, and some fail.
fn answers(input: &[u8], piece: usize, choice: &Choice<Disk>) -> (Vec<Header>, Vec<u8>, bool) {
    // One request always fits; others wait for room.
    let budget = Budget::new(MAX_TRANSFER);
    let memory = Allowance::new(budget.join());
    let mut exchange = Exchange::new(
        choice.clone(),
        memory,
        Waker::noop().clone(),
        &[],
        Vec::new(),
    );
    let mut headers = Vec::new();
    let (output, fate) = drive(&mut exchange, input, piece, |exchange, taken| {
        let (header, buffer) = match taken {
            Taken::Write(header, data) => {
                assert_eq!(data.len(), header.length as usize);
                (header, data)
            }
            Taken::Other(header) => (header, IoBuffer::new(0)),
        };
        check(&header, choice);
        let fails = header.cookie % 3 == 0;
        exchange.wait(&header);
        exchange.stop_waiting(&header);
        let outcome = Outcome {
            result: if fails { Err(Errno::IO) } else { Ok(()) },
            buffer,
            extents: Vec::new(),
        };
        exchange.reply(&header, outcome);
        headers.push(header);
    });
    let is_over = fate.is_over();
    if is_over {
        exchange.give_up();
        assert_eq!(budget.used(), 0, "memory is left over");
    }
    (headers, output, is_over)
}

/// A request that has been taken is within the export, and can be carried out there.
fn check(header: &Header, choice: &Choice<Disk>) {
    use super::protocol::command;
    let end = header.offset.checked_add(header.length.into());
    assert!(header.command == command::FLUSH || end.is_some_and(|end| end <= SIZE));
    let writes = matches!(
        header.command,
        command::WRITE | command::WRITE_ZEROES | command::TRIM
    );
    assert!(choice.export.is_writable || !writes);
    assert!(choice.base_allocation || header.command != command::BLOCK_STATUS);
}

/// Requests, as a client's bytes come.
pub(crate) fn requests(input: &[u8]) {
    let Some((kind, input)) = input.split_first() else {
        return;
    };
    let disks = disks();
    let choice = Choice {
        export: Arc::clone(&disks.0[usize::from(kind & 1)]),
        structured_replies: kind & 2 != 0,
        base_allocation: kind & 4 != 0,
    };
    check_pieces(input, |piece| answers(input, piece, &choice));
}

#[cfg(test)]
mod tests {
    use super::super::handshake::tests::{go, option};
    use super::super::protocol::{REQUEST_MAGIC, command};
    use super::*;

    #[test]
    fn handshakes() {
        let mut input = 3_u32.to_be_bytes().to_vec();
        for (number, data) in [
            (3, &b""[..]),
            (8, b""),
            (10, &[0; 12]),
            (77, b"?"),
            (7, &go("a")),
        ] {
            input.extend(option(number, data));
            handshake(&input);
        }
        handshake(&[]);
        handshake(&[255; 100]);
    }

    #[test]
    fn all_kinds_of_requests() {
        let mut input = Vec::new();
        for (number, command) in (0..10_u16).chain([0xffff]).enumerate() {
            input.extend(REQUEST_MAGIC.to_be_bytes());
            input.extend([0, 0]);
            input.extend(command.to_be_bytes());
            input.extend((number as u64).to_be_bytes());
            input.extend(4096_u64.to_be_bytes());
            input.extend(16_u32.to_be_bytes());
            if command == command::WRITE {
                input.extend([7; 16]);
            }
            // The third one disconnects.
            let input: Vec<u8> = match command > command::DISC {
                true => [&input[..], &[]].concat(),
                false => input.clone(),
            };
            for kind in 0..8 {
                requests(&[&[kind], &input[..]].concat());
            }
        }
        requests(&[0; 64]);
    }
}
