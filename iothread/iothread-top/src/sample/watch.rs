//! Looking at servers in the background, for what shows the results.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle as TaskHandle;

use super::{Look, Looker, Settings};
use crate::source::libvirt::Virsh;
use crate::system;
use crate::target::{Target, Targets, expand};
use crate::thread::not_started;

/// How long a server whose socket has vanished from a pattern's matches is still shown as gone.
const FAREWELL: Duration = Duration::from_secs(60);

/// How long it may take to find out which servers there are, beside the looks themselves.
const PATIENCE: Duration = Duration::from_secs(30);

/// What is known of all servers now.
#[derive(Debug, Default)]
pub(crate) struct Board {
    inner: Mutex<Inner>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Inner {
    order: Vec<Target>,
    looks: HashMap<Target, Arc<Look>>,
    n_left_out: usize,
    /// Whether it is known which servers there are.
    is_expanded: bool,
}

impl Board {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Shows these looks, and no others.
    pub(crate) fn show(&self, looks: &[Arc<Look>]) {
        let mut inner = self.lock();
        inner.order = looks.iter().map(|it| it.target.clone()).collect();
        let looks = looks.iter().map(|it| (it.target.clone(), Arc::clone(it)));
        inner.looks = looks.collect();
    }

    /// A server that has not been looked at yet.
    fn add(&self, target: &Target) {
        let mut inner = self.lock();
        inner.order.push(target.clone());
        let look = Arc::new(Look::new(target.clone()));
        inner.looks.insert(target.clone(), look);
    }

    /// The last look at each, in the order in which they were named.
    pub(crate) fn looks(&self) -> Vec<Arc<Look>> {
        let inner = self.lock();
        let looks = inner.order.iter().map(|it| inner.looks.get(it).cloned());
        looks.flatten().collect()
    }

    /// Waits until each was looked at twice, which usage takes, or once in vain. A look ends by itself; folders may take longer
    /// than anybody waits.
    pub(crate) fn wait_until_settled(&self, settings: &Settings) {
        let patience = PATIENCE + settings.interval + settings.deadline * 3;
        let is_open = |inner: &mut Inner| {
            let settled = |look: &Arc<Look>| match look.state.is_fresh() {
                true => look.n_looks > 1,
                false => look.n_looks > 0,
            };
            !(inner.is_expanded && inner.looks.values().all(settled))
        };
        let waited = self
            .changed
            .wait_timeout_while(self.lock(), patience, is_open);
        // Whatever is known then is shown.
        drop(waited);
    }

    /// How many servers are not looked at, as there are too many.
    pub(crate) fn n_left_out(&self) -> usize {
        self.lock().n_left_out
    }
}

/// Servers that are looked at until this is dropped.
pub(crate) struct Watch {
    board: Arc<Board>,
    /// A new value asks for a look at once; that it is gone, for the end.
    sooner: Option<watch::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Watch {
    pub(crate) fn start(
        targets: Vec<Targets>,
        settings: Settings,
        virsh: Virsh,
    ) -> io::Result<Self> {
        let board = Arc::new(Board::default());
        system::make_room();
        let (sooner, asked) = watch::channel(());
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let shown = Arc::clone(&board);
        let thread = std::thread::Builder::new()
            .name("looker".to_owned())
            .spawn(move || {
                runtime.block_on(watch_all(
                    targets,
                    settings,
                    &Arc::new(virsh),
                    &shown,
                    asked,
                ));
                // A folder may take its time.
                runtime.shutdown_background();
            })
            .map_err(not_started)?;
        Ok(Self {
            board,
            sooner: Some(sooner),
            thread: Some(thread),
        })
    }

    pub(crate) fn board(&self) -> &Arc<Board> {
        &self.board
    }

    /// Looks at all of them now.
    pub(crate) fn refresh(&self) {
        if let Some(sooner) = &self.sooner {
            sooner.send_replace(());
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.sooner = None;
        if let Some(thread) = self.thread.take() {
            // It has nothing to say.
            let _ = thread.join();
        }
    }
}

/// A server and the task that looks at it.
struct Watched {
    task: TaskHandle<()>,
    /// When it was last among those that are named.
    named: Instant,
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Until nobody wants to know any more.
async fn watch_all(
    targets: Vec<Targets>,
    settings: Settings,
    virsh: &Arc<Virsh>,
    board: &Arc<Board>,
    mut asked: watch::Receiver<()>,
) {
    let patterns: Vec<String> = targets.iter().filter_map(Targets::domains).collect();
    let mut domains = Vec::new();
    let targets = Arc::new(targets);
    let mut all: HashMap<Target, Watched> = HashMap::new();
    let mut tick = tokio::time::interval(settings.interval);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = tick.tick() => {}
            changed = asked.changed() => if changed.is_err() {
                return;
            },
        }
        if !patterns.is_empty() {
            let listed = tokio::select! {
                listed = virsh.domains(settings.deadline) => listed,
                () = ended(asked.clone()) => return,
            };
            // Where libvirt cannot be asked, the look at whatever is called as the pattern says why.
            domains = listed.unwrap_or_else(|_| patterns.clone());
        }
        // Folders may be on a file system that hangs.
        let (named, running) = (Arc::clone(&targets), domains.clone());
        let (sender, expanding) = oneshot::channel();
        // `spawn_blocking` panics where the host has no thread for it. Without one the folders hold up the looks.
        let thread = std::thread::Builder::new().name("expander".to_owned());
        let _ = thread.spawn(move || sender.send(expand(&named, &running)));
        let (found, n_left_out) = tokio::select! {
            expanded = expanding => expanded.unwrap_or_else(|_| expand(&targets, &domains)),
            () = ended(asked.clone()) => return,
        };
        let now = Instant::now();
        for target in found {
            if let Some(watched) = all.get_mut(&target) {
                watched.named = now;
                continue;
            }
            board.add(&target);
            let looking = look_on(
                Looker::new(target.clone(), settings, Arc::clone(virsh)),
                target.clone(),
                settings.interval,
                Arc::clone(board),
                asked.clone(),
            );
            let task = tokio::spawn(looking);
            all.insert(target, Watched { task, named: now });
        }
        all.retain(|_, it| now.duration_since(it.named) < FAREWELL);
        let mut inner = board.lock();
        inner.n_left_out = n_left_out;
        inner.order.retain(|it| all.contains_key(it));
        inner.looks.retain(|it, _| all.contains_key(it));
        inner.is_expanded = true;
        drop(inner);
        board.changed.notify_all();
    }
}

/// Waits until nobody wants to know any more.
async fn ended(mut asked: watch::Receiver<()>) {
    while asked.changed().await.is_ok() {}
}

/// Looks at one server again and again.
async fn look_on(
    mut looker: Looker,
    target: Target,
    interval: Duration,
    board: Arc<Board>,
    mut asked: watch::Receiver<()>,
) {
    let mut tick = tokio::time::interval(interval);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = tick.tick() => {}
            () = looker.changed() => {}
            changed = asked.changed() => if changed.is_err() {
                return;
            },
        }
        let look = Arc::new(looker.look().await);
        // It may have been given up meanwhile.
        if let Some(shown) = board.lock().looks.get_mut(&target) {
            *shown = look;
        }
        board.changed.notify_all();
    }
}
