//! Enumerations.

use super::layout::{self, List};
use super::plan::{TypePlan, Value, deprecation};
use super::template::{lines, rust};
use super::writer::ModuleWriter;

impl ModuleWriter<'_, '_> {
    /// An enumeration with all its impls.
    pub(super) fn emit_enum(&mut self, ty: &TypePlan<'_>, values: &[Value<'_>], unknown: &str) {
        let name = ty.name.as_str();
        let schema_name = ty.ty.name();
        self.definition_doc(ty.ty.doc(), &format!("Enumeration `{schema_name}`."));
        rust!(self, "$cfg");
        self.derives(&["Debug", "Clone", "PartialEq", "Eq", "Hash"], schema_name);
        let variants = lines(|w| {
            for value in values {
                w.under(&value.gate, |w| w.emit_value(ty, value));
                w.relieve();
            }
        });
        rust!(
            self,
            "
            pub enum $name {
                $variants
                /// A value that this schema does not have, in what a peer sent.
                $unknown($Box<str>),
            }

            ",
            name,
            variants,
            unknown,
        );
        self.emit_names(name, values, unknown);
        self.emit_enumeration(name, schema_name, values, unknown);
        rust!(
            self,
            "
            $cfg
            impl $Visit for $name {
                fn read(input: &mut $Input<'_>) -> $Result<Self, $VisitError> {
                    $door::read_enum(input)
                }

                fn write(&self, output: &mut $Output) -> $Result<(), $VisitError> {
                    $door::write_enum(self, output)
                }
            }

            $cfg
            $door::impl_enum!($name);

            ",
            name,
        );
        self.emit_serde(name);
    }

    fn emit_value(&mut self, ty: &TypePlan<'_>, value: &Value<'_>) {
        let name = value.value.name();
        self.part_doc(ty.ty.doc(), name, "Value");
        rust!(self, "$cfg");
        if let Some(gate) = deprecation(&value.policies) {
            self.deprecated_attribute(&gate, ty.ty.doc());
            self.note_deprecated(&gate);
        }
        self.part_attributes(ty.ty.name(), name);
        rust!(self, "$ident,", ident = &value.ident);
    }

    fn emit_names(&mut self, name: &str, values: &[Value<'_>], unknown: &str) {
        let all = lines(|w| {
            let item = |value: &Value<'_>| {
                let mut attributes = String::new();
                let mapping = &w.plan.options.mapping;
                mapping.attribute(&mut attributes, w.indent + 4, &value.gate);
                (attributes, format!("Self::{}", value.ident))
            };
            let items: Vec<_> = values.iter().map(item).collect();
            let list = List {
                head: "pub const ALL: &'static [Self] =",
                open: "&[",
                close: "]",
                tail: ";",
            };
            list.print(&mut w.out, w.indent, &items);
        });
        let body = lines(|w| {
            if values.is_empty() {
                return rust!(
                    w,
                    "
                    let Self::$unknown(name) = self;
                    name
                    ",
                    unknown,
                );
            }
            let arms = lines(|w| {
                for value in values {
                    w.attribute(&value.gate);
                    let text = layout::string(value.value.name());
                    rust!(w, "Self::$ident => $text,", ident = &value.ident, text);
                    w.relieve();
                }
            });
            rust!(
                w,
                "
                match self {
                    $arms
                    Self::$unknown(name) => name,
                }
                ",
                arms,
                unknown,
            );
        });
        rust!(
            self,
            "
            $cfg
            impl $name {
                /// All values in the order of the schema.
                $all

                /// The name in the schema.
                pub fn as_str(&self) -> &str {
                    $body
                }
            }

            ",
            name,
            all,
            body,
        );
    }

    fn emit_enumeration(
        &mut self,
        name: &str,
        schema_name: &str,
        values: &[Value<'_>],
        unknown: &str,
    ) {
        let is_open = values.iter().all(|value| !value.gate.is_always());
        let body = lines(|w| {
            if values.is_empty() {
                return rust!(w, "None");
            }
            if is_open {
                // A match whose arms are all conditional may be left with none.
                return rust!(
                    w,
                    "
                    let mut values = Self::ALL.iter();
                    values.find(|value| value.as_str() == name).cloned()
                    "
                );
            }
            let arms = lines(|w| {
                for value in values {
                    w.attribute(&value.gate);
                    let text = layout::string(value.value.name());
                    rust!(w, "$text => Self::$ident,", text, ident = &value.ident);
                    w.relieve();
                }
            });
            rust!(
                w,
                "
                Some(match name {
                    $arms
                    _ => return None,
                })
                ",
                arms,
            );
        });
        let policy = lines(|w| w.emit_value_policy(values));
        rust!(
            self,
            "
            $cfg
            impl $Enumeration for $name {
                const NAME: &'static str = $schema_name;
                const ALL: &'static [Self] = Self::ALL;

                fn from_name($parameter: &str) -> $Option<Self> {
                    $body
                }

                fn as_str(&self) -> &str {
                    self.as_str()
                }

                fn unknown(name: $Box<str>) -> Self {
                    Self::$unknown(name)
                }

                fn is_unknown(&self) -> bool {
                    matches!(self, Self::$unknown(_))
                }
                $policy
            }

            ",
            name,
            schema_name = layout::string(schema_name),
            parameter = if values.is_empty() { "_name" } else { "name" },
            body,
            unknown,
            policy,
        );
    }

    /// `special_features`, if any value has special features.
    fn emit_value_policy(&mut self, values: &[Value<'_>]) {
        let mut cases = Vec::new();
        for value in values {
            for case in value.policies.iter() {
                let gate = value.gate.and(&case.gate);
                self.under(&gate, |w| {
                    if let Some(policy) = w.policy(case) {
                        cases.push((gate.clone(), value.ident.as_str(), policy));
                    }
                });
            }
        }
        if cases.is_empty() {
            return;
        }
        let is_open = cases.iter().all(|(gate, ..)| !gate.is_always());
        let body = lines(|w| {
            let ifs = lines(|w| {
                for (gate, ident, policy) in &cases {
                    w.attribute(gate);
                    rust!(
                        w,
                        "
                        if matches!(self, Self::$ident) {
                            return $policy;
                        }
                        ",
                        ident = *ident,
                        policy,
                    );
                }
            });
            let arms = lines(|w| {
                for (gate, ident, policy) in &cases {
                    w.attribute(gate);
                    rust!(w, "Self::$ident => $policy,", ident = *ident, policy);
                }
            });
            if is_open {
                rust!(
                    w,
                    "
                    $ifs
                    $SpecialFeatures::NONE
                    ",
                    ifs,
                );
            } else {
                rust!(
                    w,
                    "
                    match self {
                        $arms
                        _ => $SpecialFeatures::NONE,
                    }
                    ",
                    arms,
                );
            }
        });
        self.blank();
        rust!(
            self,
            "
            fn special_features(&self) -> $SpecialFeatures {
                $body
            }
            ",
            body,
        );
    }
}
