//! Reading: the members of one object.

use super::Visit;
use super::enumeration::Enumeration;
use super::error::{VisitError, VisitErrorKind};
use super::input::{Input, Mode};
use super::order::first_unexpected;
use super::policy::{PolicyKind, SpecialFeatures};
use crate::json::{Node, ValueRef, key_bit};
use crate::value::Object;

/// The members of one object, taken by name in any order.
#[derive(Debug)]
pub struct ObjectInput<'i, 'a> {
    input: &'i Input<'a>,
    first: usize,
    end: usize,
    mask: u64,
    /// Entry and position of the member after the one that was taken last: members mostly come
    /// in the order of the schema.
    next: usize,
    next_position: usize,
    /// Which of the first [`N_FIRST`] members are taken.
    taken: u64,
    /// In which order: their positions.
    order: [u8; N_FIRST],
    /// Which of the rest are taken, by position less [`N_FIRST`].
    taken_more: Vec<bool>,
}

/// Members of an object that are kept track of without an allocation.
const N_FIRST: usize = u64::BITS as usize;

/// Where the value of a member is.
struct Found<'a> {
    value: ValueRef<'a>,
    position: usize,
}

impl<'i, 'a> ObjectInput<'i, 'a> {
    #[inline]
    pub(super) fn new(input: &'i Input<'a>) -> Option<Self> {
        let Node::Object { mask, end } = input.node() else {
            return None;
        };
        let first = input.value().index + 1;
        Some(Self {
            input,
            first,
            end: end as usize,
            mask,
            next: first,
            next_position: 0,
            taken: 0,
            order: [0; N_FIRST],
            taken_more: Vec::new(),
        })
    }

    /// Whether members and names beyond the schema are errors.
    pub fn mode(&self) -> Mode {
        self.input.mode()
    }

    /// Finds a member and marks it as taken.
    #[inline]
    fn take(&mut self, name: &str) -> Option<ValueRef<'a>> {
        if self.mask & key_bit(name.as_bytes()) == 0 {
            return None;
        }
        self.take_likely(name)
    }

    /// The part of [`ObjectInput::take`] for names that the object probably has.
    fn take_likely(&mut self, name: &str) -> Option<ValueRef<'a>> {
        let found = self.find(name)?;
        if found.position < N_FIRST {
            self.order[self.taken.count_ones() as usize % N_FIRST] = found.position as u8;
            self.taken |= 1 << found.position;
        } else {
            let place = found.position - N_FIRST;
            if self.taken_more.len() <= place {
                self.taken_more.resize(place + 1, false);
            }
            self.taken_more[place] = true;
        }
        self.next = found.value.document.skip(found.value.index);
        self.next_position = found.position + 1;
        Some(found.value)
    }

    #[inline]
    fn find(&self, name: &str) -> Option<Found<'a>> {
        self.find_between(name, self.next, self.next_position, self.end)
            .or_else(|| self.find_between(name, self.first, 0, self.next))
    }

    #[inline]
    fn find_between(
        &self,
        name: &str,
        mut entry: usize,
        mut position: usize,
        end: usize,
    ) -> Option<Found<'a>> {
        let document = self.input.value().document;
        let nodes = document.nodes.get(..end)?;
        while let Some(Node::String { start, len }) = nodes.get(entry) {
            let index = entry + 1;
            if *len as usize == name.len()
                && document.bytes_at(*start, *len) == Some(name.as_bytes())
            {
                let value = ValueRef { document, index };
                return Some(Found { value, position });
            }
            entry = document.skip(index);
            position += 1;
        }
        None
    }

    fn is_taken(&self, position: usize) -> bool {
        match position.checked_sub(N_FIRST) {
            None => self.taken & (1 << position) != 0,
            Some(place) => self.taken_more.get(place).copied().unwrap_or(false),
        }
    }

    /// Looks for a mandatory member.
    fn find_required(&mut self, name: &'static str) -> Result<Input<'a>, VisitError> {
        match self.take(name) {
            Some(value) => Ok(self.input.child(value)),
            None => Err(missing(name)),
        }
    }

    /// A mandatory member.
    ///
    /// # Errors
    ///
    /// [`VisitErrorKind::Missing`], and what its type refuses.
    pub fn required<T: Visit>(&mut self, name: &'static str) -> Result<T, VisitError> {
        let mut input = self.find_required(name)?;
        T::read(&mut input).map_err(|error| error.in_member(name))
    }

    /// An optional member. `null` is a value like any other and not an absent member.
    ///
    /// # Errors
    ///
    /// What its type refuses.
    pub fn optional<T: Visit>(&mut self, name: &'static str) -> Result<Option<T>, VisitError> {
        match self.take(name) {
            None => Ok(None),
            Some(value) => T::read(&mut self.input.child(value))
                .map(Some)
                .map_err(|error| error.in_member(name)),
        }
    }

    /// A mandatory member with special features.
    ///
    /// # Errors
    ///
    /// As [`ObjectInput::required`], and [`VisitErrorKind::Policy`] before these.
    #[doc(hidden)]
    pub fn required_with<T: Visit>(
        &mut self,
        name: &'static str,
        features: SpecialFeatures,
    ) -> Result<T, VisitError> {
        self.check_member(name, features)?;
        self.required(name)
    }

    /// An optional member with special features, which are checked if it is present.
    ///
    /// # Errors
    ///
    /// As [`ObjectInput::optional`], and [`VisitErrorKind::Policy`] before these.
    #[doc(hidden)]
    pub fn optional_with<T: Visit>(
        &mut self,
        name: &'static str,
        features: SpecialFeatures,
    ) -> Result<Option<T>, VisitError> {
        if self.contains(name) {
            self.check_member(name, features)?;
        }
        self.optional(name)
    }

    /// A mandatory member that servers of other versions do not send: in lenient mode it may be absent, in strict mode
    /// not.
    ///
    /// # Errors
    ///
    /// As [`ObjectInput::required_with`].
    #[doc(hidden)]
    pub fn tolerant<T: Visit>(
        &mut self,
        name: &'static str,
        features: SpecialFeatures,
    ) -> Result<Option<T>, VisitError> {
        match self.mode() {
            Mode::Strict => self.required_with(name, features).map(Some),
            Mode::Lenient => self.optional_with(name, features),
        }
    }

    /// The mandatory tag of a union that servers of other versions do not send: in lenient mode one that is absent is an
    /// unknown value without a name.
    ///
    /// # Errors
    ///
    /// As [`ObjectInput::required_with`].
    #[doc(hidden)]
    pub fn tolerant_tag<T: Visit + Enumeration>(
        &mut self,
        name: &'static str,
        features: SpecialFeatures,
    ) -> Result<T, VisitError> {
        let tag = self.tolerant(name, features)?;
        Ok(tag.unwrap_or_else(|| T::unknown(Box::default())))
    }

    fn check_member(&self, name: &str, features: SpecialFeatures) -> Result<(), VisitError> {
        self.input
            .compat()
            .check(PolicyKind::Parameter, name, features)
    }

    /// Whether the object has a member of this name.
    pub fn contains(&self, name: &str) -> bool {
        self.mask & key_bit(name.as_bytes()) != 0 && self.find(name).is_some()
    }

    /// The mandatory tag of a union.
    ///
    /// # Errors
    ///
    /// [`VisitErrorKind::Missing`], [`VisitErrorKind::Type`].
    #[doc(hidden)]
    pub fn tag(&mut self, name: &'static str) -> Result<&'a str, VisitError> {
        self.find_required(name)?
            .string()
            .map_err(|error| error.in_member(name))
    }

    /// No branch has this tag: an error in strict mode, kept in lenient mode.
    ///
    /// # Errors
    ///
    /// [`VisitErrorKind::UnknownValue`] in strict mode.
    #[doc(hidden)]
    pub fn unknown_tag(&self, name: &'static str, tag: &str) -> Result<Box<str>, VisitError> {
        self.input
            .unknown_name(tag)
            .map_err(|error| error.in_member(name))
    }

    /// Checks a tag whose enum value has special features.
    ///
    /// # Errors
    ///
    /// [`VisitErrorKind::Policy`].
    #[doc(hidden)]
    pub fn check_value(&self, tag: &str, features: SpecialFeatures) -> Result<(), VisitError> {
        self.input.check_value(tag, features)
    }

    /// The member `name`, which counts as taken; for visitors that learn names only when they run.
    pub fn take_member(&mut self, name: &str) -> Option<Input<'a>> {
        self.take(name).map(|value| self.input.child(value))
    }

    /// All members as a tree; for commands that take theirs unchecked.
    pub fn take_all(&mut self) -> Object {
        let count = self.input.value().members().count();
        self.taken = u64::MAX;
        self.taken_more = vec![true; count.saturating_sub(N_FIRST)];
        self.input.value().to_object()
    }

    /// Ends the object: in strict mode no member may be left.
    ///
    /// # Errors
    ///
    /// [`VisitErrorKind::Unexpected`].
    pub fn finish(self) -> Result<(), VisitError> {
        match self.mode() {
            Mode::Lenient => Ok(()),
            Mode::Strict => self.check_all_taken(),
        }
    }

    fn check_all_taken(&self) -> Result<(), VisitError> {
        let document = self.input.value().document;
        let mut entry = self.first;
        let mut position = 0;
        while entry < self.end {
            if !self.is_taken(position) {
                return Err(self.unexpected());
            }
            entry = document.skip(entry + 1);
            position += 1;
        }
        Ok(())
    }

    #[cold]
    fn unexpected(&self) -> VisitError {
        let keys: Vec<&str> = self.input.value().members().map(|(key, _)| key).collect();
        let first = &self.order[..self.taken.count_ones() as usize];
        let rest = (N_FIRST..keys.len()).filter(|position| self.is_taken(*position));
        let taken: Vec<usize> = first
            .iter()
            .map(|place| usize::from(*place))
            .chain(rest)
            .collect();
        let key = first_unexpected(&keys, &taken).unwrap_or("");
        VisitError::new(VisitErrorKind::Unexpected).in_member(key.to_owned())
    }
}

#[cold]
fn missing(name: &'static str) -> VisitError {
    VisitError::new(VisitErrorKind::Missing).in_member(name)
}
