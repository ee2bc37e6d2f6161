//! Which IOThread serves which queue: the property `iothread-vq-mapping`.

use iothread::IoThread;
use qapi_runtime::Error;

use crate::qapi::IoThreadVirtQueueMapping;
use crate::threads::Threads;

/// An IOThread and the queues that it serves.
#[derive(Debug)]
pub(super) struct Assignment {
    pub(super) thread: IoThread,
    pub(super) queues: Vec<u16>,
}

/// Checks the whole list, and nothing is taken before.
///
/// # Errors
///
/// In QEMU's words: a thread that does not exist or is named twice; entries with and without queues; a queue that does
/// not exist, is assigned twice, or not at all.
pub(super) fn resolve(
    threads: &Threads,
    mapping: &[IoThreadVirtQueueMapping],
    num_queues: u16,
) -> Result<Vec<Assignment>, Error> {
    let mut assignments: Vec<Assignment> = Vec::with_capacity(mapping.len());
    // An empty list of queues says as much as none.
    let queues_of = |entry: &IoThreadVirtQueueMapping| entry.vqs.clone().unwrap_or_default();
    let has_queues = mapping
        .first()
        .is_some_and(|first| !queues_of(first).is_empty());
    let mut is_assigned = vec![false; usize::from(num_queues)];
    for entry in mapping {
        let name = &entry.iothread;
        let thread = threads
            .find(name)
            .ok_or_else(|| Error::generic(format!("IOThread \"{name}\" object does not exist")))?;
        if assignments
            .iter()
            .any(|known| known.thread.is_same(&thread))
        {
            return Err(Error::generic(format!(
                "duplicate IOThread name \"{name}\" in iothread-vq-mapping"
            )));
        }
        let queues = queues_of(entry);
        if queues.is_empty() == has_queues {
            return Err(Error::generic(
                "either all items in iothread-vq-mapping must have vqs or none of them must have it",
            ));
        }
        for &queue in &queues {
            match is_assigned.get_mut(usize::from(queue)) {
                None => {
                    return Err(Error::generic(format!(
                        "vq index {queue} for IOThread \"{name}\" must be less than num_queues {num_queues} in \
                         iothread-vq-mapping"
                    )));
                }
                Some(true) => {
                    return Err(Error::generic(format!(
                        "cannot assign vq {queue} to IOThread \"{name}\" because it is already assigned"
                    )));
                }
                Some(assigned) => *assigned = true,
            }
        }
        assignments.push(Assignment { thread, queues });
    }
    if has_queues {
        if let Some(missing) = is_assigned.iter().position(|assigned| !assigned) {
            return Err(Error::generic(format!(
                "missing vq {missing} IOThread assignment in iothread-vq-mapping"
            )));
        }
    } else {
        let n_threads = assignments.len();
        for (index, assignment) in assignments.iter_mut().enumerate() {
            assignment.queues = (0..num_queues).skip(index).step_by(n_threads).collect();
        }
    }
    Ok(assignments)
}
