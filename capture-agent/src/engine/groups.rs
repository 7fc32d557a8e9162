//! Control groups by a short number, so that a flow has room for one.

use std::collections::HashMap;
use std::num::NonZeroU16;

/// A control group, or none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Group(Option<NonZeroU16>);

impl Group {
    pub(super) const fn is_known(self) -> bool {
        self.0.is_some()
    }
}

/// The control groups that segments came from. There are as many as a number has room for: a host
/// that starts a container for each request shall not fill memory. Later ones are not known.
#[derive(Debug, Default)]
pub(super) struct Groups {
    numbers: HashMap<u64, NonZeroU16>,
    ids: Vec<u64>,
}

impl Groups {
    /// The group with this id.
    pub(super) fn of(&mut self, id: u64) -> Group {
        if let Some(number) = self.numbers.get(&id) {
            return Group(Some(*number));
        }
        let next = u16::try_from(self.ids.len() + 1).ok().and_then(NonZeroU16::new);
        if let Some(number) = next {
            self.numbers.insert(id, number);
            self.ids.push(id);
        }
        Group(next)
    }

    /// The id of a group.
    pub(super) fn id(&self, group: Group) -> Option<u64> {
        self.ids.get(usize::from(group.0?.get()) - 1).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_is_found_again_until_there_are_too_many() {
        let mut groups = Groups::default();
        for id in (1..=65_535).chain(1..=65_535) {
            let group = groups.of(id << 32);
            assert_eq!(groups.id(group), Some(id << 32));
        }
        assert!(!groups.of(7).is_known());
        let first = groups.of(1 << 32);
        assert_eq!((groups.id(first), groups.id(Group::default())), (Some(1 << 32), None));
    }
}
