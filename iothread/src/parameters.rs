//! The parameters of an event loop, in the terms of its QOM properties.

use std::time::Duration;

use thiserror::Error;

use crate::sync::{AtomicI64, Ordering};

/// A property of an IOThread, or of the main loop, that tunes its event loop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Parameter {
    /// Longest time to poll before sleeping, in nanoseconds; 0 switches polling off.
    PollMaxNs,
    /// Factor by which the polling time grows.
    PollGrow,
    /// Divisor by which the polling time shrinks.
    PollShrink,
    /// How many bits a new event interval is shifted by when it enters the average, at most 63.
    PollWeight,
    /// Largest batch of requests of the AIO engine; 0 stands for the engine's default.
    AioMaxBatch,
    /// Number of worker threads that stay although there is no work, once there was work for them.
    ThreadPoolMin,
    /// Largest number of worker threads; those of all loops are bounded by [`set_worker_budget`](crate::set_worker_budget) as well.
    ThreadPoolMax,
}

impl Parameter {
    /// Every parameter, in the order of the schema.
    pub const ALL: [Self; 7] = [
        Self::PollMaxNs,
        Self::PollGrow,
        Self::PollShrink,
        Self::PollWeight,
        Self::AioMaxBatch,
        Self::ThreadPoolMin,
        Self::ThreadPoolMax,
    ];

    /// Its name, its default and its largest value, and whether 0 is no value of its own but stands for the default.
    const fn row(self) -> (&'static str, i64, i64, bool) {
        match self {
            Self::PollMaxNs => ("poll-max-ns", 32_768, i64::MAX, false),
            Self::PollGrow => ("poll-grow", 2, i64::MAX, true),
            Self::PollShrink => ("poll-shrink", 2, i64::MAX, true),
            Self::PollWeight => ("poll-weight", 3, 63, true),
            Self::AioMaxBatch => ("aio-max-batch", 0, i64::MAX, false),
            Self::ThreadPoolMin => ("thread-pool-min", 0, i64::MAX, false),
            Self::ThreadPoolMax => ("thread-pool-max", 64, i64::MAX, false),
        }
    }

    /// Name of the property.
    pub const fn as_str(self) -> &'static str {
        self.row().0
    }

    /// The value that an IOThread has unless told otherwise.
    pub fn default_value(self) -> i64 {
        self.row().1
    }

    /// The largest value. The smallest is 0.
    pub fn max_value(self) -> i64 {
        self.row().2
    }

    fn has_default_at_zero(self) -> bool {
        self.row().3
    }

    /// The parameter of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|it| it.as_str() == name)
    }
}

/// Values of all parameters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parameters([i64; Parameter::ALL.len()]);

/// A value that a parameter cannot take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ParameterError {
    /// The value is negative, or larger than [`Parameter::max_value`].
    #[error("{} is {value}, which is not between 0 and {}", .parameter.as_str(), .parameter.max_value())]
    OutOfRange {
        /// The parameter that was to be set.
        parameter: Parameter,
        /// The value.
        value: i64,
    },
    /// The smallest number of workers exceeds the largest, or the largest is 0 or beyond 2^31 - 1.
    #[error("there is no number of workers between {min} and {max} that a pool can have")]
    ThreadPool {
        /// thread-pool-min.
        min: i64,
        /// thread-pool-max.
        max: i64,
    },
}

impl Default for Parameters {
    /// The values that an IOThread has unless told otherwise.
    fn default() -> Self {
        Self(Parameter::ALL.map(Parameter::default_value))
    }
}

impl Parameters {
    /// The values that a main loop has unless told otherwise: it does not poll.
    pub fn of_main_loop() -> Self {
        let mut values = Self::default();
        values.0[Parameter::PollMaxNs as usize] = 0;
        values
    }

    /// The value of one parameter in the terms of its property: nanoseconds, or a number.
    pub fn get(&self, parameter: Parameter) -> i64 {
        self.0[parameter as usize]
    }

    /// Changes the value of one parameter in the terms of its property; the whole is checked by [`validate`](Self::validate).
    ///
    /// A 0 for poll-grow, poll-shrink or poll-weight stores the default, as in QEMU since 11.1.
    pub fn set(&mut self, parameter: Parameter, value: i64) {
        self.0[parameter as usize] = match value {
            0 if parameter.has_default_at_zero() => parameter.default_value(),
            value => value,
        };
    }

    /// The longest time to poll before sleeping.
    pub fn poll_max(&self) -> Duration {
        Duration::from_nanos(self.unsigned(Parameter::PollMaxNs))
    }

    /// Sets the longest time to poll; zero switches polling off.
    pub fn set_poll_max(&mut self, time: Duration) {
        let ns = i64::try_from(time.as_nanos()).unwrap_or(i64::MAX);
        self.set(Parameter::PollMaxNs, ns);
    }

    /// The factor by which the polling time grows.
    pub fn poll_grow(&self) -> u64 {
        self.unsigned(Parameter::PollGrow)
    }

    /// The divisor by which the polling time shrinks.
    pub fn poll_shrink(&self) -> u64 {
        self.unsigned(Parameter::PollShrink)
    }

    /// How many bits a new event interval is shifted by when it enters the average.
    pub fn poll_weight(&self) -> u64 {
        self.unsigned(Parameter::PollWeight)
    }

    /// The largest batch of requests of the AIO engine; 0 is the engine's default. This crate has no such engine, and tunes nothing by it:
    /// it is here for one that a program runs on a context.
    pub fn aio_max_batch(&self) -> u64 {
        self.unsigned(Parameter::AioMaxBatch)
    }

    /// How many workers stay without work.
    pub fn thread_pool_min(&self) -> u64 {
        self.unsigned(Parameter::ThreadPoolMin)
    }

    /// How many workers there are at most.
    pub fn thread_pool_max(&self) -> u64 {
        self.unsigned(Parameter::ThreadPoolMax)
    }

    /// A value that was validated; 0 for one that was not and is negative.
    fn unsigned(&self, parameter: Parameter) -> u64 {
        u64::try_from(self.get(parameter)).unwrap_or(0)
    }

    /// Checks the values, each for itself and then against one another.
    ///
    /// # Errors
    ///
    /// The first value that is out of range, in the order of [`Parameter::ALL`]; else bad limits of the thread pool.
    pub fn validate(&self) -> Result<(), ParameterError> {
        for parameter in Parameter::ALL {
            let value = self.get(parameter);
            if !(0..=parameter.max_value()).contains(&value) {
                return Err(ParameterError::OutOfRange { parameter, value });
            }
        }
        let (min, max) = (
            self.get(Parameter::ThreadPoolMin),
            self.get(Parameter::ThreadPoolMax),
        );
        if min > max || max == 0 || max > i64::from(i32::MAX) {
            return Err(ParameterError::ThreadPool { min, max });
        }
        Ok(())
    }
}

/// Parameters that a running loop reads.
#[derive(Debug)]
pub(crate) struct ParameterCells([AtomicI64; Parameter::ALL.len()]);

impl ParameterCells {
    pub(crate) fn new(parameters: &Parameters) -> Self {
        Self(Parameter::ALL.map(|parameter| AtomicI64::new(parameters.get(parameter))))
    }

    pub(crate) fn get(&self, parameter: Parameter) -> i64 {
        self.0[parameter as usize].load(Ordering::Relaxed)
    }

    pub(crate) fn set(&self, parameter: Parameter, value: i64) {
        self.0[parameter as usize].store(value, Ordering::Relaxed);
    }

    pub(crate) fn load(&self) -> Parameters {
        Parameters(Parameter::ALL.map(|parameter| self.get(parameter)))
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn values_out_of_range_are_refused_with_what_they_are() {
        let refused = |parameter: Parameter, value: i64| {
            let mut values = Parameters::default();
            values.set(parameter, value);
            values.validate().unwrap_err()
        };
        for (parameter, value) in [
            (Parameter::PollMaxNs, -1),
            (Parameter::PollGrow, i64::MIN),
            (Parameter::PollWeight, -1),
            (Parameter::PollWeight, 64),
            (Parameter::ThreadPoolMax, -1),
        ] {
            let error = refused(parameter, value);
            assert_eq!(error, ParameterError::OutOfRange { parameter, value });
        }
        assert_eq!(
            refused(Parameter::PollWeight, 64).to_string(),
            "poll-weight is 64, which is not between 0 and 63"
        );
        let (min, max) = (65, 64);
        assert_eq!(
            refused(Parameter::ThreadPoolMin, min),
            ParameterError::ThreadPool { min, max }
        );
        let (min, max) = (0, 1 << 31);
        assert_eq!(
            refused(Parameter::ThreadPoolMax, max),
            ParameterError::ThreadPool { min, max }
        );
    }

    #[test]
    fn typed_values_are_those_of_the_properties() {
        let mut values = Parameters::default();
        values.set_poll_max(Duration::from_micros(5));
        for (parameter, value) in Parameter::ALL
            .into_iter()
            .zip([5_000, 3, 4, 63, 6, 7, 8])
            .skip(1)
        {
            values.set(parameter, value);
        }
        values.validate().unwrap();
        assert_eq!(
            Parameter::ALL.map(|it| values.get(it)),
            [5_000, 3, 4, 63, 6, 7, 8]
        );
        assert_eq!(values.poll_max(), Duration::from_micros(5));
        assert_eq!((values.poll_grow(), values.poll_shrink()), (3, 4));
        assert_eq!((values.poll_weight(), values.aio_max_batch()), (63, 6));
        assert_eq!((values.thread_pool_min(), values.thread_pool_max()), (7, 8));
        values.set_poll_max(Duration::MAX);
        values.set(Parameter::PollWeight, 0);
        values.validate().unwrap();
        assert_eq!(values.get(Parameter::PollMaxNs), i64::MAX);
        assert_eq!(values.poll_weight(), 3);
    }

    #[test]
    fn zero_stands_for_the_default_of_the_polling_factors() {
        let mut values = Parameters::default();
        for parameter in Parameter::ALL {
            if parameter != Parameter::ThreadPoolMax {
                values.set(parameter, 1);
                values.set(parameter, 0);
            }
        }
        values.validate().unwrap();
        assert_eq!(
            Parameter::ALL.map(|it| values.get(it)),
            [0, 2, 2, 3, 0, 0, 64]
        );
    }

    #[test]
    fn names_lead_back_to_their_parameter() {
        for parameter in Parameter::ALL {
            assert_eq!(Parameter::from_name(parameter.as_str()), Some(parameter));
        }
        assert_eq!(Parameter::from_name("poll"), None);
    }
}
