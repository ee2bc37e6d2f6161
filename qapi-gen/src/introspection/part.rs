//! A part of what a server told.

use super::{ElementId, Introspection, Kind};

impl Introspection {
    /// The commands and events of these names, with all types that they use. Names that do not exist are not a mistake. Making a
    /// schema of a part takes a part of the time.
    ///
    /// Types without names are called by their places in the part: the same type may have another name than in the whole.
    #[must_use]
    pub fn part(&self, names: &[&str]) -> Self {
        let is_named = |id: &ElementId| {
            let element = &self.elements[*id];
            !element.kind.is_type() && names.contains(&element.name.as_str())
        };
        let mut is_kept = vec![false; self.elements.len()];
        let mut open: Vec<ElementId> = (0..self.elements.len()).filter(is_named).collect();
        for id in &open {
            is_kept[*id] = true;
        }
        while let Some(id) = open.pop() {
            for used in self.elements[id].kind.uses() {
                if !std::mem::replace(&mut is_kept[used], true) {
                    open.push(used);
                }
            }
        }
        let kept = |id: &ElementId| is_kept[*id];
        let ids: Vec<ElementId> = (0..self.elements.len()).filter(kept).collect();
        let mut new_ids = vec![0; self.elements.len()];
        for (new_id, id) in ids.iter().enumerate() {
            new_ids[*id] = new_id;
        }
        let elements = ids.iter().map(|id| {
            let mut element = self.elements[*id].clone();
            element.kind.renumber(&new_ids);
            element
        });
        Self {
            elements: elements.collect(),
            told: ids.iter().map(|id| self.told[*id].clone()).collect(),
        }
    }
}

impl Kind {
    /// Gives the types that it uses their new positions.
    fn renumber(&mut self, new_ids: &[ElementId]) {
        let renumber = |id: &mut ElementId| *id = new_ids[*id];
        match self {
            Self::Command {
                arguments, returns, ..
            } => {
                renumber(arguments);
                renumber(returns);
            }
            Self::Event { data } => renumber(data),
            Self::Builtin(_) | Self::Enum(_) => {}
            Self::Array(element) => renumber(element),
            Self::Object { members, variants } => {
                members
                    .iter_mut()
                    .for_each(|member| renumber(&mut member.ty));
                let branches = variants.iter_mut().flat_map(|it| &mut it.branches);
                branches.for_each(|(_, ty)| renumber(ty));
            }
            Self::Alternate(branches) => branches.iter_mut().for_each(renumber),
        }
    }
}
