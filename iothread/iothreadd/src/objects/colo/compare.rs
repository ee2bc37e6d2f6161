//! The comparison itself, without I/O: packets and the time go in, what is to be done comes out.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use super::frame::Frame;
use super::packet::{Packet, Tuple, is_after};

/// The most connections that are followed at a time, as in QEMU.
const MAX_CONNECTIONS: usize = 16384;

/// What a packet that waits takes beside its bytes: a queue is at least a quarter full.
const PACKET_OVERHEAD: usize = 4 * size_of::<Waiting>();

/// Packets that even an empty queue has room for.
const LEAST_CAPACITY: usize = 4;

/// What a connection takes without packets.
const CONNECTION_OVERHEAD: usize =
    2 * size_of::<(Tuple, Flow)>() + 2 * LEAST_CAPACITY * size_of::<Waiting>();

/// What is to be done after something has come in.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Actions {
    /// Packets to be let through, in their order.
    pub(super) released: Vec<Frame>,
    /// The copies differ, so that they have to be made equal.
    pub(super) needs_checkpoint: bool,
}

/// What has been counted so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) primary: u64,
    pub(super) secondary: u64,
    pub(super) released: u64,
    /// For want of room.
    pub(super) dropped: u64,
    pub(super) checkpoints: u64,
}

/// Which copy of the guest has sent a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Primary,
    Secondary,
}

/// Everything that waits to be compared.
#[derive(Default)]
pub(super) struct Comparison {
    connections: HashMap<Tuple, Flow>,
    /// Whether a checkpoint has been asked for since the last scan.
    has_asked: bool,
    counts: Counts,
    held: Held,
}

/// How many bytes wait on each side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Held {
    primary: usize,
    secondary: usize,
}

/// One direction of a connection.
#[derive(Default)]
struct Flow {
    primary: VecDeque<Waiting>,
    secondary: VecDeque<Waiting>,
    /// Up to which number of TCP the data are known to be equal.
    compared: Option<u32>,
    /// What the secondary has acknowledged.
    acknowledged: Option<u32>,
    held: Held,
}

struct Waiting {
    packet: Packet,
    since: Duration,
}

impl Comparison {
    pub(super) fn counts(&self) -> Counts {
        self.counts
    }

    /// How much memory is taken by what waits.
    pub(super) fn used(&self) -> usize {
        self.held.primary + self.held.secondary + self.connections.len() * CONNECTION_OVERHEAD
    }

    /// How much memory a packet takes if it waits.
    pub(super) fn size_of(frame: &Frame) -> usize {
        frame.data.capacity() + PACKET_OVERHEAD
    }

    /// The side of which more waits: the other one has to come along.
    pub(super) fn side_ahead(&self) -> Side {
        match self.held.primary > self.held.secondary {
            true => Side::Primary,
            false => Side::Secondary,
        }
    }

    /// A packet has come. No more than `limit` wait on either side of a connection. Without room for it, it is compared with
    /// what waits, and does not wait itself.
    pub(super) fn add(
        &mut self,
        side: Side,
        frame: Frame,
        now: Duration,
        limit: usize,
        has_room: bool,
    ) -> Actions {
        let mut actions = Actions::default();
        match side {
            Side::Primary => self.counts.primary += 1,
            Side::Secondary => self.counts.secondary += 1,
        }
        let spare = frame.clone();
        let Some(packet) = Packet::parse(frame) else {
            // What cannot be compared is let through.
            if side == Side::Primary {
                self.counts.released += 1;
                actions.released.push(spare);
            }
            return actions;
        };
        let tuple = packet.tuple;
        if self.connections.len() >= MAX_CONNECTIONS && !self.connections.contains_key(&tuple) {
            self.connections
                .retain(|_, connection| !connection.is_idle());
            if self.connections.len() >= MAX_CONNECTIONS {
                self.counts.dropped += 1;
                return actions;
            }
        }
        let connection = self.connections.entry(tuple).or_default();
        let before = connection.held;
        if !connection.insert(side, packet, now, limit) {
            self.counts.dropped += 1;
            return actions;
        }
        let differs = connection.progress(&mut actions.released);
        let mut n_dropped = 0;
        while !has_room && connection.held.sum() > before.sum() && connection.drop_last(side) {
            n_dropped += 1;
        }
        self.held.change(before, connection.held);
        self.counts.dropped += n_dropped;
        self.counts.released += actions.released.len() as u64;
        // Where there is no room, only a checkpoint makes some for sure.
        actions.needs_checkpoint = (differs || n_dropped > 0) && self.ask();
        actions
    }

    /// Looks for packets of the primary that have waited for longer than `timeout`.
    pub(super) fn scan(&mut self, now: Duration, timeout: Duration) -> Actions {
        self.has_asked = false;
        let is_late = |connection: &Flow| {
            let waiting = connection.primary.iter();
            waiting
                .map(|it| it.since)
                .min()
                .is_some_and(|since| now.saturating_sub(since) > timeout)
        };
        let needs_checkpoint = self.connections.values().any(is_late) && self.ask();
        Actions {
            released: Vec::new(),
            needs_checkpoint,
        }
    }

    /// Both copies are equal: what the primary has sent is let through, and what the secondary has sent is forgotten.
    pub(super) fn checkpoint(&mut self) -> Vec<Frame> {
        self.has_asked = false;
        self.held = Held::default();
        let mut connections: Vec<_> = std::mem::take(&mut self.connections).into_iter().collect();
        // Not in the order of a hash table.
        connections.sort_by_key(|(tuple, _)| *tuple);
        let waiting = connections.into_iter().flat_map(|(_, it)| it.primary);
        let released: Vec<Frame> = waiting.map(|waiting| waiting.packet.frame).collect();
        self.counts.released += released.len() as u64;
        released
    }

    /// Whether to ask for a checkpoint, which is done once between two scans.
    fn ask(&mut self) -> bool {
        let asks = !self.has_asked;
        self.has_asked = true;
        self.counts.checkpoints += u64::from(asks);
        asks
    }
}

impl Held {
    fn sum(self) -> usize {
        self.primary + self.secondary
    }

    fn of(&mut self, side: Side) -> &mut usize {
        match side {
            Side::Primary => &mut self.primary,
            Side::Secondary => &mut self.secondary,
        }
    }

    /// What a part of it was has become something else.
    fn change(&mut self, before: Self, after: Self) {
        self.primary = self.primary - before.primary + after.primary;
        self.secondary = self.secondary - before.secondary + after.secondary;
    }
}

impl Waiting {
    fn size(&self) -> usize {
        Comparison::size_of(&self.packet.frame)
    }
}

impl Flow {
    fn queue(&mut self, side: Side) -> &mut VecDeque<Waiting> {
        match side {
            Side::Primary => &mut self.primary,
            Side::Secondary => &mut self.secondary,
        }
    }

    /// Takes a packet out.
    fn remove(&mut self, side: Side, index: usize) -> Option<Waiting> {
        let queue = self.queue(side);
        let removed = queue.remove(index)?;
        if queue.len() <= queue.capacity() / 4 {
            queue.shrink_to((queue.capacity() / 2).max(LEAST_CAPACITY));
        }
        *self.held.of(side) -= removed.size();
        Some(removed)
    }

    /// Forgets the last packet of a side. Returns whether there was one.
    fn drop_last(&mut self, side: Side) -> bool {
        match self.queue(side).len().checked_sub(1) {
            Some(last) => self.remove(side, last).is_some(),
            None => false,
        }
    }

    fn is_idle(&self) -> bool {
        self.primary.is_empty() && self.secondary.is_empty()
    }

    /// Returns whether there was room. Packets of TCP are kept in the order of their data.
    fn insert(&mut self, side: Side, packet: Packet, now: Duration, limit: usize) -> bool {
        if let (Side::Secondary, Some(tcp)) = (side, packet.tcp)
            && self
                .acknowledged
                .is_none_or(|it| is_after(tcp.acknowledged, it))
        {
            self.acknowledged = Some(tcp.acknowledged);
        }
        let queue = self.queue(side);
        if queue.len() >= limit {
            return false;
        }
        let is_earlier = |waiting: &Waiting| match (waiting.packet.tcp, packet.tcp) {
            (Some(before), Some(new)) => !is_after(before.sequence, new.sequence),
            (_, _) => true,
        };
        let place = queue
            .iter()
            .rposition(is_earlier)
            .map_or(0, |last| last + 1);
        let waiting = Waiting { packet, since: now };
        let size = waiting.size();
        queue.insert(place, waiting);
        *self.held.of(side) += size;
        true
    }

    /// Lets through what is equal. Returns whether something differs.
    fn progress(&mut self, released: &mut Vec<Frame>) -> bool {
        loop {
            let (Some(primary), Some(secondary)) = (self.primary.front(), self.secondary.front())
            else {
                return false;
            };
            let step = match (primary.packet.tcp, secondary.packet.tcp) {
                (Some(_), Some(_)) => self.compare_data(&primary.packet, &secondary.packet),
                (_, _) => {
                    let payload = primary.packet.payload();
                    let is_equal = |other: &Waiting| other.packet.payload() == payload;
                    match self.secondary.iter().position(is_equal) {
                        Some(index) => Step::Both(index),
                        None => Step::Differs,
                    }
                }
            };
            match step {
                Step::Primary => {}
                Step::Secondary => {
                    self.remove(Side::Secondary, 0);
                    continue;
                }
                Step::Both(index) => drop(self.remove(Side::Secondary, index)),
                Step::Advance { compared, step } => {
                    self.compared = Some(compared);
                    match step {
                        Done::Primary => {}
                        Done::Secondary => {
                            self.remove(Side::Secondary, 0);
                            continue;
                        }
                        Done::Both => drop(self.remove(Side::Secondary, 0)),
                    }
                }
                Step::Wait => return false,
                Step::Differs => return true,
            }
            released.extend(self.remove(Side::Primary, 0).map(|it| it.packet.frame));
        }
    }

    /// Compares the data that two segments share and that are not known to be equal yet.
    fn compare_data(&self, primary: &Packet, secondary: &Packet) -> Step {
        let is_new = |packet: &Packet| {
            let is_known = |compared| !is_after(packet.sequence_end(), compared);
            !packet.payload().is_empty() && !self.compared.is_some_and(is_known)
        };
        match (is_new(primary), is_new(secondary)) {
            (false, false) => return Step::Both(0),
            (false, true) => return Step::Primary,
            (true, false) => return Step::Secondary,
            (true, true) => {}
        }
        let (Some(of_primary), Some(of_secondary)) = (primary.tcp, secondary.tcp) else {
            return Step::Differs;
        };
        // From where both have data that are new.
        let mut start = match is_after(of_primary.sequence, of_secondary.sequence) {
            true => of_primary.sequence,
            false => of_secondary.sequence,
        };
        if let Some(compared) = self.compared.filter(|it| is_after(*it, start)) {
            start = compared;
        }
        let rest = |packet: &Packet, sequence: u32| {
            let skipped = usize::try_from(start.wrapping_sub(sequence)).unwrap_or(usize::MAX);
            packet.payload().get(skipped..).map(<[u8]>::to_vec)
        };
        let (Some(ours), Some(theirs)) = (
            rest(primary, of_primary.sequence),
            rest(secondary, of_secondary.sequence),
        ) else {
            // One of them lacks what comes first; it may be on its way.
            return Step::Wait;
        };
        let common = ours.len().min(theirs.len());
        if common == 0 {
            return Step::Wait;
        }
        if ours[..common] != theirs[..common] {
            return Step::Differs;
        }
        let compared = start.wrapping_add(u32::try_from(common).unwrap_or(0));
        let step = match ours.len().cmp(&theirs.len()) {
            std::cmp::Ordering::Less => Done::Primary,
            std::cmp::Ordering::Equal => Done::Both,
            std::cmp::Ordering::Greater => Done::Secondary,
        };
        // The peer must not learn that the primary has received what the secondary lacks.
        let is_ahead = |acknowledged| is_after(of_primary.acknowledged, acknowledged);
        if step != Done::Secondary && self.acknowledged.is_some_and(is_ahead) {
            return Step::Wait;
        }
        Step::Advance { compared, step }
    }
}

/// What a comparison of the first two packets leads to.
enum Step {
    /// The first packet of the primary is done with.
    Primary,
    /// That of the secondary is.
    Secondary,
    /// That of the primary and one of the secondary are.
    Both(usize),
    /// Data are equal up to a number of TCP.
    Advance {
        compared: u32,
        step: Done,
    },
    /// More has to come.
    Wait,
    Differs,
}

/// Which of two segments are compared to their end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Done {
    Primary,
    Secondary,
    Both,
}

#[cfg(test)]
mod tests {
    use super::super::packet::tests::{frame, segment};
    use super::*;

    const UDP: u8 = 17;

    struct Fixture(Comparison);

    impl Fixture {
        fn new() -> Self {
            Self(Comparison::default())
        }

        fn add(&mut self, side: Side, frame: &Frame) -> Actions {
            let actions = self.0.add(side, frame.clone(), Duration::ZERO, 4, true);
            self.check_held();
            actions
        }

        /// What is said to be held is what waits.
        fn check_held(&self) {
            let mut held = Held::default();
            for connection in self.0.connections.values() {
                held.primary += connection.primary.iter().map(Waiting::size).sum::<usize>();
                held.secondary += connection
                    .secondary
                    .iter()
                    .map(Waiting::size)
                    .sum::<usize>();
            }
            assert_eq!(self.0.held, held);
        }

        /// Expects exactly these packets to be let through.
        fn expect(&mut self, side: Side, frame: &Frame, released: &[&Frame]) {
            let actions = self.add(side, frame);
            assert!(!actions.needs_checkpoint);
            assert_eq!(actions.released.iter().collect::<Vec<_>>(), released);
        }
    }

    #[test]
    fn equal_packets_are_let_through_once() {
        let mut it = Fixture::new();
        let (a, b) = (frame(UDP, 5, b"a"), frame(UDP, 5, b"b"));
        it.expect(Side::Primary, &a, &[]);
        it.expect(Side::Primary, &b, &[]);
        it.expect(Side::Secondary, &a, &[&a]);
        it.expect(Side::Secondary, &b, &[&b]);
        // The other way round.
        it.expect(Side::Secondary, &a, &[]);
        it.expect(Side::Primary, &a, &[&a]);
        assert_eq!(it.0.counts().released, 3);
    }

    #[test]
    fn other_connections_do_not_matter() {
        let mut it = Fixture::new();
        let (a, b) = (frame(UDP, 5, b"a"), frame(UDP, 6, b"b"));
        it.expect(Side::Primary, &a, &[]);
        it.expect(Side::Secondary, &b, &[]);
        it.expect(Side::Secondary, &a, &[&a]);
    }

    #[test]
    fn a_difference_asks_for_a_checkpoint_once() {
        let mut it = Fixture::new();
        let (a, b) = (frame(UDP, 5, b"a"), frame(UDP, 5, b"b"));
        it.expect(Side::Primary, &a, &[]);
        assert!(it.add(Side::Secondary, &b).needs_checkpoint);
        assert!(!it.add(Side::Secondary, &b).needs_checkpoint);
        assert_eq!(it.0.checkpoint(), std::slice::from_ref(&a));
        // Nothing of before is left.
        it.expect(Side::Primary, &b, &[]);
        it.expect(Side::Secondary, &b, &[&b]);
        assert_eq!(it.0.counts().checkpoints, 1);
    }

    #[test]
    fn waiting_too_long_asks_for_a_checkpoint() {
        let mut it = Fixture::new();
        let second = Duration::from_secs(1);
        it.expect(Side::Primary, &frame(UDP, 5, b"a"), &[]);
        assert!(!it.0.scan(second, second).needs_checkpoint);
        assert!(it.0.scan(second * 2, second).needs_checkpoint);
        // The secondary may have sent what the primary has not.
        it.0.checkpoint();
        it.expect(Side::Secondary, &frame(UDP, 5, b"a"), &[]);
        assert!(!it.0.scan(second * 9, second).needs_checkpoint);
    }

    #[test]
    fn a_full_queue_drops() {
        let mut it = Fixture::new();
        for number in 0..6 {
            it.expect(Side::Primary, &frame(UDP, 5, &[number]), &[]);
        }
        assert_eq!(it.0.counts().dropped, 2);
        assert_eq!(it.0.checkpoint().len(), 4);
    }

    #[test]
    fn without_room_nothing_waits_and_what_waits_goes_on() {
        let mut it = Fixture::new();
        let frames = [0, 1, 2].map(|number| frame(UDP, 5, &[number]));
        it.expect(Side::Primary, &frames[0], &[]);
        it.expect(Side::Primary, &frames[1], &[]);
        assert_eq!(it.0.side_ahead(), Side::Primary);
        let used = it.0.used();
        let mut add = |side, frame: &Frame| {
            let actions = it.0.add(side, frame.clone(), Duration::ZERO, 4, false);
            it.check_held();
            (actions.released, actions.needs_checkpoint, it.0.used())
        };
        // One of another connection, and one more of this: a checkpoint is asked for once.
        let (released, asks, after) = add(Side::Secondary, &frame(UDP, 6, &[9]));
        assert_eq!((released, asks), (Vec::new(), true));
        assert!(after - used <= CONNECTION_OVERHEAD);
        assert_eq!(add(Side::Primary, &frames[2]), (Vec::new(), false, after));
        let (released, _, after) = add(Side::Secondary, &frames[0]);
        assert_eq!(released, [frames[0].clone()]);
        assert!(after < used + CONNECTION_OVERHEAD);
        let (released, _, after) = add(Side::Secondary, &frames[1]);
        assert_eq!(released, [frames[1].clone()]);
        assert_eq!(after, 2 * CONNECTION_OVERHEAD);
        assert_eq!(it.0.counts().dropped, 2);
        it.0.checkpoint();
        assert_eq!(it.0.used(), 0);
    }

    #[test]
    fn what_is_no_packet_is_let_through_from_the_primary() {
        let mut it = Fixture::new();
        let strange = Frame::message("no packet");
        it.expect(Side::Primary, &strange, &[&strange]);
        it.expect(Side::Secondary, &strange, &[]);
    }

    #[test]
    fn data_of_tcp_may_be_cut_differently() {
        let mut it = Fixture::new();
        let whole = segment(100, 1, b"abcdef");
        it.expect(Side::Primary, &whole, &[]);
        it.expect(Side::Secondary, &segment(100, 1, b"ab"), &[]);
        it.expect(Side::Secondary, &segment(102, 1, b"cdefgh"), &[&whole]);
        let rest = segment(106, 1, b"gh");
        it.expect(Side::Primary, &rest, &[&rest]);
        // Sent once more, it is let through at the next sign of the secondary.
        it.expect(Side::Primary, &whole, &[]);
        it.expect(Side::Secondary, &segment(108, 1, b""), &[&whole]);
    }

    #[test]
    fn data_of_tcp_may_come_out_of_order_and_wrap() {
        let mut it = Fixture::new();
        let start = u32::MAX - 1;
        let first = segment(start, 1, b"abcd");
        let second = segment(start.wrapping_add(4), 1, b"ef");
        it.expect(Side::Primary, &second, &[]);
        it.expect(Side::Primary, &first, &[]);
        let both = segment(start, 1, b"abcdef");
        it.expect(Side::Secondary, &both, &[&first, &second]);
    }

    #[test]
    fn data_of_tcp_that_differ_ask_for_a_checkpoint() {
        let mut it = Fixture::new();
        it.expect(Side::Primary, &segment(1, 1, b"abc"), &[]);
        assert!(
            it.add(Side::Secondary, &segment(1, 1, b"abX"))
                .needs_checkpoint
        );
    }

    #[test]
    fn the_primary_does_not_acknowledge_alone() {
        let mut it = Fixture::new();
        let ahead = segment(1, 50, b"abc");
        it.expect(Side::Primary, &ahead, &[]);
        it.expect(Side::Secondary, &segment(1, 40, b"abc"), &[]);
        it.expect(Side::Secondary, &segment(4, 50, b""), &[&ahead]);
    }
}
