//! Names (QAPI: section 'Naming rules and reserved names').

use std::borrow::Cow;

/// The stem of a valid name: what follows a downstream prefix `__RFQDN_` and a prefix `x-`.
/// `None` when the name is invalid.
pub(crate) fn stem(name: &str) -> Option<&str> {
    if is_reserved_for_generator(name) {
        return None;
    }
    let rest = match name.strip_prefix("__") {
        Some(rest) => after_domain(rest)?,
        None => name,
    };
    let rest = match rest.strip_prefix("x-").or_else(|| rest.strip_prefix("X-")) {
        // `x-` alone is not a prefix, and neither is it in front of something that is not a name.
        Some(stem) if is_stem(stem) => stem,
        Some(_) | None => rest,
    };
    is_stem(rest).then_some(rest)
}

/// What follows `RFQDN_`. A domain has no underscore, so the first one ends it.
fn after_domain(name: &str) -> Option<&str> {
    let (domain, rest) = name.split_once('_')?;
    let is_domain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'.';
    (!domain.is_empty() && domain.bytes().all(is_domain)).then_some(rest)
}

fn is_stem(stem: &str) -> bool {
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    stem.starts_with(|ch: char| ch.is_ascii_alphabetic()) && stem.bytes().all(is_name)
}

fn is_reserved_for_generator(name: &str) -> bool {
    name.starts_with("q_") || name.starts_with("q-") || name.starts_with("q.")
}

/// Whether a member's name is one that the generator uses for unions and optional members.
pub(crate) fn is_reserved_member(name: &str) -> bool {
    name == "u"
        || name
            .strip_prefix("has")
            .is_some_and(|rest| rest.starts_with(['-', '_', '.']))
}

/// CamelCase: a capital first, a small letter somewhere after it, no separators.
pub(crate) fn is_camel(stem: &str) -> bool {
    let mut bytes = stem.bytes();
    bytes.next().is_some_and(|first| first.is_ascii_uppercase())
        && bytes.clone().all(|byte| byte.is_ascii_alphanumeric())
        && bytes.any(|byte| byte.is_ascii_lowercase())
}

/// What names are compared by: those that differ only in `-`, `_` and `.` collide.
pub(crate) fn collision_key(name: &str) -> Cow<'_, str> {
    if name.contains(['-', '.']) {
        Cow::Owned(name.replace(['-', '.'], "_"))
    } else {
        Cow::Borrowed(name)
    }
}

/// Whether two names have the same [`collision_key`].
pub(crate) fn collide(left: &str, right: &str) -> bool {
    let same = |(left, right): (u8, u8)| {
        let plain = |byte: u8| {
            if matches!(byte, b'-' | b'.') {
                b'_'
            } else {
                byte
            }
        };
        plain(left) == plain(right)
    };
    left.len() == right.len() && left.bytes().zip(right.bytes()).all(same)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stems() {
        assert_eq!(stem("foo-bar"), Some("foo-bar"));
        assert_eq!(stem("x-foo"), Some("foo"));
        assert_eq!(stem("__org.qemu_x-foo"), Some("foo"));
        assert_eq!(stem("__org.qemu_foo"), Some("foo"));
        assert_eq!(stem("x-"), Some("x-"));
        assert_eq!(stem("1foo"), None);
        assert_eq!(stem("q-foo"), None);
        assert_eq!(stem("__foo"), None);
        assert_eq!(stem(""), None);
        assert_eq!(stem("a.b"), None);
    }

    #[test]
    fn camel_case() {
        assert!(is_camel("IOThreadInfo"));
        assert!(!is_camel("IO"));
        assert!(!is_camel("ioThread"));
        assert!(!is_camel("Foo_bar"));
    }
}
