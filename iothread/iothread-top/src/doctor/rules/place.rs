//! Who is where.

use super::{Code, Finding, Guest, ids};
use crate::facts::{Device, Disk, Origin, Standing};
use crate::sample::GoneHolder;
use crate::view::{counted, seconds};

pub(super) fn idle(guest: &Guest<'_>) -> Vec<Finding> {
    let idle = ids(&guest.idle());
    if idle.is_empty() {
        return Vec::new();
    }
    let evidence = format!(
        "{} of {} {} no holder",
        idle.join(", "),
        counted(guest.threads.len(), "IOThread"),
        if idle.len() == 1 { "has" } else { "have" }
    );
    let left = |it: &&GoneHolder| idle.contains(&it.iothread);
    let left = guest.look.gone.iter().find(left).map(|it| {
        let age = seconds(it.when.elapsed());
        let by = it.by.as_ref().map(|by| format!(", by {by}"));
        let by = by.unwrap_or_default();
        format!("; {} left {} {age} ago{by}", it.holder.name, it.iothread)
    });
    let evidence = evidence + &left.unwrap_or_default();
    let finding = guest.finding(Code::IdleThread, idle).because(evidence);
    vec![
        finding
            .remedy("attach disks with iothread=ID, or delete what is not needed with object-del"),
    ]
}

pub(super) fn in_main_loop(guest: &Guest<'_>) -> Vec<Finding> {
    let idle = ids(&guest.idle());
    // A device loses the name of its IOThread when that is deleted: it may be on one that only the kernel knows.
    let is_hidden = |it: &crate::facts::Thread| {
        it.standing == Standing::Deleted && it.from == Some(Origin::Kernel)
    };
    if idle.is_empty() || guest.facts.threads.iter().any(is_hidden) {
        return Vec::new();
    }
    let is_there = |it: &&Device| {
        it.can_move && it.places.is_empty() && it.ignored.is_none() && !it.disks.is_empty()
    };
    let devices: Vec<&Device> = guest.facts.devices.iter().filter(is_there).collect();
    let Some(first) = devices.first() else {
        return Vec::new();
    };
    let named = |disk: &Disk| disk.file.clone().unwrap_or_else(|| disk.node.clone());
    let files = devices.iter().flat_map(|it| &it.disks).map(named);
    let paths: Vec<String> = devices.iter().map(|it| it.path.clone()).collect();
    let evidence = format!(
        "in the main loop: {} ({}); without holder: {}",
        paths.join(", "),
        files.collect::<Vec<_>>().join(", "),
        idle.join(", ")
    );
    let remedy = format!("plug {} in again with iothread={}", first.path, idle[0]);
    let finding = guest.finding(Code::DiskInMainLoop, paths);
    vec![finding.because(evidence).remedy(remedy)]
}

pub(super) fn too_many_threads(guest: &Guest<'_>) -> Vec<Finding> {
    let devices = &guest.facts.devices;
    let able: Vec<&Device> = devices.iter().filter(|it| it.can_move).collect();
    // Without a number there is one queue, or nobody knows.
    let n_queues: usize = able
        .iter()
        .map(|it| it.n_queues.map_or(1, |it| it as usize))
        .sum();
    // Other holders than devices may have any number of threads.
    let only_devices = guest
        .threads
        .iter()
        .flat_map(|it| it.holders.iter().flatten())
        .all(|holder| able.iter().any(|it| it.holder == holder.name));
    let n_threads = guest.threads.len();
    if able.is_empty() || !only_devices || !guest.tells_holders() || n_threads <= n_queues {
        return Vec::new();
    }
    let evidence = format!(
        "{} for {} of {}",
        counted(n_threads, "IOThread"),
        counted(n_queues, "queue"),
        counted(able.len(), "device")
    );
    let finding = guest.finding(Code::TooManyThreads, ids(&guest.threads));
    let remedy = format!(
        "raise num-queues and spread the queues with iothread-vq-mapping, or make at most {n_queues}"
    );
    vec![finding.because(evidence).remedy(remedy)]
}

pub(super) fn unused_mapping(guest: &Guest<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for device in &guest.facts.devices {
        let unused = device
            .places
            .iter()
            .filter(|it| it.queues.as_ref().is_some_and(Vec::is_empty));
        let unused: Vec<&str> = unused.map(|it| it.iothread.as_str()).collect();
        if unused.is_empty() {
            continue;
        }
        let n_queues = device.n_queues.unwrap_or(0) as usize;
        let evidence = format!(
            "{} names {} and has {}; no queue runs on {}",
            device.path,
            counted(device.places.len(), "IOThread"),
            counted(n_queues, "queue"),
            unused.join(", ")
        );
        let remedy = format!(
            "num-queues={} or a mapping without {}",
            device.places.len(),
            unused.join(", ")
        );
        let finding = guest.finding(Code::UnusedMapping, vec![device.path.clone()]);
        findings.push(finding.because(evidence).remedy(remedy));
    }
    findings
}

pub(super) fn deleted(guest: &Guest<'_>) -> Vec<Finding> {
    let threads = &guest.facts.threads;
    let deleted = threads.iter().filter(|it| it.standing == Standing::Deleted);
    let finding = |thread: &crate::facts::Thread| {
        let number = thread
            .thread_id
            .map_or_else(String::new, |it| format!(" as thread {it}"));
        let holders: Vec<&str> = thread
            .holders
            .iter()
            .flatten()
            .map(|it| it.name.as_str())
            .collect();
        let held = match holders.is_empty() {
            true => "nobody tells who holds it".to_owned(),
            false => format!("held by {}", holders.join(", ")),
        };
        let evidence = format!("{} is not listed and runs{number}; {held}", thread.id);
        let finding = guest.finding(Code::DeletedThread, vec![thread.id.clone()]);
        finding.because(evidence).remedy(
            "unplug the devices that use it, which ends it, and plug them in with another IOThread",
        )
    };
    deleted.map(finding).collect()
}

pub(super) fn ignored(guest: &Guest<'_>) -> Vec<Finding> {
    let devices = guest.facts.devices.iter();
    let finding = |device: &Device| {
        let ignored = device.ignored.as_ref()?;
        let finding = guest.finding(Code::IgnoredProperty, vec![device.path.clone()]);
        let finding = finding.because(format!("{} has {ignored}", device.path));
        Some(finding.remedy("add free-page-hint=on, or leave iothread out"))
    };
    devices.filter_map(finding).collect()
}
