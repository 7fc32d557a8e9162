//! Names of interfaces on their way from who follows them to the readers.
//!
//! Invariant: an interface is named before a program is attached to it, and a reader looks for
//! names when it has a record in hand. So it knows the name of where that record was seen.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};

use crate::segment::{IfaceId, Interface};

type Named = (IfaceId, Option<Arc<Interface>>);

/// Where names are told.
#[derive(Debug)]
pub(super) struct Names {
    /// How many were told; spares the readers a look into their queue for each record.
    told: Arc<AtomicU64>,
    readers: Vec<Sender<Named>>,
}

/// A reader's side of it.
#[derive(Debug)]
pub(super) struct NewNames {
    told: Arc<AtomicU64>,
    taken: u64,
    queue: Receiver<Named>,
}

/// For so many readers.
pub(super) fn names(readers: usize) -> (Names, Vec<NewNames>) {
    let told = Arc::new(AtomicU64::new(0));
    let (readers, queues) = (0..readers)
        .map(|_| {
            let (sender, queue) = mpsc::channel();
            (sender, NewNames { told: Arc::clone(&told), taken: 0, queue })
        })
        .unzip();
    (Names { told, readers }, queues)
}

impl Names {
    /// Tells every reader.
    pub(super) fn tell(&self, id: IfaceId, interface: Option<&Arc<Interface>>) {
        for reader in &self.readers {
            // A reader that is gone needs no names.
            let _ = reader.send((id, interface.cloned()));
        }
        self.told.fetch_add(1, Ordering::Release);
    }
}

impl NewNames {
    /// Those that were told since the last time.
    #[inline]
    pub(super) fn take(&mut self, mut f: impl FnMut(IfaceId, Option<Arc<Interface>>)) {
        let told = self.told.load(Ordering::Acquire);
        if told != self.taken {
            self.taken = told;
            self.queue.try_iter().for_each(|(id, interface)| f(id, interface));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reader_is_told_once() {
        let (names, mut readers) = names(2);
        names.tell(IfaceId(1), Some(&Arc::new(Interface::named("lo".into()))));
        names.tell(IfaceId(1), None);
        for reader in &mut readers {
            let mut taken = Vec::new();
            reader.take(|id, interface| taken.push((id, interface.is_some())));
            assert_eq!(taken, [(IfaceId(1), true), (IfaceId(1), false)]);
            reader.take(|_, _| panic!("once"));
        }
    }
}
