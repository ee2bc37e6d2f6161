//! What is on its way in and waits for somebody.

use std::sync::Arc;

use crate::sync::Mutex;

/// The names of what is coming.
#[derive(Clone, Default)]
pub(crate) struct Coming(Arc<Mutex<Vec<String>>>);

/// Something is coming as long as this lives.
pub(crate) struct Arrival {
    coming: Coming,
    name: String,
}

impl Coming {
    pub(crate) fn begin(&self, name: &str) -> Arrival {
        self.0.lock().push(name.to_owned());
        Arrival {
            coming: self.clone(),
            name: name.to_owned(),
        }
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.0.lock().iter().any(|known| known == name)
    }

    /// All of them, in the order in which they began.
    pub(crate) fn names(&self) -> Vec<String> {
        self.0.lock().clone()
    }
}

impl Drop for Arrival {
    fn drop(&mut self) {
        let mut names = self.coming.0.lock();
        // There may be others of the same name.
        if let Some(index) = names.iter().position(|name| *name == self.name) {
            names.remove(index);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_there_until_each_has_come() {
        let coming = Coming::default();
        let (first, second) = (coming.begin("a"), coming.begin("a"));
        let other = coming.begin("b");
        assert_eq!(coming.names(), ["a", "a", "b"]);
        drop(first);
        assert!(coming.has("a"));
        drop((second, other));
        assert!(!coming.has("a"));
        assert!(coming.names().is_empty());
    }
}
