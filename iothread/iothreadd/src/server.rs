//! The server: its parts, how they start and how they end.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, TryRecvError};
use std::sync::{Arc, OnceLock, Weak};
use std::time::{Duration, Instant};

use iothread::{Clock, ContextError, LoopFailure, MainContext, MainLoop, OnMain, Registry, Timer};
use qapi_runtime::Error;
use qapi_runtime::session::SessionConfig;
use thiserror::Error as ThisError;

use crate::block::Blocks;
use crate::blockdev;
use crate::budgets::Budgets;
use crate::calls::Calls;
use crate::cause::Cause;
use crate::chardev::{self, Chardevs};
use crate::commands;
use crate::devices::{self, Devices};
use crate::events::Events;
use crate::export::END_LIMIT;
use crate::finally::Finally;
use crate::hmp::{HumanMonitorError, HumanMonitors};
use crate::host::Host;
use crate::ident;
use crate::keyval;
use crate::life::Life;
use crate::metrics::{Metrics, MetricsError};
use crate::monitor::{MonitorError, Monitors, Owner, SessionCommands};
use crate::nbd::NbdServer;
use crate::net::address::Address;
use crate::net::descriptors::{DescriptorSets, SessionDescriptors};
use crate::net::reach::Reach;
use crate::objects::{self, Objects};
use crate::options::{OptionalEvent, Options, QmpOption};
use crate::parts::Parts;
use crate::qapi::{IothreadHoldersChanged, Shutdown, ShutdownCause};
use crate::qom::Tree;
use crate::report::report;
use crate::signals::{self, Asked};
use crate::sync::Mutex;
use crate::threads::{Threads, end_in_any_case};
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
    #[error("--metrics: {0}")]
    Metrics(#[from] MetricsError),
    #[error("the start was broken off")]
    BrokenOff,
    #[error("only one monitor can be on the standard streams")]
    StdioTwice,
}

/// The line that explains an error, on a line of its own.
fn explained(error: &Error) -> String {
    ident::hint(error)
        .map(|hint| format!("\n{hint}"))
        .unwrap_or_default()
}

/// The parts of the server, the ways in, and how far it is on its way to the end.
struct Server {
    parts: Arc<Parts>,
    monitors: Arc<Monitors>,
    human_monitors: Arc<HumanMonitors>,
    reach: Reach,
    metrics: Mutex<Option<Metrics>>,
    is_ending: AtomicBool,
    /// Whether the end waits for clients no longer.
    in_a_hurry: AtomicBool,
    /// Ends the main loop although clients do not read.
    deadline: OnceLock<Timer>,
    this: Weak<Self>,
}

/// Every client and every queue of a device is a descriptor; the low limit that processes start with is meant for those
/// that use `select`. The hard limit is the administrator's word on how many there may be.
fn allow_many_descriptors() {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};

    // A sandbox may refuse both, which rustix does not expect.
    let limits = getrlimit(Resource::RLIMIT_NOFILE);
    let raised = limits.and_then(|(_, hard)| setrlimit(Resource::RLIMIT_NOFILE, hard, hard));
    if let Err(error) = raised {
        // With the low limit fewer clients are served at once.
        report(&format!("cannot raise the limit of descriptors: {error}"));
    }
}

/// Serves until `quit`, a signal, or the end of the standard input.
///
/// The end has one order. Ways in go first, so that no command asks for what is going; then what has requests under way, exports
/// and devices, once these are answered; then what they used: nodes, objects, IOThreads with them, and character devices
/// last, as objects have them.
pub(crate) fn run(options: Options) -> Result<(), StartError> {
    allow_many_descriptors();
    signals::survive_full_files().map_err(StartError::Signal)?;
    let registry = Registry::new();
    let builder = MainLoop::builder().virtual_clock(registry.virtual_clock());
    let mut main_loop = builder.build()?;
    let main = main_loop.context();
    let server = Server::new(&main, registry, &options)?;
    let asked = Arc::clone(&server);
    let _signals = signals::watch(&main, move |main, what| asked.end_by_signal(main, what))?;
    let started = start(&mut main_loop, &server, options);
    let served = started.and_then(|()| {
        main_loop.run().inspect_err(|_| end_in_any_case())?;
        let failure = server.parts.host.threads.failure().cloned();
        failure.map_or(Ok(()), |failure| Err(failure.into()))
    });
    let _within = Cause::new("shutdown").enter();
    server.begin_tear_down(main_loop.on_main());
    if let Err(stuck) = server.wait_for_end(&mut main_loop) {
        // Their sockets go at least.
        server.parts.host.chardevs.clear(main_loop.on_main());
        leave_behind(&stuck);
    }
    server.tear_down(&mut main_loop);
    served
}

/// Begins something, and runs the loop until it is over.
fn see_through<T>(main_loop: &mut MainLoop, begin: impl FnOnce(OnMain<'_>, &Finally) -> T) -> T {
    let is_over = Arc::new(AtomicBool::new(false));
    let over = Arc::clone(&is_over);
    let last = Finally::new(&main_loop.context(), move |_| {
        over.store(true, Ordering::Release);
    });
    let begun = begin(main_loop.on_main(), &last);
    last.or_now(main_loop.on_main());
    // A loop that does not run any more leaves it as it is.
    while !is_over.load(Ordering::Acquire) && main_loop.run_once(true).is_ok() {}
    begun
}

/// Sends an event for each IOThread whose holders have changed, on the main loop, soon after that.
fn tell_of_holders(main: &MainContext, host: &Arc<Host>) -> Result<(), ContextError> {
    let telling = Arc::downgrade(host);
    let listener = main.bottom_half(move |_| {
        let Some(host) = telling.upgrade() else {
            return;
        };
        for (iothread, sequence) in host.threads.history().take_untold() {
            let event = IothreadHoldersChanged { iothread, sequence };
            host.events.emit(&event);
        }
    })?;
    host.threads.history().tell(listener);
    Ok(())
}

/// Makes what the command line asks for, on the main loop like everything that is made later.
fn start(
    main_loop: &mut MainLoop,
    server: &Arc<Server>,
    options: Options,
) -> Result<(), StartError> {
    let (sender, started) = mpsc::channel();
    let starting = Arc::clone(server);
    let starting = main_loop.context().spawn_future(async move {
        // The other end waits for it.
        let _ = sender.send(starting.start(&options).await);
    })?;
    drop(starting);
    loop {
        match started.try_recv() {
            Ok(result) => return result,
            Err(TryRecvError::Disconnected) => return Err(StartError::BrokenOff),
            // A file system that does not open a file, for one, does not keep it from that.
            Err(TryRecvError::Empty) if server.is_ending() => return Ok(()),
            Err(TryRecvError::Empty) => main_loop.run_once(true)?,
        };
    }
}

/// Ends the process although its threads wait for a disk, as nothing else can end them.
fn leave_behind(stuck: &[String]) -> ! {
    for line in stuck {
        report(&format!("at the end: {line}"));
    }
    std::process::exit(1)
}

impl Server {
    fn new(
        main: &MainContext,
        registry: Registry,
        options: &Options,
    ) -> Result<Arc<Self>, StartError> {
        let (compat, reach) = (options.compat(), options.reach());
        let version = options.qemu_version.clone().unwrap_or_else(version::own);
        let budgets = Budgets::new(&options.limits());
        let config = SessionConfig {
            version: version::value(&version),
            compat,
            budget: Some(budgets.qmp().clone()),
            ..SessionConfig::default()
        };
        let monitors = Arc::new(Monitors::new(main, config, reach));
        let (sink, own_devices) = (Arc::clone(&monitors), Arc::clone(&monitors));
        let yanks = Yanks::default();
        let descriptor_sets = DescriptorSets::default();
        let host = Arc::new(Host {
            main: main.clone(),
            threads: Threads::new(main, registry),
            blocks: Blocks::default(),
            chardevs: Arc::new(Chardevs::new(main, &yanks, own_devices, &descriptor_sets)),
            events: Events::new(main, sink, compat)?,
            yanks,
            budgets,
            tree: Tree::default(),
        });
        if options
            .event
            .contains(&OptionalEvent::IothreadHoldersChanged)
        {
            tell_of_holders(main, &host)?;
        }
        let objects = Arc::new(Objects::new(main, &monitors));
        Ok(Arc::new_cyclic(|this: &Weak<Self>| {
            let parts = Arc::new(Parts {
                devices: Arc::new(Devices::new(&objects)),
                host,
                objects,
                exports: Arc::default(),
                nbd: NbdServer::default(),
                descriptor_sets,
                calls: Arc::new(Calls::new(commands::names())),
                name: options.name.clone(),
                version,
                life: this.clone(),
            });
            parts.assemble_tree();
            monitors.belong_to(this.clone());
            Self {
                human_monitors: Arc::new(HumanMonitors::new(&parts, reach)),
                parts,
                monitors,
                reach,
                metrics: Mutex::default(),
                is_ending: AtomicBool::new(false),
                in_a_hurry: AtomicBool::new(false),
                deadline: OnceLock::new(),
                this: this.clone(),
            }
        }))
    }

    /// Makes what the command line asks for. The monitors come last, so that their clients find the rest.
    async fn start(&self, options: &Options) -> Result<(), StartError> {
        let on_stdio = options
            .qmp
            .iter()
            .map(|qmp| &qmp.address)
            .chain(&options.monitor)
            .filter(|address| **address == Address::Stdio);
        if on_stdio.count() > 1 {
            return Err(StartError::StdioTwice);
        }
        Cause::new("command-line")
            .during(self.create(options))
            .await?;
        if self.is_ending() {
            return Ok(());
        }
        if let Some(listen) = &options.metrics {
            let metrics = Metrics::serve(&self.parts, listen, self.reach)?;
            *self.metrics.lock() = Some(metrics);
        }
        for address in &options.monitor {
            let main = self.parts.host.on_main().map_err(StartError::Object)?;
            self.human_monitors.add(main, address)?;
        }
        for option in &options.qmp {
            self.add_monitor(option)?;
        }
        Ok(())
    }

    /// Serves a monitor, which is an object, too.
    fn add_monitor(&self, option: &QmpOption) -> Result<(), MonitorError> {
        let Parts { host, objects, .. } = &*self.parts;
        let opened = self.monitors.open(option)?;
        let name = opened.name().to_owned();
        objects
            .check_duplicate(&name)
            .map_err(MonitorError::Object)?;
        let (made, object) = self.monitors.make(host, opened)?;
        objects.add_monitor(name, object);
        made.serve(host)
    }

    /// Makes what options describe: what others use comes first.
    async fn create(&self, options: &Options) -> Result<(), StartError> {
        let Parts {
            host,
            objects,
            devices,
            descriptor_sets,
            ..
        } = &*self.parts;
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
                let added = objects.add(host, object).await;
                added.map_err(StartError::Object)?;
            }
        }
        for option in &options.chardev {
            let descriptors = SessionDescriptors::default();
            let (id, backend) = chardev::parse(option)
                .map_err(Error::from)
                .map_err(wrong("chardev", option))?;
            let chardevs = &host.chardevs;
            let added = chardevs.add_of_option(id, &backend, &descriptors).await;
            added.map_err(wrong("chardev", option))?;
        }
        for option in &options.blockdev {
            let node = blockdev::parse(option).map_err(wrong("blockdev", option))?;
            let added = host.blocks.add(&host.main, descriptor_sets, node).await;
            added.map_err(wrong("blockdev", option))?;
        }
        for object in later {
            let added = objects.add(host, object).await;
            added.map_err(StartError::Object)?;
        }
        for option in &options.device {
            let device = devices::parse(option).map_err(wrong("device", option))?;
            let added = devices.add(host, device).await;
            added.map_err(wrong("device", option))?;
        }
        Ok(())
    }

    /// A signal ends the server. A user who has no patience waits neither for clients that do not read nor for disks.
    fn end_by_signal(&self, main: OnMain<'_>, asked: Asked) {
        if !self.is_ending() {
            self.end(main, ShutdownCause::HostSignal);
        } else if asked == Asked::AgainIfRepeated {
            self.in_a_hurry.store(true, Ordering::Release);
            self.parts.host.main.quit();
            self.parts.exports.give_up();
        }
    }

    fn end(&self, here: OnMain<'_>, reason: ShutdownCause) {
        if self.is_ending.swap(true, Ordering::AcqRel) {
            return;
        }
        let host = &self.parts.host;
        host.events.emit(&Shutdown {
            guest: false,
            reason,
        });
        let main = host.main.clone();
        match host.main.timer(Clock::Monotonic, move |_| main.quit()) {
            Ok(timer) => {
                timer.arm_after(LAST_WORDS);
                // Only one caller comes here.
                let _ = self.deadline.set(timer);
            }
            // Without a deadline there is no waiting.
            Err(_) => host.main.quit(),
        }
        self.monitors.close();
        self.human_monitors.close(here);
        self.session_is_over();
    }

    /// Ends what serves clients: monitors first, so that no command asks for what is going. Exports go when the requests are
    /// answered that they have.
    fn begin_tear_down(&self, main: OnMain<'_>) {
        let Parts {
            host,
            exports,
            devices,
            ..
        } = &*self.parts;
        self.monitors.clear();
        self.human_monitors.clear(main);
        let metrics = self.metrics.lock().take();
        drop(metrics);
        // One that is not running has nothing to give back.
        let _ = self.parts.nbd.stop(main);
        exports.end(main, host);
        devices.end(main, host);
        if self.in_a_hurry.load(Ordering::Acquire) {
            exports.give_up();
        }
    }

    /// Runs the main loop until exports and devices are gone, and no file is being opened.
    ///
    /// # Errors
    ///
    /// What keeps them although the time is up that everything has.
    fn wait_for_end(&self, main_loop: &mut MainLoop) -> Result<(), Vec<String>> {
        let mut deadline = Instant::now() + END_LIMIT + LAST_MOMENT;
        let mut was_in_a_hurry = false;
        let Parts {
            host,
            exports,
            devices,
            ..
        } = &*self.parts;
        // Without a timer there is no waiting.
        let Ok(alarm) = host.main.timer(Clock::Monotonic, |_| ()) else {
            return Ok(());
        };
        let files = || [host.blocks.stuck(), host.chardevs.stuck()].concat();
        let stuck = || [exports.stuck(), devices.stuck(), files()].concat();
        let is_done = || exports.is_empty() && devices.is_empty() && files().is_empty();
        while !is_done() {
            if self.in_a_hurry.load(Ordering::Acquire) && !was_in_a_hurry {
                was_in_a_hurry = true;
                deadline = deadline.min(Instant::now() + LAST_MOMENT);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(stuck());
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
    fn tear_down(&self, main_loop: &mut MainLoop) {
        let Parts { host, objects, .. } = &*self.parts;
        see_through(main_loop, |main, gone| host.blocks.clear(main, gone));
        while see_through(main_loop, |main, gone| {
            objects.delete_newest(main, host, gone)
        }) {}
        host.chardevs.clear(main_loop.on_main());
    }
}

impl Life for Server {
    fn is_ending(&self) -> bool {
        self.is_ending.load(Ordering::Acquire)
    }

    fn quit(&self) {
        let Some(server) = self.this.upgrade() else {
            return;
        };
        let main = &self.parts.host.main;
        // A main loop that is gone has ended already.
        let _ = main.run(move |main| server.end(main, ShutdownCause::HostQmpQuit));
    }

    fn session_is_over(&self) {
        if self.is_ending() && self.monitors.are_drained() && self.human_monitors.are_drained() {
            self.parts.host.main.quit();
        }
    }
}

impl Owner for Server {
    fn commands(&self, descriptors: &Arc<SessionDescriptors>, monitor: &str) -> SessionCommands {
        commands::of_session(&self.parts, descriptors, monitor)
    }

    fn delete(&self, main: OnMain<'_>, monitor: &str, chardev: &str) {
        let Parts { host, objects, .. } = &*self.parts;
        let (server, chardev) = (Arc::clone(host), chardev.to_owned());
        // Somebody may have been faster, with each of them.
        let gone = Finally::new(&host.main, move |main| {
            let _ = server.chardevs.remove(main, &chardev);
        });
        let _ = objects.delete(main, host, monitor, &gone);
        gone.or_now(main);
    }
}
