//! A thread that reads capture files ahead of the engine.
//!
//! Invariants: the engine gets the same items as if it read the files itself, and can tell after
//! each what happened to the packets up to it, however far the thread is; what was read ahead is
//! bounded, so memory is too. What was read goes to the engine before more of it is waited for, and
//! all of it does: once the agent is to end, it is the thread that reads no further.

use std::collections::VecDeque;
use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvError, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};

use capture_agent::segment::{IfaceId, Interface, Segment};
use capture_agent::source::file::FileError;
use capture_agent::source::{Item, Verdicts};
use capture_ebpf::Verdict;

use super::feed::Files;

/// Items that go to the engine together: enough that to wake it does not count.
const BLOCK_ITEMS: usize = 1024;
/// Payload bytes that do: few enough to be in a core's own cache when the engine gets them.
const BLOCK_BYTES: usize = 256 << 10;
/// Blocks there are: one that is filled, one that is emptied, and some in between.
const BLOCKS: usize = 4;

/// Items of the files, in their order.
#[derive(Default)]
struct Block {
    items: Vec<Held>,
    payloads: Vec<u8>,
    /// Where an item is not all that happened since the one before it.
    marks: VecDeque<Mark>,
    /// Whether more has to be waited for than what is here.
    waits: bool,
    /// After the last item of all, and what ended them.
    over: Option<(Mark, Result<(), FileError>)>,
}

impl Block {
    fn is_full(&self) -> bool {
        self.items.len() >= BLOCK_ITEMS || self.payloads.len() >= BLOCK_BYTES || self.waits
    }

    fn clear(&mut self) {
        self.items.clear();
        self.payloads.clear();
        self.marks.clear();
        self.waits = false;
    }
}

enum Held {
    Interface(IfaceId, Option<Arc<Interface>>),
    /// A segment, and where its payload is.
    Segment(Segment<'static>, Range<usize>),
}

/// What happened to the packets up to an item.
#[derive(Default)]
struct Mark {
    /// How many items of the block there are up to it.
    items: usize,
    verdicts: Verdicts,
    /// What is to be said of the files, beyond what was said before.
    notes: Vec<String>,
}

/// The engine's end.
pub(super) struct Ahead {
    blocks: Receiver<Block>,
    emptied: SyncSender<Block>,
    thread: Option<JoinHandle<()>>,
    block: Block,
    /// How many items of the block were had.
    items: usize,
    /// Whether all that there is for now was had.
    is_waiting: bool,
    verdicts: Verdicts,
    notes: Vec<String>,
}

impl Ahead {
    /// Starts to read.
    pub(super) fn start(files: Files) -> io::Result<Self> {
        let (filled, blocks) = sync_channel(BLOCKS);
        let (emptied, empty) = sync_channel(BLOCKS);
        for _ in 1..BLOCKS {
            // There is room for all of them.
            let _ = emptied.try_send(Block::default());
        }
        let reader = Reader { files, told: Verdicts::default(), notes_told: 0 };
        let read = move || reader.run(&empty, &filled);
        let thread = thread::Builder::new().name("reader".to_owned()).spawn(read)?;
        Ok(Self {
            blocks,
            emptied,
            thread: Some(thread),
            block: Block::default(),
            items: 0,
            is_waiting: false,
            verdicts: Verdicts::default(),
            notes: Vec::new(),
        })
    }

    pub(super) fn next_item(&mut self) -> Result<Option<Item<'_>>, FileError> {
        while self.items == self.block.items.len() {
            if let Some((mark, result)) = self.block.over.take() {
                self.book(mark);
                return result.map(|()| None);
            }
            if std::mem::take(&mut self.block.waits) {
                self.is_waiting = true;
                return Ok(None);
            }
            self.next_block();
        }
        self.items += 1;
        if let Some(Held::Segment(..)) = self.block.items.get(self.items - 1) {
            self.verdicts.add(Verdict::HandedOver, 1);
        }
        if let Some(mark) = self.block.marks.pop_front_if(|mark| mark.items == self.items) {
            self.book(mark);
        }
        let Block { items, payloads, .. } = &self.block;
        Ok(items.get(self.items - 1).map(|item| match item {
            Held::Interface(iface, name) => Item::Interface(*iface, name.clone()),
            Held::Segment(segment, payload) => {
                let payload = payloads.get(payload.clone()).unwrap_or_default();
                Item::Segment(Segment { payload, ..*segment })
            }
        }))
    }

    pub(super) const fn is_waiting(&self) -> bool {
        self.is_waiting
    }

    /// It is the next item that is waited for.
    pub(super) const fn wait(&mut self) {
        self.is_waiting = false;
    }

    pub(super) const fn verdicts(&self) -> Verdicts {
        self.verdicts
    }

    pub(super) fn notes(&self) -> Vec<String> {
        self.notes.clone()
    }

    fn book(&mut self, mark: Mark) {
        self.verdicts = mark.verdicts;
        self.notes.extend(mark.notes);
    }

    fn next_block(&mut self) {
        let next = self.blocks.recv().unwrap_or_else(|RecvError| {
            // It ends without a word only where it has panicked.
            let ended = self.thread.take().map(JoinHandle::join);
            if let Some(Err(panic)) = ended {
                std::panic::resume_unwind(panic);
            }
            Block { over: Some((Mark::default(), Ok(()))), ..Block::default() }
        });
        let mut emptied = std::mem::replace(&mut self.block, next);
        emptied.clear();
        // There is room for all; a reader that is done needs none.
        let _ = self.emptied.try_send(emptied);
        self.items = 0;
    }
}

/// The thread's end.
struct Reader {
    files: Files,
    /// What the engine can tell by itself.
    told: Verdicts,
    notes_told: usize,
}

impl Reader {
    /// Reads until nothing is left, or nobody wants more.
    fn run(mut self, empty: &Receiver<Block>, filled: &SyncSender<Block>) {
        while let Ok(mut block) = empty.recv() {
            if self.files.is_waiting() {
                // What was read before is with the engine by now.
                self.files.wait();
            }
            while !block.is_full() && block.over.is_none() {
                if let Err(over) = self.read(&mut block) {
                    block.over = Some((self.mark(&block), over));
                }
            }
            let is_over = block.over.is_some();
            if filled.send(block).is_err() || is_over {
                break;
            }
        }
    }

    /// Adds an item; what ends them is the error.
    fn read(&mut self, block: &mut Block) -> Result<(), Result<(), FileError>> {
        let item = match self.files.next_item().map_err(Err)? {
            Some(Item::Interface(iface, name)) => Held::Interface(iface, name),
            Some(Item::Segment(segment)) => {
                let start = block.payloads.len();
                block.payloads.extend_from_slice(segment.payload);
                self.told.add(Verdict::HandedOver, 1);
                Held::Segment(Segment { payload: &[], ..segment }, start..block.payloads.len())
            }
            None => return self.pause(block),
        };
        block.items.push(item);
        if self.files.verdicts() != self.told {
            let mark = self.mark(block);
            block.marks.push_back(mark);
        }
        Ok(())
    }

    /// There is no item: more has to be waited for, or the next file is to be read.
    #[cold]
    fn pause(&mut self, block: &mut Block) -> Result<(), Result<(), FileError>> {
        block.waits = self.files.is_waiting();
        if block.waits || self.files.open_next().map_err(Err)? { Ok(()) } else { Err(Ok(())) }
    }

    fn mark(&mut self, block: &Block) -> Mark {
        self.told = self.files.verdicts();
        let notes = self.files.notes().split_off(self.notes_told);
        self.notes_told += notes.len();
        Mark { items: block.items.len(), verdicts: self.told, notes }
    }
}
