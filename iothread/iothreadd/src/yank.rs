//! Owners of connections that can be shut down without the peer's consent: `yank`.

use std::sync::Arc;

use qapi_runtime::Error;

use crate::qapi::YankInstance;
use crate::sync::Mutex;

/// Shuts down the connections of an owner. Called from any thread, and must not wait for anything.
type Shutdown = Arc<dyn Fn() + Send + Sync>;

/// All owners, in the order in which they came.
#[derive(Clone, Default)]
pub(crate) struct Yanks(Arc<Mutex<Vec<Owner>>>);

struct Owner {
    instance: YankInstance,
    shutdown: Shutdown,
}

/// An owner is known as long as this lives.
pub(crate) struct YankGuard {
    yanks: Yanks,
    instance: YankInstance,
}

impl Yanks {
    /// Adds an owner.
    ///
    /// # Errors
    ///
    /// There is one of this name already.
    pub(crate) fn register(
        &self,
        instance: YankInstance,
        shutdown: impl Fn() + Send + Sync + 'static,
    ) -> Result<YankGuard, Error> {
        let mut owners = self.0.lock();
        if owners.iter().any(|owner| owner.instance == instance) {
            return Err(Error::generic("duplicate yank instance"));
        }
        owners.push(Owner {
            instance: instance.clone(),
            shutdown: Arc::new(shutdown),
        });
        drop(owners);
        Ok(YankGuard {
            yanks: self.clone(),
            instance,
        })
    }

    /// `query-yank`
    pub(crate) fn query(&self) -> Vec<YankInstance> {
        let owners = self.0.lock();
        owners.iter().map(|owner| owner.instance.clone()).collect()
    }

    /// `yank`: all of the owners, or none if one of them is not there.
    pub(crate) fn yank(&self, instances: &[YankInstance]) -> Result<(), Error> {
        let owners = self.0.lock();
        let find = |instance: &YankInstance| {
            let owner = owners.iter().find(|owner| owner.instance == *instance);
            owner.map(|owner| Arc::clone(&owner.shutdown))
        };
        let found: Option<Vec<Shutdown>> = instances.iter().map(find).collect();
        drop(owners);
        let found = found.ok_or_else(|| Error::device_not_found("Instance not found"))?;
        found.iter().for_each(|shutdown| shutdown());
        Ok(())
    }
}

impl Drop for YankGuard {
    fn drop(&mut self) {
        let mut owners = self.yanks.0.lock();
        owners.retain(|owner| owner.instance != self.instance);
    }
}
