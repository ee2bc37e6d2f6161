//! What is about to be sent, beside what the server knows.

use super::walk::Scope;
use super::{Builtin, EntityId, Kind, PeerSchema, UnknownPath};
use crate::json::{Kind as Json, ValueRef};

/// Commands that take more than their schema says (QAPI: 'gen' false): properties of devices, and, before there was a branch for
/// each of them, of network back ends.
const OPEN: [&str; 2] = ["device_add", "netdev_add"];

impl PeerSchema {
    /// Looks for a command, the names of its arguments at any depth, and the values of enumerations, in what the server knows.
    /// Whether the types of values are right is not looked at, nor the properties of devices: a schema does not have these.
    ///
    /// # Errors
    ///
    /// The first thing that the server does not know.
    pub fn check(&self, command: &str, arguments: Option<ValueRef<'_>>) -> Result<(), UnknownPath> {
        let unknown = |path: &str| UnknownPath {
            path: path.into(),
            is_malformed: false,
        };
        let entity = self.by_name.get(command).map(|id| &self.entities[*id]);
        let Some(Kind::Command { arguments: ty, .. }) = entity.map(|it| &it.kind) else {
            return Err(unknown(command));
        };
        let Some(arguments) = arguments else {
            return Ok(());
        };
        let is_open = |id: &EntityId| OPEN.contains(&command) && self.branches(*id).is_none();
        if ty.as_ref().is_some_and(is_open) {
            return Ok(());
        }
        let mut path = format!("{command}/arguments");
        match self.value_is_known(&self.expand(*ty), arguments, &mut path) {
            true => Ok(()),
            false => Err(unknown(&path)),
        }
    }

    /// Looks at a value where one of these types is expected. If something is not known `path` is that of it.
    fn value_is_known(&self, types: &[EntityId], value: ValueRef<'_>, path: &mut String) -> bool {
        let is_any =
            |id: &&EntityId| matches!(self.entities[**id].kind, Kind::Builtin(Builtin::Any));
        if types.iter().any(|id| is_any(&id)) {
            return true;
        }
        match value.kind() {
            Json::Object => self.object_is_known(types, value, path),
            Json::Array => {
                let mut elements = value.elements();
                elements.all(|element| self.value_is_known(types, element, path))
            }
            Json::String => self.string_is_known(types, value.as_str().unwrap_or(""), path),
            Json::Null | Json::Bool | Json::Number => true,
        }
    }

    fn string_is_known(&self, types: &[EntityId], text: &str, path: &mut String) -> bool {
        let mut is_enum = false;
        for id in types {
            match &self.entities[*id].kind {
                Kind::Enum(values) if values.iter().any(|it| *it.name == *text) => return true,
                Kind::Enum(_) => is_enum = true,
                Kind::Builtin(Builtin::String) => return true,
                Kind::Builtin(Builtin::Any | Builtin::Other)
                | Kind::Command { .. }
                | Kind::Event { .. }
                | Kind::Array(_)
                | Kind::Object { .. }
                | Kind::Alternate(_)
                | Kind::Unknown => {}
            }
        }
        if is_enum {
            path.push('=');
            path.push_str(text);
        }
        !is_enum
    }

    fn object_is_known(&self, types: &[EntityId], value: ValueRef<'_>, path: &mut String) -> bool {
        let is_object = |id: &&EntityId| matches!(self.entities[**id].kind, Kind::Object { .. });
        // Of the alternatives of an alternate one at most is an object.
        let Some(&object) = types.iter().find(is_object) else {
            return true;
        };
        let scopes = self.chosen(object, value);
        for (name, value) in value.members() {
            let len = path.len();
            path.push('/');
            path.push_str(name);
            let members = self.members(&scopes, name);
            let Some(member) = members.first() else {
                return false;
            };
            if !self.value_is_known(&self.expand(member.ty), value, path) {
                return false;
            }
            path.truncate(len);
        }
        true
    }

    /// The object with the branches that the tags in a value choose. What chooses nothing leaves all of them, and is told when its
    /// turn comes.
    fn chosen(&self, object: EntityId, value: ValueRef<'_>) -> Vec<Scope> {
        let mut scopes: Vec<Scope> = Vec::new();
        let mut object = object;
        // A chain of branches is no longer than all that there is.
        while scopes.len() < self.entities.len() {
            let branches = self.branches(object);
            let case = branches.and_then(|it| it.case(value.get(&it.tag)?.as_str()?));
            let Some(case) = case else {
                scopes.push(Scope::of(object));
                break;
            };
            scopes.push(Scope::without_branches(object));
            object = case;
        }
        scopes
    }
}
