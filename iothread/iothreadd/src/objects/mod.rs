//! Objects that users create, below `/objects`.

mod colo;
mod option;

use std::sync::Arc;

use iothread::{IoThread, MainContext, OnMain, Parameter, ParameterError, Parameters};
use qapi_runtime::{Error, Value};

use self::colo::ColoCompare;
#[cfg(any(test, fuzzing))]
pub(crate) use self::colo::fuzz;
pub(crate) use self::option::{help, parse, parse_option};
use crate::finally::Finally;
use crate::host::Host;
use crate::ident::{self, is_identifier};
use crate::monitor::Monitors;
use crate::qapi::{IothreadProperties, MainLoopProperties, ObjectOptions, ObjectOptionsQomType};
use crate::qemu_text::{self, QemuText};
use crate::qom::Object;
use crate::qom::types::{self, Type};
use crate::qom::value::value_of;
use crate::report::report;
use crate::sync::Mutex;
use crate::task;

/// All objects below `/objects`, in the order of their creation.
pub(crate) struct Objects {
    main: MainContext,
    monitors: Arc<Monitors>,
    list: Mutex<Vec<Entry>>,
}

/// An object that a user has created.
#[derive(Clone)]
struct Entry {
    id: String,
    kind: Kind,
    object: Arc<dyn Object>,
}

/// How an object is deleted.
#[derive(Clone)]
enum Kind {
    IoThread,
    MainLoop,
    Monitor,
    /// The monitor of an option.
    OwnMonitor,
    ColoCompare(Arc<ColoCompare>),
}

impl Objects {
    pub(crate) fn new(main: &MainContext, monitors: &Arc<Monitors>) -> Self {
        Self {
            main: main.clone(),
            monitors: Arc::clone(monitors),
            list: Mutex::default(),
        }
    }

    /// `object-add`
    pub(crate) async fn add(&self, host: &Host, options: ObjectOptions) -> Result<(), Error> {
        let make = |main: OnMain<'_>, undone: &Finally| self.make(main, host, options, undone);
        task::see_through(&host.main, make).await?
    }

    /// Keeps `undone` until it has given back what an object had that could not be made.
    fn make(
        &self,
        main: OnMain<'_>,
        host: &Host,
        options: ObjectOptions,
        undone: &Finally,
    ) -> Result<(), Error> {
        let ObjectOptions { qom_type, id } = options;
        if !is_identifier(&id) {
            return Err(ident::expected());
        }
        let (kind, object) = match qom_type {
            ObjectOptionsQomType::Iothread(properties) => {
                let thread = self.new_iothread(host, &id, &properties)?;
                (Kind::IoThread, iothread_object(thread))
            }
            ObjectOptionsQomType::MainLoop(properties) => {
                (Kind::MainLoop, self.new_main_loop(&id, &properties)?)
            }
            ObjectOptionsQomType::ColoCompare(properties) => {
                self.check_duplicate(&id)?;
                let colo = ColoCompare::create(main, host, &id, &properties, undone)?;
                let object: Arc<dyn Object> = Arc::<ColoCompare>::clone(&colo);
                (Kind::ColoCompare(colo), object)
            }
            ObjectOptionsQomType::MonitorQmp(properties) => {
                self.check_duplicate(&id)?;
                let monitors = &self.monitors;
                let object = monitors.add_on_chardev(main, host, &id, &properties, undone)?;
                (Kind::Monitor, object)
            }
            ObjectOptionsQomType::Unknown(name) => {
                return Err(Error::generic(format!(
                    "Parameter 'qom-type' does not accept value '{name}'"
                )));
            }
        };
        self.list.lock().push(Entry { id, kind, object });
        Ok(())
    }

    /// Adds an IOThread for somebody, as an object like those of users.
    pub(crate) fn add_iothread(
        &self,
        _: OnMain<'_>,
        host: &Host,
        id: &str,
    ) -> Result<IoThread, Error> {
        let thread = self.new_iothread(host, id, &IothreadProperties::default())?;
        self.list.lock().push(Entry {
            id: id.to_owned(),
            kind: Kind::IoThread,
            object: iothread_object(thread.clone()),
        });
        Ok(thread)
    }

    /// Lists the monitor of an option.
    pub(crate) fn add_monitor(&self, id: String, object: Arc<dyn Object>) {
        let kind = Kind::OwnMonitor;
        self.list.lock().push(Entry { id, kind, object });
    }

    /// `object-del` by a client of the monitor `monitor`.
    pub(crate) async fn delete_for(
        &self,
        host: &Host,
        id: &str,
        monitor: Option<&str>,
    ) -> Result<(), Error> {
        let is_monitor = |entry: Entry| matches!(entry.kind, Kind::Monitor | Kind::OwnMonitor);
        if monitor == Some(id) && self.find(id).is_some_and(is_monitor) {
            return Err(Error::generic("Cannot delete the current QMP monitor"));
        }
        let delete = |main: OnMain<'_>, gone: &Finally| self.delete(main, host, id, gone);
        let deleted = task::see_through(&host.main, delete).await?;
        deleted.inspect_err(|error| {
            // The error says as much as QEMU's would.
            if let Some(holders) = host.threads.holders(id) {
                report(&format!("{}: it is held by {holders}", error.desc));
            }
        })
    }

    /// Deletes an object, and keeps `gone` until nothing is left of it.
    pub(crate) fn delete(
        &self,
        main: OnMain<'_>,
        host: &Host,
        id: &str,
        gone: &Finally,
    ) -> Result<(), Error> {
        let entry = self.find(id);
        let entry = entry.ok_or_else(|| Error::generic(format!("object '{id}' not found")))?;
        match entry.kind {
            // Refused while anybody holds it, also a device or an export of which only the last requests are left.
            Kind::IoThread => {
                let deleted = host.threads.registry().try_delete(id);
                deleted.map_err(|error| error.to_answer())?;
            }
            // The main loop uses it for good.
            Kind::MainLoop => {
                return Err(Error::generic(format!(
                    "Deleting main loop '{id}' is not supported"
                )));
            }
            Kind::Monitor | Kind::OwnMonitor => self.monitors.remove(main, id, gone),
            Kind::ColoCompare(colo) => colo.end(main, gone),
        }
        self.list.lock().retain(|known| known.id != id);
        Ok(())
    }

    fn find(&self, id: &str) -> Option<Entry> {
        let list = self.list.lock();
        list.iter().find(|entry| entry.id == id).cloned()
    }

    /// Deletes the newest object, at the end of the server: what was created last may use what was there. Returns whether
    /// there was one.
    pub(crate) fn delete_newest(&self, main: OnMain<'_>, host: &Host, gone: &Finally) -> bool {
        let newest = self.list.lock().last().map(|entry| entry.id.clone());
        let Some(id) = newest else {
            return false;
        };
        // A thread that is still held stays until the process ends.
        let _ = self.delete(main, host, &id, gone);
        self.list.lock().retain(|entry| entry.id != id);
        true
    }

    pub(crate) fn check_duplicate(&self, id: &str) -> Result<(), Error> {
        // Every object has the property `type`.
        if id == "type" || self.child(id).is_some() {
            return Err(Error::generic(qemu_text::duplicate(id)));
        }
        Ok(())
    }

    fn new_iothread(
        &self,
        host: &Host,
        id: &str,
        properties: &IothreadProperties,
    ) -> Result<IoThread, Error> {
        let mut builder = host.threads.builder(id);
        let mut parameters = Parameters::default();
        for (parameter, value) in iothread_parameters(properties) {
            if let Some(value) = value {
                parameters.set(parameter, value);
                builder = builder.parameter(parameter, value);
            }
        }
        // As in QEMU, values are set before the object gets its name, and seen to fit each other after that.
        if let Err(error @ ParameterError::OutOfRange { .. }) = parameters.validate() {
            return Err(parameter_error(error));
        }
        self.check_duplicate(id)?;
        builder.spawn().map_err(|error| error.to_answer())
    }

    fn new_main_loop(
        &self,
        id: &str,
        properties: &MainLoopProperties,
    ) -> Result<Arc<dyn Object>, Error> {
        let wanted = [
            (Parameter::AioMaxBatch, properties.aio_max_batch),
            (Parameter::ThreadPoolMax, properties.thread_pool_max),
            (Parameter::ThreadPoolMin, properties.thread_pool_min),
        ];
        let mut parameters = self.main.parameters();
        for (parameter, value) in wanted {
            parameters.set(
                parameter,
                value.unwrap_or_else(|| parameters.get(parameter)),
            );
        }
        parameters.validate().map_err(parameter_error)?;
        self.check_duplicate(id)?;
        let is_main_loop = |entry: &Entry| matches!(entry.kind, Kind::MainLoop);
        if self.list.lock().iter().any(is_main_loop) {
            return Err(Error::generic("only one main-loop instance allowed"));
        }
        for (parameter, value) in wanted {
            if let Some(value) = value {
                self.main
                    .set_parameter(parameter, value)
                    .map_err(parameter_error)?;
            }
        }
        Ok(Arc::new(MainLoopObject {
            main: self.main.clone(),
        }))
    }
}

fn iothread_parameters(properties: &IothreadProperties) -> [(Parameter, Option<i64>); 7] {
    [
        (Parameter::PollMaxNs, properties.poll_max_ns),
        (Parameter::PollGrow, properties.poll_grow),
        (Parameter::PollShrink, properties.poll_shrink),
        (Parameter::PollWeight, properties.poll_weight),
        (Parameter::AioMaxBatch, properties.aio_max_batch),
        (Parameter::ThreadPoolMin, properties.thread_pool_min),
        (Parameter::ThreadPoolMax, properties.thread_pool_max),
    ]
}

/// Whether an object needs character devices to be there.
pub(crate) fn uses_chardevs(options: &ObjectOptions) -> bool {
    match options.qom_type {
        ObjectOptionsQomType::ColoCompare(_) | ObjectOptionsQomType::MonitorQmp(_) => true,
        ObjectOptionsQomType::Iothread(_)
        | ObjectOptionsQomType::MainLoop(_)
        | ObjectOptionsQomType::Unknown(_) => false,
    }
}

fn parameter_error(error: ParameterError) -> Error {
    error.to_answer()
}

fn iothread_object(thread: IoThread) -> Arc<dyn Object> {
    Arc::new(IoThreadObject { thread })
}

/// An IOThread as an object.
struct IoThreadObject {
    thread: IoThread,
}

impl Object for IoThreadObject {
    fn object_type(&self) -> &'static Type {
        &types::IOTHREAD
    }

    fn get(&self, property: &str) -> Result<Value, Error> {
        let parameter = parameter_of(property)?;
        Ok(Value::from(self.thread.parameters().get(parameter)))
    }

    fn set(&self, property: &str, value: &Value) -> Result<(), Error> {
        let parameter = parameter_of(property)?;
        let value = value_of(property, value)?;
        self.thread
            .set_parameter(parameter, value)
            .map_err(parameter_error)
    }
}

/// The main loop as an object.
struct MainLoopObject {
    main: MainContext,
}

impl Object for MainLoopObject {
    fn object_type(&self) -> &'static Type {
        &types::MAIN_LOOP
    }

    fn get(&self, property: &str) -> Result<Value, Error> {
        let parameter = parameter_of(property)?;
        Ok(Value::from(self.main.parameters().get(parameter)))
    }

    fn set(&self, property: &str, value: &Value) -> Result<(), Error> {
        let parameter = parameter_of(property)?;
        let value = value_of(property, value)?;
        self.main
            .set_parameter(parameter, value)
            .map_err(parameter_error)
    }
}

fn parameter_of(property: &str) -> Result<Parameter, Error> {
    Parameter::from_name(property)
        .ok_or_else(|| Error::generic(format!("Property '{property}' not found")))
}

impl Object for Objects {
    fn object_type(&self) -> &'static Type {
        &types::CONTAINER
    }

    fn children(&self) -> Vec<(String, Arc<dyn Object>)> {
        let list = self.list.lock();
        let child = |entry: &Entry| (entry.id.clone(), Arc::clone(&entry.object));
        // What there always is comes last, as QEMU lists it.
        let is_own = |entry: &&Entry| matches!(entry.kind, Kind::OwnMonitor);
        let others = list.iter().filter(|entry| !is_own(entry));
        others
            .chain(list.iter().filter(is_own))
            .map(child)
            .collect()
    }

    fn child(&self, name: &str) -> Option<Arc<dyn Object>> {
        self.find(name).map(|entry| entry.object)
    }
}
