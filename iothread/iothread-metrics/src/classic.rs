//! The older text format, for readers that do not ask for OpenMetrics.

/// The same metrics in the text format 0.0.4: a counter is called in full where it is described, infos are gauges, and there
/// are neither units nor an end.
pub(crate) fn classic(text: &str) -> String {
    let mut classic = String::with_capacity(text.len());
    let counters = names(text, "counter");
    let infos = names(text, "info");
    for line in text.lines() {
        let described = line
            .strip_prefix("# HELP ")
            .or_else(|| line.strip_prefix("# TYPE "));
        let Some(described) = described else {
            if !line.starts_with('#') {
                classic.push_str(line);
                classic.push('\n');
            }
            continue;
        };
        let (name, rest) = described.split_once(' ').unwrap_or((described, ""));
        let keyword = &line[..line.len() - described.len()];
        let (suffix, rest) = match rest {
            "info" => ("_info", "gauge"),
            _ if infos.contains(&name) => ("_info", rest),
            _ if counters.contains(&name) => ("_total", rest),
            _ => ("", rest),
        };
        classic.push_str(&format!("{keyword}{name}{suffix} {rest}\n"));
    }
    classic
}

/// The metrics of a type.
fn names<'t>(text: &'t str, kind: &str) -> Vec<&'t str> {
    let types = text.lines().filter_map(|it| it.strip_prefix("# TYPE "));
    let named = types.filter_map(|it| it.split_once(' '));
    named
        .filter(|(_, it)| *it == kind)
        .map(|(name, _)| name)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::classic;

    #[test]
    fn counters_and_infos_are_called_in_full() {
        let text = "# HELP a_seconds Time.\n# TYPE a_seconds counter\n# UNIT a_seconds seconds\n\
                    a_seconds_total{x=\"# HELP b\"} 1.0\n\
                    # HELP b Who.\n# TYPE b info\nb_info{x=\"y\"} 1\n\
                    # HELP c How many.\n# TYPE c gauge\nc 2\n# EOF\n";
        let expected = "# HELP a_seconds_total Time.\n# TYPE a_seconds_total counter\n\
                        a_seconds_total{x=\"# HELP b\"} 1.0\n\
                        # HELP b_info Who.\n# TYPE b_info gauge\nb_info{x=\"y\"} 1\n\
                        # HELP c How many.\n# TYPE c gauge\nc 2\n";
        assert_eq!(classic(text), expected);
    }
}
