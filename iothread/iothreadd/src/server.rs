//! The server: its parts, how they start and how they end.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use iothread::{Clock, ContextError, LoopFailure, MainContext, MainLoop, Timer};
use qapi_runtime::Error;
use qapi_runtime::session::SessionConfig;
use qapi_runtime::visit::Compat;
use thiserror::Error as ThisError;

use crate::block::Blocks;
use crate::blockdev;
use crate::budgets::Budgets;
use crate::chardev::{self, Chardevs};
use crate::devices::{self, Devices};
use crate::events::Events;
use crate::export::{END_LIMIT, Exports};
use crate::hmp::{HumanMonitorError, HumanMonitors};
use crate::ident;
use crate::keyval;
use crate::monitor::{MonitorError, Monitors};
use crate::nbd::NbdServer;
use crate::net::address::Address;
use crate::net::descriptors::{DescriptorSets, SessionDescriptors};
use crate::net::reach::Reach;
use crate::objects::{self, Objects};
use crate::options::Options;
use crate::qapi::{ChardevInfo, RunState, Shutdown, ShutdownCause, StatusInfo, VersionInfo};
use crate::qom::Tree;
use crate::report::report;
use crate::signals;
use crate::task;
use crate::threads::end_in_any_case;
use crate::version;
use crate::yank::Yanks;

/// How long the end waits for clients that do not read what they are owed.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// How long the end waits, after its limit, for what the limit has ended.
const LAST_MOMENT: Duration = Duration::from_secs(1);

/// Why the server does not start.
#[derive(Debug, ThisError)]
pub(crate) enum StartError {
    #[error(transparent)]
    MainLoop(#[from] iothread::CreateError),
    #[error("cannot use the main loop: {0}")]
    Context(#[from] ContextError),
    #[error(transparent)]
    Loop(#[from] LoopFailure),
    #[error("cannot handle signals: {0}")]
    Signal(std::io::Error),
    #[error("--{name} {option}: {}{}", error.desc, explained(.error))]
    Option {
        name: &'static str,
        option: String,
        error: Error,
    },
    /// An object that is described well and cannot be made.
    #[error("{}{}", .0.desc, explained(.0))]
    Object(Error),
    #[error("--qmp: {0}")]
    Qmp(#[from] MonitorError),
    #[error("--monitor: {0}")]
    Monitor(#[from] HumanMonitorError),
    #[error("only one monitor can be on the standard streams")]
    StdioTwice,
}

/// The line that explains an error, on a line of its own.
fn explained(error: &Error) -> String {
    ident::hint(error)
        .map(|hint| format!("\n{hint}"))
        .unwrap_or_default()
}

/// All parts of the server.
pub(crate) struct Server {
    name: Option<String>,
    version: VersionInfo,
    compat: Compat,
    reach: Reach,
    budgets: Budgets,
    main: MainContext,
    monitors: Arc<Monitors>,
    human_monitors: HumanMonitors,
    events: Events,
    objects: Arc<Objects>,
    devices: Arc<Devices>,
    blocks: Blocks,
    exports: Exports,
    nbd: NbdServer,
    descriptor_sets: DescriptorSets,
    tree: Tree,
    yanks: Yanks,
    chardevs: Arc<Chardevs>,
    ending: AtomicBool,
    /// Of an IOThread, for which the server ends.
    failure: OnceLock<LoopFailure>,
    /// Whether the end waits for nobody any more.
    in_a_hurry: AtomicBool,
    /// Ends the main loop although clients do not read.
    deadline: OnceLock<Timer>,
}

/// Every client and every queue of a device is a descriptor; the low limit that processes start with is meant for those
/// that use `select`. The hard limit is the administrator's word on how many there may be.
fn allow_many_descriptors() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: maximum,
        maximum,
    };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        // With the low limit fewer clients are served at once.
        report(&format!("cannot raise the limit of descriptors: {error}"));
    }
}

/// Serves until `quit`, a signal, or the end of the standard input.
pub(crate) fn run(options: Options) -> Result<(), StartError> {
    allow_many_descriptors();
    signals::survive_full_files().map_err(StartError::Signal)?;
    let mut main_loop = MainLoop::new()?;
    let main = main_loop.context();
    let server = Server::new(&main, &options)?;
    let _signals = signals::watch(&server)?;
    let started = server.start(&options);
    let served = started.and_then(|()| {
        main_loop.run().inspect_err(|_| end_in_any_case())?;
        server
            .failure
            .get()
            .cloned()
            .map_or(Ok(()), |failure| Err(failure.into()))
    });
    server.begin_tear_down();
    if let Err(stuck) = server.wait_for_end(&mut main_loop) {
        // Their sockets go at least.
        server.chardevs.clear();
        leave_behind(&stuck);
    }
    server.tear_down();
    served
}

/// Ends the process although its threads wait for a disk, as nothing else can end them.
fn leave_behind(stuck: &[String]) -> ! {
    for line in stuck {
        report(&format!("at the end: {line}"));
    }
    std::process::exit(1)
}

impl Server {
    fn new(main: &MainContext, options: &Options) -> Result<Arc<Self>, StartError> {
        let monitors = Arc::new(Monitors::new(main));
        let objects = Arc::new(Objects::new(main));
        let devices = Arc::new(Devices::default());
        let yanks = Yanks::default();
        let descriptor_sets = DescriptorSets::default();
        let chardevs = Arc::new(Chardevs::new(main, &yanks, &monitors, &descriptor_sets));
        Ok(Arc::new(Self {
            name: options.name.clone(),
            version: options.qemu_version.clone().unwrap_or_else(version::own),
            compat: options.compat(),
            reach: options.reach(),
            budgets: Budgets::new(&options.limits()),
            main: main.clone(),
            events: Events::new(main, &monitors, options.compat())?,
            monitors,
            human_monitors: HumanMonitors::default(),
            tree: Tree::new(&objects, &devices, &chardevs),
            yanks,
            chardevs,
            objects,
            devices,
            blocks: Blocks::default(),
            exports: Exports::default(),
            nbd: NbdServer::default(),
            descriptor_sets,
            ending: AtomicBool::new(false),
            failure: OnceLock::new(),
            in_a_hurry: AtomicBool::new(false),
            deadline: OnceLock::new(),
        }))
    }

    /// Makes what the command line asks for. The monitors come last, so that their clients find the rest.
    fn start(self: &Arc<Self>, options: &Options) -> Result<(), StartError> {
        let on_stdio = options
            .qmp
            .iter()
            .map(|qmp| &qmp.address)
            .chain(&options.monitor)
            .filter(|address| **address == Address::Stdio);
        if on_stdio.count() > 1 {
            return Err(StartError::StdioTwice);
        }
        self.create(options)?;
        for address in &options.monitor {
            self.human_monitors.add(self, address)?;
        }
        for option in &options.qmp {
            self.monitors.add(self, option)?;
        }
        Ok(())
    }

    /// Makes what options describe: what others use comes first.
    fn create(self: &Arc<Self>, options: &Options) -> Result<(), StartError> {
        let wrong = |name, option: &String| {
            let option = option.clone();
            move |error| StartError::Option {
                name,
                option,
                error,
            }
        };
        let mut later = Vec::new();
        let with_switches = [
            ("object", &options.object),
            ("chardev", &options.chardev),
            ("device", &options.device),
        ];
        for (name, texts) in with_switches {
            for (text, short) in texts.iter().flat_map(|text| {
                keyval::short_forms(text)
                    .into_iter()
                    .map(move |it| (text, it))
            }) {
                report(&format!("--{name} {text}: {short}"));
            }
        }
        for option in &options.object {
            let object = objects::parse_option(option).map_err(wrong("object", option))?;
            if objects::uses_chardevs(&object) {
                later.push(object);
            } else {
                let added = self.objects.add(self, object);
                added.map_err(StartError::Object)?;
            }
        }
        for option in &options.chardev {
            let descriptors = SessionDescriptors::default();
            let added = chardev::parse(option)
                .map_err(Error::from)
                .and_then(|(id, backend)| self.chardevs.add_now(id, &backend, &descriptors));
            added.map_err(wrong("chardev", option))?;
        }
        for option in &options.blockdev {
            let added = blockdev::parse(option)
                .and_then(|node| self.blocks.add(&self.descriptor_sets, node));
            added.map_err(wrong("blockdev", option))?;
        }
        for object in later {
            let added = self.objects.add(self, object);
            added.map_err(StartError::Object)?;
        }
        for option in &options.device {
            let added = devices::parse(option)
                .and_then(|device| task::wait(self.devices.add(self, device)));
            added.map_err(wrong("device", option))?;
        }
        Ok(())
    }

    /// What holds for every session of a monitor.
    pub(crate) fn session_config(&self) -> SessionConfig {
        SessionConfig {
            version: version::value(&self.version),
            compat: self.compat,
            ..SessionConfig::default()
        }
    }

    /// What clients are told that this is.
    pub(crate) fn version(&self) -> &VersionInfo {
        &self.version
    }

    /// From where monitors may be reached.
    pub(crate) fn reach(&self) -> Reach {
        self.reach
    }

    /// The memory that peers share.
    pub(crate) fn budgets(&self) -> &Budgets {
        &self.budgets
    }

    pub(crate) fn main(&self) -> &MainContext {
        &self.main
    }

    pub(crate) fn monitors(&self) -> &Arc<Monitors> {
        &self.monitors
    }

    pub(crate) fn human_monitors(&self) -> &HumanMonitors {
        &self.human_monitors
    }

    pub(crate) fn events(&self) -> &Events {
        &self.events
    }

    pub(crate) fn objects(&self) -> &Objects {
        &self.objects
    }

    pub(crate) fn devices(&self) -> &Devices {
        &self.devices
    }

    pub(crate) fn blocks(&self) -> &Blocks {
        &self.blocks
    }

    pub(crate) fn exports(&self) -> &Exports {
        &self.exports
    }

    pub(crate) fn nbd(&self) -> &NbdServer {
        &self.nbd
    }

    pub(crate) fn descriptor_sets(&self) -> &DescriptorSets {
        &self.descriptor_sets
    }

    pub(crate) fn chardevs(&self) -> &Chardevs {
        &self.chardevs
    }

    /// `query-chardev`
    pub(crate) fn query_chardev(&self) -> Vec<ChardevInfo> {
        let mut list = self.monitors.chardevs();
        list.extend(self.chardevs.query());
        list
    }

    /// `block_resize`: gives a node another size, and tells those who use it. Devices have no names here.
    pub(crate) async fn resize(&self, device: &str, node: &str, size: i64) -> Result<(), Error> {
        if self.blocks.is_writable(node).is_none() {
            return Err(Error::generic(format!(
                "Cannot find device='{device}' nor node-name='{node}'"
            )));
        }
        let resized = self.blocks.resize(&self.main, node, size).await;
        // It may have been cut before the host refused.
        self.exports.sizes_changed();
        resized
    }

    pub(crate) fn yanks(&self) -> &Yanks {
        &self.yanks
    }

    pub(crate) fn tree(&self) -> &Tree {
        &self.tree
    }

    pub(crate) fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// `query-status`
    pub(crate) fn status(&self) -> StatusInfo {
        let running = !self.is_ending();
        StatusInfo {
            running,
            status: if running {
                RunState::Running
            } else {
                RunState::Shutdown
            },
        }
    }

    /// Ends the server in an orderly way, after what the main loop has accepted so far.
    pub(crate) fn quit(self: &Arc<Self>) {
        let server = Arc::clone(self);
        // A main loop that is gone has ended already.
        let _ = self
            .main
            .post(move |_| server.end(ShutdownCause::HostQmpQuit));
    }

    /// A signal ends the server in an orderly way.
    pub(crate) fn end_by_signal(self: &Arc<Self>) {
        self.end(ShutdownCause::HostSignal);
    }

    /// A user who has no patience waits neither for clients that do not read nor for disks.
    pub(crate) fn end_sooner(&self) {
        self.in_a_hurry.store(true, Ordering::Release);
        self.main.quit();
        self.exports.give_up();
    }

    /// An event loop has failed: without it nobody is served properly. From any thread.
    pub(crate) fn fail(&self, failure: &LoopFailure) {
        if self.failure.set(failure.clone()).is_ok() {
            end_in_any_case();
            self.main.quit();
        }
    }

    pub(crate) fn is_ending(&self) -> bool {
        self.ending.load(Ordering::Acquire)
    }

    fn end(self: &Arc<Self>, reason: ShutdownCause) {
        if self.ending.swap(true, Ordering::AcqRel) {
            return;
        }
        self.events.emit(&Shutdown {
            guest: false,
            reason,
        });
        let main = self.main.clone();
        match self.main.timer(Clock::Monotonic, move |_| main.quit()) {
            Ok(timer) => {
                timer.arm_after(LAST_WORDS);
                // Only one caller comes here.
                let _ = self.deadline.set(timer);
            }
            // Without a deadline there is no waiting.
            Err(_) => self.main.quit(),
        }
        self.monitors.close();
        self.human_monitors.close();
        self.check_drained();
    }

    /// Ends the main loop if the server ends and no session of a monitor is left to wait for; on any thread.
    pub(crate) fn check_drained(&self) {
        if self.is_ending() && self.monitors.are_drained() && self.human_monitors.are_drained() {
            self.main.quit();
        }
    }

    /// Ends what serves clients: monitors first, so that nobody asks for what is going. Exports go when the requests are
    /// answered that they have.
    fn begin_tear_down(self: &Arc<Self>) {
        self.monitors.clear();
        self.human_monitors.clear();
        // One that is not running has nothing to give back.
        let _ = self.nbd.stop(self);
        self.exports.end(self);
        self.devices.end(self);
        if self.in_a_hurry.load(Ordering::Acquire) {
            self.exports.give_up();
        }
    }

    /// Runs the main loop until exports and devices are gone.
    ///
    /// # Errors
    ///
    /// What keeps them although the time is up that everything has.
    fn wait_for_end(&self, main_loop: &mut MainLoop) -> Result<(), Vec<String>> {
        let mut deadline = Instant::now() + END_LIMIT + LAST_MOMENT;
        let mut was_in_a_hurry = false;
        // Without a timer there is no waiting.
        let Ok(alarm) = self.main.timer(Clock::Monotonic, |_| ()) else {
            return Ok(());
        };
        while !self.exports.is_empty() || !self.devices.is_empty() {
            if self.in_a_hurry.load(Ordering::Acquire) && !was_in_a_hurry {
                was_in_a_hurry = true;
                deadline = deadline.min(Instant::now() + LAST_MOMENT);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err([self.exports.stuck(), self.devices.stuck()].concat());
            }
            alarm.arm_after(left);
            if main_loop.run_once(true).is_err() {
                // A loop that does not run any more leaves them as they are.
                return Ok(());
            }
        }
        Ok(())
    }

    /// Gives everything back.
    fn tear_down(&self) {
        self.blocks.clear();
        self.objects.clear(self);
        self.chardevs.clear();
    }
}
