//! Paths, as `qapi_runtime::introspection` describes them, taken apart.

/// A path.
pub(super) struct Path<'t> {
    /// The command or event.
    pub(super) name: &'t str,
    pub(super) part: Option<Part>,
    pub(super) steps: Vec<Step<'t>>,
    pub(super) feature: Option<&'t str>,
}

/// Which values of the command or event.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Arguments,
    Returns,
    Data,
}

/// One step, to a member or to a value.
pub(super) struct Step<'t> {
    /// `None` for a value that a command returns itself.
    pub(super) member: Option<&'t str>,
    pub(super) value: Option<&'t str>,
}

impl<'t> Path<'t> {
    /// `None` if `text` is no path.
    pub(super) fn parse(text: &'t str) -> Option<Self> {
        let (text, feature) = split(text, '#');
        let mut parts = text.split('/');
        let name = parts.next()?;
        let mut steps = Vec::new();
        let mut part = None;
        if let Some(text) = parts.next() {
            let (text, value) = split(text, '=');
            part = Some(match text {
                "arguments" => Part::Arguments,
                "returns" => Part::Returns,
                "data" => Part::Data,
                _ => return None,
            });
            if value.is_some() {
                let member = None;
                steps.push(Step { member, value });
            }
        }
        for text in parts {
            let (member, value) = split(text, '=');
            let member = Some(member);
            steps.push(Step { member, value });
        }
        let names = steps.iter().flat_map(|step| [step.member, step.value]);
        let mut names = names.flatten().chain([name]).chain(feature);
        let is_path = names.all(is_name);
        is_path.then_some(Self {
            name,
            part,
            steps,
            feature,
        })
    }
}

/// What is before and behind the first `mark`.
fn split(text: &str, mark: char) -> (&str, Option<&str>) {
    match text.split_once(mark) {
        Some((before, behind)) => (before, Some(behind)),
        None => (text, None),
    }
}

/// Names of schemas; and nothing else gets into messages.
fn is_name(text: &str) -> bool {
    let is_part =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'+');
    !text.is_empty() && text.bytes().all(is_part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_path() {
        for text in [
            "stop",
            "a/arguments/b=c/d",
            "a/returns=b",
            "A/data/b#c",
            "a#b",
        ] {
            assert!(Path::parse(text).is_some(), "{text}");
        }
        for text in [
            "",
            "a/",
            "a/b",
            "a/arguments/",
            "a/arguments/=b",
            "a/arguments/b=",
            "a#",
            "a b",
            "#a",
            "a=b",
        ] {
            assert!(Path::parse(text).is_none(), "{text}");
        }
    }
}
