//! A flow that is open, for scripts: what is known of it so far, by the names of the contract.

use serde::Serialize;

use super::from::place;
use super::parts::FlowName;
use super::{EndRecord, LocalRecord, ProcessRecord, owner};
use crate::event::FlowInfo;
use crate::notation::time::Rfc3339;
use crate::segment::Timestamp;

/// A flow that is open: the fields of [`FlowRecord`](super::FlowRecord) that are known by then.
#[derive(Debug, Serialize)]
pub(crate) struct OpenFlowRecord<'a> {
    flow: FlowName,
    number: u64,
    iface: Option<&'a str>,
    ifindex: Option<u32>,
    netns: Option<&'a str>,
    client: EndRecord,
    server: EndRecord,
    local: Option<LocalRecord>,
    cgroup: Option<&'a str>,
    container: Option<&'a str>,
    process: Option<ProcessRecord<'a>>,
    start: Rfc3339,
    last_activity: Rfc3339,
}

impl<'a> OpenFlowRecord<'a> {
    pub(crate) fn new(flow: &'a FlowInfo, last_activity: Timestamp) -> Self {
        let (iface, ifindex, netns) = place(flow);
        Self {
            flow: FlowName(flow.id),
            number: flow.number,
            iface,
            ifindex,
            netns,
            client: flow.client.into(),
            server: flow.server.into(),
            local: owner::local(flow),
            cgroup: owner::cgroup(flow),
            container: owner::container(flow),
            process: owner::process(flow),
            start: Rfc3339(flow.start),
            last_activity: Rfc3339(last_activity),
        }
    }
}
