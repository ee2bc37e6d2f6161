//! The version that clients are told.

use qapi_runtime::Value;

use crate::qapi::{VersionInfo, VersionTriple};

/// The version of this program.
pub(crate) fn own() -> VersionInfo {
    let number = |text: &str| text.parse().unwrap_or_default();
    VersionInfo {
        qemu: VersionTriple {
            major: number(env!("CARGO_PKG_VERSION_MAJOR")),
            minor: number(env!("CARGO_PKG_VERSION_MINOR")),
            micro: number(env!("CARGO_PKG_VERSION_PATCH")),
        },
        package: String::new(),
    }
}

/// `MAJOR.MINOR.MICRO`, followed by `,package=TEXT`.
pub(crate) fn parse(text: &str) -> Result<VersionInfo, String> {
    let (numbers, rest) = text.split_once(',').unwrap_or((text, ""));
    let package = match rest {
        "" => "",
        _ => rest
            .strip_prefix("package=")
            .ok_or_else(|| format!("invalid parameter '{rest}'"))?,
    };
    let wrong = || format!("'{numbers}' is not a version MAJOR.MINOR.MICRO");
    let numbers: Result<Vec<u32>, _> = numbers.split('.').map(str::parse).collect();
    let [major, minor, micro] = numbers.map_err(|_| wrong())?[..] else {
        return Err(wrong());
    };
    let [major, minor, micro] = [major, minor, micro].map(i64::from);
    Ok(VersionInfo {
        qemu: VersionTriple {
            major,
            minor,
            micro,
        },
        package: package.to_owned(),
    })
}

/// The version as part of the greeting.
pub(crate) fn value(version: &VersionInfo) -> Value {
    let numbers = [
        ("micro", version.qemu.micro),
        ("minor", version.qemu.minor),
        ("major", version.qemu.major),
    ];
    let numbers = numbers.map(|(name, number)| (name.to_owned(), Value::from(number)));
    Value::from_iter([
        ("qemu".to_owned(), Value::from_iter(numbers)),
        ("package".to_owned(), Value::from(version.package.as_str())),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_have_three_numbers_and_a_package() {
        let version = parse("10.2.1,package=Debian 1:10.2.1+ds-1, rebuilt").unwrap();
        let VersionTriple {
            major,
            minor,
            micro,
        } = version.qemu;
        assert_eq!((major, minor, micro), (10, 2, 1));
        assert_eq!(version.package, "Debian 1:10.2.1+ds-1, rebuilt");
        assert_eq!(parse("8.0.0").unwrap().package, "");
        for wrong in [
            "",
            "10",
            "10.2",
            "10.2.1.0",
            "10.2.x",
            "-1.0.0",
            "10.2.1,pack=x",
        ] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
