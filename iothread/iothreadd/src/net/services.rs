//! Ports that have names.

/// Where systems list them.
const LIST: &str = "/etc/services";

/// The port of a service that is spoken over TCP; `None` if the system does not know it.
pub(super) fn port_of(service: &str) -> Option<u16> {
    let list = std::fs::read(LIST).ok()?;
    find(&String::from_utf8_lossy(&list), service)
}

/// A line has a name, a port with the protocol, other names, and perhaps a remark.
fn find(list: &str, service: &str) -> Option<u16> {
    list.lines().find_map(|line| {
        let line = line.split('#').next().unwrap_or_default();
        let mut words = line.split_whitespace();
        let name = words.next()?;
        let port = words.next()?.strip_suffix("/tcp")?;
        let is_it = name == service || words.any(|other| other == service);
        is_it.then(|| port.parse().ok())?
    })
}

/// A list, and a service that may be in it.
#[cfg(any(test, fuzzing))]
pub(crate) fn look_for(list: &str, service: &str) {
    find(list, service);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_have_several_names_and_protocols() {
        let list = "# a remark\n\
            domain\t53/udp\n\
            http\t\t80/tcp\t\twww   # the web\n\
            broken\n\
            huge 99999/tcp\n\
            domain          53/tcp\n";
        for (service, port) in [
            ("http", Some(80)),
            ("www", Some(80)),
            ("domain", Some(53)),
            ("the", None),
            ("HTTP", None),
            ("80/tcp", None),
            ("broken", None),
            ("huge", None),
            ("#", None),
            ("", None),
        ] {
            assert_eq!(find(list, service), port, "{service}");
        }
    }
}
