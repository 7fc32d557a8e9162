//! What interfaces are called, and since when.
//!
//! Invariants: a flow keeps the name that its interface had when the flow was first seen; a name
//! that is no longer known is none, and never another interface's. What is remembered of an
//! interface is bounded, and gone when its source forgets it.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::segment::{IfaceId, Interface};

/// Names that are remembered of an interface: one that is renamed without end must not take
/// memory without end.
const MAX_NAMES: usize = 8;

/// Names of interfaces, in the order of their numbers: there are few, and one is looked for with
/// each segment.
#[derive(Debug, Default)]
pub(super) struct Interfaces(Vec<(IfaceId, VecDeque<Named>)>);

#[derive(Debug)]
struct Named {
    /// The first flow that was seen under this name.
    since: u64,
    interface: Arc<Interface>,
}

impl Interfaces {
    /// The interface is this one for flows from the number `since` on; `None` forgets it.
    pub(super) fn name(&mut self, id: IfaceId, interface: Option<Arc<Interface>>, since: u64) {
        let place = self.place_of(id);
        let Some(interface) = interface else {
            if let Ok(at) = place {
                self.0.remove(at);
            }
            return;
        };
        let at = place.unwrap_or_else(|at| {
            self.0.insert(at, (id, VecDeque::new()));
            at
        });
        let Some((_, names)) = self.0.get_mut(at) else { return };
        // Each file of several says again what its interfaces are.
        if names.back().is_some_and(|named| named.interface == interface) {
            return;
        }
        if names.len() == MAX_NAMES {
            names.pop_front();
        }
        names.push_back(Named { since, interface });
    }

    /// What the interface was when this flow was first seen.
    pub(super) fn at(&self, id: IfaceId, flow: u64) -> Option<&Arc<Interface>> {
        let (_, names) = self.0.get(self.place_of(id).ok()?)?;
        let mut names = names.iter().rev();
        names.find(|named| named.since <= flow).map(|named| &named.interface)
    }

    fn place_of(&self, id: IfaceId) -> Result<usize, usize> {
        self.0.binary_search_by_key(&id.0, |(other, _)| other.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ETH0: IfaceId = IfaceId(7);

    fn named(name: &str) -> Option<Arc<Interface>> {
        Some(Arc::new(Interface::named(name.into())))
    }

    #[test]
    fn a_new_name_is_that_of_flows_from_then_on() {
        let mut interfaces = Interfaces::default();
        interfaces.name(ETH0, named("eth0"), 0);
        interfaces.name(ETH0, named("lan0"), 3);
        let name = |flow| interfaces.at(ETH0, flow).map(|interface| &*interface.name);
        assert_eq!(
            [0, 2, 3, 4].map(name),
            [Some("eth0"), Some("eth0"), Some("lan0"), Some("lan0")]
        );
        assert_eq!(interfaces.at(IfaceId(8), 3), None);
    }

    #[test]
    fn a_name_that_is_told_again_takes_no_place() {
        let mut interfaces = Interfaces::default();
        (0..20).for_each(|flow| interfaces.name(ETH0, named("eth0"), flow));
        assert!(interfaces.at(ETH0, 0).is_some());
    }

    #[test]
    fn what_is_remembered_is_bounded_and_forgotten_rather_than_mistaken() {
        let mut interfaces = Interfaces::default();
        for flow in 0..20 {
            interfaces.name(ETH0, named(&format!("eth{flow}")), flow);
        }
        let name = |flow| interfaces.at(ETH0, flow).map(|interface| &*interface.name);
        assert_eq!([11, 12, 19].map(name), [None, Some("eth12"), Some("eth19")]);
        interfaces.name(ETH0, None, 20);
        assert!(interfaces.0.is_empty());
    }
}
