//! What is right.

use std::path::Path;

use serde_json::Value;

use crate::torment::Profile;

/// What is right for each profile, as a table for people has it, too.
const TEXT: &str = include_str!("../../profiles.json");

/// The steps of a profile.
#[derive(Debug, Clone)]
pub struct Steps {
    /// What the server does.
    pub does: String,
    /// What is right for a client then, in words.
    pub why: String,
    /// The steps, each with its `right` outcome.
    pub steps: Vec<Value>,
    /// How often the server has to hear these commands.
    pub heard: Vec<(String, usize)>,
}

/// What is right for a profile.
#[must_use]
pub fn right(profile: Profile) -> Steps {
    let all: Value = serde_json::from_str(TEXT).unwrap_or_default();
    let profiles = all["profiles"].as_array().into_iter().flatten();
    let found = profiles.into_iter().find(|it| it["name"] == profile.name());
    let found = found.cloned().unwrap_or_default();
    let text = |name: &str| super::member(&found, name).to_owned();
    let heard = found["heard"].as_object().into_iter().flatten();
    let count = |n: &Value| n.as_u64().and_then(|n| usize::try_from(n).ok());
    Steps {
        does: text("does"),
        why: text("why"),
        steps: found["steps"].as_array().cloned().unwrap_or_default(),
        heard: heard
            .map(|(command, n)| (command.clone(), count(n).unwrap_or_default()))
            .collect(),
    }
}

/// A step as a driver is told to take it: without what is right, and with the address.
pub(super) fn to_be_taken(step: &Value, socket: &Path) -> Value {
    let mut step = step.clone();
    if let Some(members) = step.as_object_mut() {
        members.remove("right");
        members.remove("then");
        if members.get("do").is_some_and(|it| it == "connect") {
            members.insert("address".to_owned(), socket.display().to_string().into());
        }
    }
    step
}

/// Whether what a driver told has everything that is right.
pub(super) fn is_right(right: &Value, told: &Value) -> bool {
    match (right, told) {
        (Value::Object(right), Value::Object(told)) => right.iter().all(|(name, right)| {
            let told = told.get(name);
            told.is_some_and(|told| is_right(right, told))
        }),
        (Value::Array(right), Value::Array(told)) => {
            let mut pairs = right.iter().zip(told);
            right.len() == told.len() && pairs.all(|(right, told)| is_right(right, told))
        }
        (right, told) => right == told,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_profile_has_steps() {
        let all: Value = serde_json::from_str(TEXT).unwrap();
        assert_eq!(
            all["profiles"].as_array().unwrap().len(),
            Profile::ALL.len()
        );
        let page = include_str!("../../CONFORMANCE.md");
        for profile in Profile::ALL {
            let steps = right(profile);
            assert_eq!(steps.steps[0]["do"], "connect", "{profile}");
            assert!(
                steps
                    .steps
                    .iter()
                    .all(|it| it["right"]["outcome"].is_string())
            );
            assert!(!steps.heard.is_empty() && !steps.does.is_empty());
            assert!(page.contains(&format!("| `{profile}` | ")), "{profile}");
            assert!(page.contains(&steps.why), "{profile}: {}", steps.why);
        }
    }

    #[test]
    fn what_is_told_beside_the_right_does_not_count() {
        let right =
            serde_json::json!({"outcome": "event", "data": {"a": 1}, "list": [1, {"b": 2}]});
        let told = serde_json::json!({"outcome": "event", "data": {"a": 1, "c": 0}, "list": [1, {"b": 2}], "x": 1});
        assert!(is_right(&right, &told));
        let told = serde_json::json!({"outcome": "event", "data": {"a": 1}, "list": [1]});
        assert!(!is_right(&right, &told));
        assert!(!is_right(&right, &Value::Null));
    }
}
