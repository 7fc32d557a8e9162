//! Whose socket an end of a flow is, in records.

use std::borrow::Cow;

use schemars::JsonSchema;
use serde::Serialize;

use crate::event::{End, FlowInfo, Owner};

/// An end of a flow.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LocalRecord {
    /// Who asks.
    Client,
    /// Who answers.
    Server,
}

/// A process.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ProcessRecord<'a> {
    /// `null` where several of that name hold the socket, and it is not known which one it was.
    pid: Option<u32>,
    /// What it calls itself (`/proc/PID/comm`).
    name: Cow<'a, str>,
}

fn owner(flow: &FlowInfo) -> Option<&Owner> {
    flow.owner.as_deref()
}

pub(in crate::output) fn local(flow: &FlowInfo) -> Option<LocalRecord> {
    owner(flow).map(|owner| match owner.end {
        End::Client => LocalRecord::Client,
        End::Server => LocalRecord::Server,
    })
}

pub(in crate::output) fn cgroup(flow: &FlowInfo) -> Option<&str> {
    owner(flow)?.cgroup.as_deref()
}

pub(in crate::output) fn container(flow: &FlowInfo) -> Option<&str> {
    owner(flow)?.container.as_deref()
}

pub(in crate::output) fn process(flow: &FlowInfo) -> Option<ProcessRecord<'_>> {
    let process = owner(flow)?.process.as_ref()?;
    Some(ProcessRecord { pid: process.pid, name: Cow::Borrowed(&process.name) })
}
