//! The codes of rules, and what they mean.

use std::fmt;
use std::str::FromStr;

use serde::Serialize;

macro_rules! codes {
    ($($variant:ident $code:literal $title:literal $explanation:literal,)+) => {
        /// A rule.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub(crate) enum Code {
            $(#[doc = $title] $variant,)+
        }

        impl Code {
            pub(crate) const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// How it is written.
            pub(crate) fn code(self) -> &'static str {
                match self { $(Self::$variant => $code,)+ }
            }

            /// What is wrong, in a few words.
            pub(crate) fn title(self) -> &'static str {
                match self { $(Self::$variant => $title,)+ }
            }

            /// When it holds, why that matters, and what to do.
            pub(crate) fn explanation(self) -> &'static str {
                match self { $(Self::$variant => $explanation,)+ }
            }
        }
    };
}

codes! {
    IdleThread "IO01" "IOThread without holder" "\
An IOThread has no holder: no device, export, node or monitor runs on it. It costs little, but whoever made it had something in
mind. Give it a disk, or delete it.

It is not said of a guest with block exports whose IOThreads its server does not tell: they may be what it is for.",
    DiskInMainLoop "IO02" "disk in the main loop while IOThreads are idle" "\
A disk that could run on an IOThread runs in the main loop, where it shares one thread with the monitor, timers, and all other
devices, while the guest has IOThreads that nobody uses. Give the device iothread=ID; a device has to be plugged in anew for that.",
    TooManyThreads "IO03" "more IOThreads than queues" "\
The guest has more IOThreads than all of its devices together have queues. A queue runs on one thread, so some threads can have
nothing to do, whatever is attached where. Give disks more queues (num-queues) and spread them (iothread-vq-mapping), or make
fewer threads.

It is not said of a guest with block exports whose IOThreads its server does not tell.",
    UnusedMapping "IO04" "mapping that names an IOThread that no queue uses" "\
The iothread-vq-mapping of a device lists more IOThreads than the device has queues. Queues go round the list, and the threads at
its end get none, though the device holds them. Raise num-queues, or shorten the list.",
    CrowdedCpus "IO05" "more busy IOThreads than processors for them" "\
IOThreads that are busy may use only a few processors, fewer than there are such threads, while the host has others. A thread is
busy if it ran or waited for a processor for a fifth of the time. They take time from each other: look at DELAY. Give them more
processors (taskset, virsh iothreadpin), or spread them.",
    PinnedFleet "IO06" "IOThreads of many guests on the same few processors" "\
IOThreads of several guests are pinned to the same processors, four threads or more for each of these, while the host has others.
As long as they are idle nobody notices. It often comes from a template that names numbers. Pin each guest to others, or none.",
    SaturatedThread "IO07" "IOThread at its limit while others are idle" "\
An IOThread ran or waited for a processor for four fifths of the time or more, while another one of the guest did so for less than
a fifth. A thread runs on one processor at a time, so its disks can get no faster. Move a holder to the idle one, or spread the
queues of one over both (iothread-vq-mapping). The figures suppose that all holders of the thread, or all queues of a single one,
take the same part of its time.

Where the server tells what its event loops do, polling does not count. Elsewhere time on a processor may be polling: compare with
what the guest does before anything is moved.",
    DeletedThread "IO08" "IOThread that was deleted and still runs" "\
An IOThread was deleted while a device used it. QEMU no longer lists it, and nobody can set its parameters, but it lives until its
last user is gone. Unplug the device and plug it in with another IOThread.",
    PollingThread "IO09" "polling for far longer than working" "\
The loop of an IOThread polled for a fifth of the time or more, and at least four times as long as it worked. It keeps a processor
busy for little: polling saves a wake-up for each request that comes soon after the last one, and nobody else runs meanwhile. Where
that is not what the processor is there for, lower poll-max-ns of the IOThread; 0 is without polling.

It is said only of servers that tell what their event loops do, as iothreadd. The kernel cannot tell polling from work, and neither
can whoever asks QEMU.",
    IgnoredProperty "IO10" "property that means nothing" "\
A device was given a property that has no effect as the rest of it is, and QEMU says nothing. An example is iothread= of a
virtio-balloon without free-page-hint=on: the balloon uses its IOThread for these hints alone.",
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl Serialize for Code {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.code())
    }
}

impl FromStr for Code {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let is_it = |it: &&Self| it.code().eq_ignore_ascii_case(text);
        let found = Self::ALL.iter().find(is_it);
        found.copied().ok_or_else(|| {
            let all: Vec<_> = Self::ALL.iter().map(|it| it.code()).collect();
            format!("'{text}' is not a code; those are {}", all.join(", "))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_written_once() {
        let mut codes: Vec<_> = Code::ALL.iter().map(|it| it.code()).collect();
        codes.dedup();
        assert_eq!(codes.len(), Code::ALL.len());
        assert!(codes.is_sorted());
        assert_eq!("io02".parse(), Ok(Code::DiskInMainLoop));
        assert!("IO99".parse::<Code>().is_err());
        for code in Code::ALL {
            assert!(code.explanation().ends_with('.'), "{code}");
        }
    }
}
