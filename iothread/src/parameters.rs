//! The parameters of an event loop, in the terms of its QOM properties.

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

    /// Name of the property.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::PollMaxNs => "poll-max-ns",
            Self::PollGrow => "poll-grow",
            Self::PollShrink => "poll-shrink",
            Self::PollWeight => "poll-weight",
            Self::AioMaxBatch => "aio-max-batch",
            Self::ThreadPoolMin => "thread-pool-min",
            Self::ThreadPoolMax => "thread-pool-max",
        }
    }

    /// The largest value. The smallest is 0.
    pub fn max_value(self) -> i64 {
        match self {
            Self::PollWeight => 63,
            Self::PollMaxNs
            | Self::PollGrow
            | Self::PollShrink
            | Self::AioMaxBatch
            | Self::ThreadPoolMin
            | Self::ThreadPoolMax => i64::MAX,
        }
    }

    /// The value that an IOThread has unless told otherwise.
    pub fn default_value(self) -> i64 {
        match self {
            Self::PollMaxNs => 32_768,
            Self::PollGrow | Self::PollShrink => 2,
            Self::PollWeight => 3,
            Self::AioMaxBatch | Self::ThreadPoolMin => 0,
            Self::ThreadPoolMax => 64,
        }
    }

    /// Whether 0 is no value of its own, but stands for the default.
    fn has_default_at_zero(self) -> bool {
        match self {
            Self::PollGrow | Self::PollShrink | Self::PollWeight => true,
            Self::PollMaxNs | Self::AioMaxBatch | Self::ThreadPoolMin | Self::ThreadPoolMax => {
                false
            }
        }
    }

    /// The parameter of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|parameter| parameter.as_str() == name)
    }
}

/// Values of all parameters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parameters([i64; Parameter::ALL.len()]);

/// A value that a parameter cannot take. The text is the one that QEMU answers with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ParameterError {
    /// The value is negative, or larger than [`Parameter::max_value`].
    #[error("{} value must be in range [0, {}]", .parameter.as_str(), .parameter.max_value())]
    OutOfRange {
        /// The parameter that was to be set.
        parameter: Parameter,
    },
    /// The smallest number of workers exceeds the largest, or the largest is 0.
    #[error("bad thread-pool-min/thread-pool-max values")]
    ThreadPool,
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

    /// The value of one parameter.
    pub fn get(&self, parameter: Parameter) -> i64 {
        self.0[parameter as usize]
    }

    /// Changes the value of one parameter; the whole is checked by [`validate`](Self::validate).
    ///
    /// A 0 for poll-grow, poll-shrink or poll-weight stores the default, as in QEMU since 11.1.
    pub fn set(&mut self, parameter: Parameter, value: i64) {
        self.0[parameter as usize] = match value {
            0 if parameter.has_default_at_zero() => parameter.default_value(),
            value => value,
        };
    }

    /// Checks the values, each for itself and then against one another.
    ///
    /// # Errors
    ///
    /// The first value that is out of range, in the order of [`Parameter::ALL`]; else bad limits of the thread pool.
    pub fn validate(&self) -> Result<(), ParameterError> {
        for parameter in Parameter::ALL {
            if !(0..=parameter.max_value()).contains(&self.get(parameter)) {
                return Err(ParameterError::OutOfRange { parameter });
            }
        }
        let (min, max) = (
            self.get(Parameter::ThreadPoolMin),
            self.get(Parameter::ThreadPoolMax),
        );
        if min > max || max == 0 || max > i64::from(i32::MAX) {
            return Err(ParameterError::ThreadPool);
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
    fn refusals_have_the_known_texts() {
        let mut values = Parameters::default();
        values.set(Parameter::PollGrow, -1);
        assert_eq!(
            values.validate().unwrap_err().to_string(),
            "poll-grow value must be in range [0, 9223372036854775807]"
        );
        for value in [-1, 64] {
            let mut values = Parameters::default();
            values.set(Parameter::PollWeight, value);
            assert_eq!(
                values.validate().unwrap_err().to_string(),
                "poll-weight value must be in range [0, 63]"
            );
        }
        let mut values = Parameters::default();
        values.set(Parameter::ThreadPoolMin, 65);
        assert_eq!(
            values.validate().unwrap_err().to_string(),
            "bad thread-pool-min/thread-pool-max values"
        );
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
