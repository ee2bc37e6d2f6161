//! Who keeps IOThreads from being deleted.

use super::find_iothread;

/// Who holds an IOThread, for people. `None` if nobody does, or there is no such thread.
pub(crate) fn holders(id: &str) -> Option<String> {
    let holders: Vec<String> = find_iothread(id)?
        .holders()
        .iter()
        .map(ToString::to_string)
        .collect();
    (!holders.is_empty()).then(|| holders.join(", "))
}
