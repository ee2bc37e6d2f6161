//! What each kind of definition may have.

use super::key::is_falsy;
use super::member::BranchesOf;
use super::{Checker, all_of};
use crate::check::draft::{Body, Flags, Members, Named};
use crate::check::error::{ExprError, Source};
use crate::syntax::ast::{Node, Object};

impl Checker<'_> {
    pub(super) fn check_enum(&mut self, object: &Object, name: &str) -> Body {
        let optional = ["if", "features", "prefix"];
        self.check_keys(object, Source::Meta("enum"), &["enum", "data"], &optional);
        let data = object.get(self.sources, "data");
        let array = match data {
            Some(Node::Array(array)) => Some(array),
            Some(other) => {
                self.error(&ExprError::NotArray("'data'".to_owned()), other.span());
                None
            }
            None => None,
        };
        let prefix = match object.get(self.sources, "prefix") {
            Some(Node::String(text)) => Some(text.name(self.sources)),
            Some(other) => {
                self.error(&ExprError::PrefixNotString, other.span());
                None
            }
            None => None,
        };
        let excepted = self.excepted_members(name);
        let nodes = array.map_or(&[][..], |array| &array.values[..]);
        let values = all_of(nodes, |node| self.check_value(node, excepted));
        Body::Enum { values, prefix }
    }

    pub(super) fn check_struct(&mut self, object: &Object, name: &str) -> Body {
        let optional = ["base", "if", "features"];
        self.check_keys(
            object,
            Source::Meta("struct"),
            &["struct", "data"],
            &optional,
        );
        let members = object
            .get(self.sources, "data")
            .map_or_else(Box::default, |data| {
                self.check_members(data, "data", Some(name))
            });
        let base = object
            .get(self.sources, "base")
            .and_then(|base| self.check_type_name(base, Source::Key("base")));
        Body::Struct { base, members }
    }

    pub(super) fn check_union(&mut self, object: &Object, name: &str) -> Body {
        let required = ["union", "base", "discriminator", "data"];
        self.check_keys(
            object,
            Source::Meta("union"),
            &required,
            &["if", "features"],
        );
        let base = object
            .get(self.sources, "base")
            .map(|base| self.check_type_or_members(base, "base", Some(name)));
        let discriminator = match object.get(self.sources, "discriminator") {
            Some(Node::String(text)) => Some(Named {
                name: text.name(self.sources),
                span: text.span,
            }),
            Some(other) => {
                let error = ExprError::NameNotString("'discriminator'".to_owned());
                self.error(&error, other.span());
                None
            }
            None => None,
        };
        let branches = self.branches(object, BranchesOf::Union);
        Body::Union {
            base,
            discriminator,
            branches,
        }
    }

    pub(super) fn check_alternate(&mut self, object: &Object) -> Body {
        let required = ["alternate", "data"];
        self.check_keys(
            object,
            Source::Meta("alternate"),
            &required,
            &["if", "features"],
        );
        Body::Alternate {
            branches: self.branches(object, BranchesOf::Alternate),
        }
    }

    pub(super) fn check_command(&mut self, object: &Object) -> Body {
        let optional = [
            "data",
            "returns",
            "boxed",
            "if",
            "features",
            "success-response",
            "gen",
            "allow-oob",
            "allow-preconfig",
            "coroutine",
        ];
        self.check_keys(object, Source::Meta("command"), &["command"], &optional);
        let arguments = self.check_arguments(object);
        let returns = object
            .get(self.sources, "returns")
            .and_then(|returns| self.check_type_ref(returns, Source::Key("returns")));
        let flags = Flags {
            boxed: false,
            gen_: true,
            success_response: true,
            allow_oob: false,
            allow_preconfig: false,
            coroutine: false,
        };
        Body::Command {
            arguments,
            returns,
            flags,
        }
    }

    pub(super) fn check_event(&mut self, object: &Object) -> Body {
        let optional = ["data", "boxed", "if", "features"];
        self.check_keys(object, Source::Meta("event"), &["event"], &optional);
        Body::Event {
            arguments: self.check_arguments(object),
            boxed: false,
        }
    }

    pub(super) fn check_arguments(&mut self, object: &Object) -> Option<Members> {
        let data = object.get(self.sources, "data");
        let boxed = object
            .get(self.sources, "boxed")
            .filter(|node| !is_falsy(node));
        match (boxed, data) {
            (Some(boxed), None) => {
                self.error(&ExprError::BoxedWithoutData, boxed.span());
                None
            }
            (Some(_), Some(data)) => self
                .check_type_name(data, Source::Key("data"))
                .map(Members::Type),
            (None, Some(data)) => Some(self.check_type_or_members(data, "data", None)),
            (None, None) => None,
        }
    }
}
