//! What uses what in each crate, without circles.
//!
//! A room is a folder right below `src`, or a file there.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use crate::imports::{Arrow, Crate};

/// As many files of a room may use each other in a circle.
const MOST_FILES: usize = 7;

/// The crates that are looked at, by their roots.
const ROOTS: [&str; 11] = [
    "qapi-gen/src/lib.rs",
    "qapi-gen/src/bin/qapi-gen/main.rs",
    "qapi-runtime/src/lib.rs",
    "qapi-runtime/qmp/src/lib.rs",
    "iothread/src/lib.rs",
    "iothread/iothread-metrics/src/lib.rs",
    "iothread/iothreadd/src/lib.rs",
    "iothread/iothread-top/src/lib.rs",
    "tests/src/lib.rs",
    "tests/shapes/src/lib.rs",
    "xtask/src/main.rs",
];

fn room(file: &Path) -> String {
    let first = file.components().next().expect("the name of a file");
    let name = first.as_os_str().to_str().unwrap();
    name.trim_end_matches(".rs").to_owned()
}

/// Everything that leads to itself in a circle, together with what else is on one with it.
fn circles<T: Clone + Ord>(arrows: impl IntoIterator<Item = (T, T)>) -> Vec<BTreeSet<T>> {
    let arrows: Vec<(T, T)> = arrows.into_iter().collect();
    // Numbers instead of names: there are hundreds of files, and each may lead to all others.
    let ends = arrows.iter().flat_map(|(from, to)| [from, to]);
    let names: Vec<&T> = ends.collect::<BTreeSet<_>>().into_iter().collect();
    let number = |name: &T| {
        names
            .binary_search(&name)
            .expect("it is an end of an arrow")
    };
    let mut next = vec![Vec::new(); names.len()];
    for (from, to) in &arrows {
        next[number(from)].push(number(to));
    }
    let reached_from = |start: usize| {
        let mut reached = vec![false; names.len()];
        let mut ahead = vec![start];
        while let Some(at) = ahead.pop() {
            for to in &next[at] {
                if !std::mem::replace(&mut reached[*to], true) {
                    ahead.push(*to);
                }
            }
        }
        reached
    };
    let reached: Vec<Vec<bool>> = (0..names.len()).map(reached_from).collect();
    let mut is_found = vec![false; names.len()];
    let mut found = Vec::new();
    for start in 0..names.len() {
        if is_found[start] || !reached[start][start] {
            continue;
        }
        let both = (0..names.len()).filter(|it| reached[start][*it] && reached[*it][start]);
        let both: Vec<usize> = both.collect();
        both.iter().for_each(|it| is_found[*it] = true);
        found.push(both.iter().map(|it| names[*it].clone()).collect());
    }
    found
}

/// What is wrong with a crate.
fn complaints(read: &Crate) -> Vec<String> {
    let arrows = read.arrows();
    let between = |arrow: &&Arrow| room(&arrow.from) != room(&arrow.to);
    let rooms = arrows.iter().filter(between);
    let rooms = circles(rooms.map(|arrow| (room(&arrow.from), room(&arrow.to))));
    let files = circles(
        arrows
            .iter()
            .map(|arrow| (arrow.from.clone(), arrow.to.clone())),
    );
    let list = |is_in: &dyn Fn(&Arrow) -> bool| {
        let lines = arrows.iter().filter(|arrow| is_in(arrow));
        let line = |arrow: &Arrow| {
            format!(
                "\n  {} -> {}: {}",
                arrow.from.display(),
                arrow.to.display(),
                arrow.path
            )
        };
        lines.map(line).collect::<String>()
    };
    let mut found = Vec::new();
    for circle in rooms {
        let is_in = |arrow: &Arrow| {
            let (from, to) = (room(&arrow.from), room(&arrow.to));
            from != to && circle.contains(&from) && circle.contains(&to)
        };
        found.push(format!(
            "folders use each other: {circle:?}{}",
            list(&is_in)
        ));
    }
    for circle in files.iter().filter(|it| it.len() > MOST_FILES) {
        let is_in = |arrow: &Arrow| circle.contains(&arrow.from) && circle.contains(&arrow.to);
        let n_files = circle.len();
        found.push(format!(
            "{n_files} files use each other: {circle:?}{}",
            list(&is_in)
        ));
    }
    found
}

#[test]
fn folders_use_each_other_in_one_direction_and_no_circle_of_files_is_large() {
    let mut found = Vec::new();
    for root in ROOTS {
        let read = Crate::read(&tests::workspace().join(root));
        // All of it is looked at.
        let n_files = read.files().len();
        assert!(n_files > 3, "{root}: {n_files} files");
        found.extend(complaints(&read).iter().map(|it| format!("{root}: {it}")));
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

/// Writes a crate, and says what is wrong with it.
fn complaints_about(files: &[(&str, &str)]) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    complaints(&Crate::read(&folder.path().join(files[0].0)))
}

#[test]
fn a_circle_between_folders_is_found() {
    let with = |a: &str, b: &str| {
        complaints_about(&[
            (
                "lib.rs",
                "mod a; mod b; mod plain; pub use self::plain::Plain;",
            ),
            ("a/mod.rs", "mod inner; pub(crate) use self::inner::Inner;"),
            ("a/inner.rs", &format!("{a} pub(crate) struct Inner;")),
            (
                "b/mod.rs",
                &format!(
                    "{b} pub(crate) struct Outer; pub(crate) mod deep {{ pub(crate) fn f() {{}} }}"
                ),
            ),
            ("plain.rs", "pub struct Plain;"),
        ])
    };
    let to_a = "use crate::a::Inner;";
    for to_b in [
        "use crate::b::Outer;",
        "use super::super::b::Outer as Other;",
        "use crate::{b::{self, Outer}, plain::Plain};",
        "use crate::b::*;",
        "fn f() { crate::b::deep::f(); }",
        "fn f() { println!(\"{}\", super::super::b::deep::f()); }",
        "struct Has(Vec<crate::b::Outer>);",
        "fn f() { use crate::b::deep; }",
        "#[cfg(not(test))] mod other { use crate::b::Outer; }",
    ] {
        let complaints = with(to_b, to_a);
        let found = complaints_about_rooms(&complaints);
        assert_eq!(found, [r#"folders use each other: {"a", "b"}"#], "{to_b}");
        // In one direction there is nothing to be said against it.
        assert_eq!(with(to_b, ""), [""; 0], "{to_b}");
    }
    // What only says where a thing is known, what is only for tests, and what another crate has.
    for nothing in [
        "",
        "use crate::Plain;",
        "#[cfg(test)] mod tests { use crate::b::Outer; }",
        "#[cfg(all(test, not(loom)))] mod tests { use crate::b::Outer; }",
        "pub(in crate::a) fn f() {}",
        "// crate::b::Outer",
        "const TEXT: &str = \"crate::b::Outer\";",
        "use b::Outer;",
    ] {
        assert_eq!(with(nothing, to_a), [""; 0], "{nothing}");
    }
}

/// The first lines.
fn complaints_about_rooms(found: &[String]) -> Vec<&str> {
    found.iter().filter_map(|it| it.lines().next()).collect()
}

#[test]
fn what_is_passed_on_is_followed_to_where_it_is() {
    let with = |passing: &str| {
        complaints_about(&[
            ("lib.rs", "mod a; mod b; mod c;"),
            ("a.rs", "pub(crate) use crate::b::B; pub(crate) struct A;"),
            ("b.rs", "pub(crate) struct B;"),
            ("c.rs", passing),
        ])
    };
    // `B` is in `b` whoever passes it on.
    assert_eq!(with("use crate::a::B; fn f(_: crate::a::B) {}"), [""; 0]);
    let in_a_circle = complaints_about(&[
        ("lib.rs", "mod a; mod b;"),
        (
            "a.rs",
            "pub(crate) use crate::b::B; pub(crate) struct A(B);",
        ),
        ("b.rs", "pub(crate) struct B(Box<crate::a::A>);"),
    ]);
    assert_eq!(in_a_circle.len(), 1, "{in_a_circle:?}");
}

#[test]
fn what_uses_nothing_does_not_end_the_search() {
    let ring = [(1, 2), (2, 3), (3, 4), (4, 1)];
    let to_the_side = ring.map(|(from, _)| (from, 9));
    let found = circles(ring.into_iter().chain(to_the_side));
    assert_eq!(found, [BTreeSet::from([1, 2, 3, 4])]);
}

#[test]
fn a_large_circle_of_files_is_found() {
    let ring = |n_files: usize| {
        let modules: String = (0..n_files).map(|it| format!("mod m{it};")).collect();
        let file = |it: usize| {
            let next = (it + 1) % n_files;
            let text = format!("use super::m{next}::S{next}; pub(super) struct S{it};");
            (format!("a/m{it}.rs"), text)
        };
        let files: Vec<_> = (0..n_files).map(file).collect();
        let mut all = vec![("lib.rs", "mod a;"), ("a/mod.rs", &modules)];
        all.extend(files.iter().map(|(name, text)| (&**name, &**text)));
        complaints_about(&all)
    };
    assert_eq!(ring(MOST_FILES), [""; 0]);
    let found = ring(MOST_FILES + 1);
    assert_eq!(found.len(), 1);
    assert!(found[0].starts_with("8 files use each other"), "{found:?}");
}
