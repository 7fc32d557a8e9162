//! How many steps (instructions of Lua) a call may take.
//!
//! Invariants: a script that has taken too many never goes on, whatever it does about the error:
//! from then on each step is one too many, and what catches errors (the prelude's `pcall` and its
//! like) does not catch this one. Coroutines have the same count.
//!
//! The hook is set past mlua: where its own has a hook fail, it closes the variables of the function
//! that was at work (`local x <close>`) amid the hook, where nothing counts the steps of that.

use std::ffi::{CStr, c_int, c_void};
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, Ordering};

use mlua::{Error, Lua, ffi};

/// Steps between two looks at the count, at most: often enough to be exact, and free.
const PERIOD: u64 = 1_000;

/// Calls of which it is looked for the script's own line.
const DEEPEST: c_int = 20;

/// Its address is what the count is found by in Lua's registry.
static KEY: u8 = 0;

/// The count.
#[derive(Clone, Debug)]
pub(super) struct Steps(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    limit: u64,
    taken: AtomicU64,
    is_spent: AtomicBool,
    /// The script's line at which that was noticed; 0 where it was at none.
    line: AtomicI32,
    /// What the script's own lines are told by.
    chunk: String,
}

impl Steps {
    pub(super) fn new(limit: u64, chunk: &str) -> Self {
        Self(Arc::new(Inner {
            limit,
            taken: AtomicU64::new(0),
            is_spent: AtomicBool::new(false),
            line: AtomicI32::new(0),
            chunk: chunk.to_owned(),
        }))
    }

    /// Counts from now on. The count must live as long as Lua does: it is among its host's data.
    pub(super) fn watch(&self, lua: &Lua) -> mlua::Result<()> {
        let inner: *const Inner = &raw const *self.0;
        let period = c_int::try_from(self.0.period()).unwrap_or(c_int::MAX);
        // SAFETY: it pushes one value and takes it away; the pointer is that of a count which lives
        // as long as Lua, and the hook only ever reads it.
        unsafe {
            lua.exec_raw::<()>((), |state| {
                ffi::lua_pushlightuserdata(state, inner.cast_mut().cast());
                ffi::lua_rawsetp(state, ffi::LUA_REGISTRYINDEX, key());
                ffi::lua_sethook(state, Some(count), ffi::LUA_MASKCOUNT, period);
            })
        }
    }

    /// A call begins: all its steps are before it.
    pub(super) fn begin(&self, lua: &Lua) -> mlua::Result<()> {
        self.0.taken.store(0, Ordering::Relaxed);
        if self.0.is_spent.swap(false, Ordering::Relaxed) {
            self.0.line.store(0, Ordering::Relaxed);
            self.watch(lua)?;
        }
        Ok(())
    }

    /// Counts what no hook sees: a coroutine begins a count of its own.
    pub(super) fn charge(&self) -> mlua::Result<()> {
        self.0.add();
        self.check()
    }

    /// Fails where too many steps have been taken.
    pub(super) fn check(&self) -> mlua::Result<()> {
        if !self.0.is_spent.load(Ordering::Relaxed) {
            return Ok(());
        }
        let Inner { limit, chunk, line, .. } = &*self.0;
        let place = match line.load(Ordering::Relaxed) {
            0 => String::new(),
            line => format!("{chunk}:{line}: "),
        };
        let text = format!("{place}more than {limit} steps in one call (--script-steps)");
        Err(Error::RuntimeError(text))
    }
}

impl Inner {
    fn period(&self) -> u64 {
        self.limit.clamp(1, PERIOD)
    }

    /// Counts as many steps as lie between two looks; whether they are too many.
    fn add(&self) -> bool {
        let period = self.period();
        let taken = self.taken.fetch_add(period, Ordering::Relaxed).saturating_add(period);
        if taken > self.limit {
            self.is_spent.store(true, Ordering::Relaxed);
        }
        self.is_spent.load(Ordering::Relaxed)
    }
}

fn key() -> *const c_void {
    (&raw const KEY).cast()
}

/// Is called by Lua whenever so many steps have been taken.
unsafe extern "C-unwind" fn count(state: *mut ffi::lua_State, ar: *mut ffi::lua_Debug) {
    // SAFETY: Lua calls a hook with a state of its own that has room for some values on its stack,
    // and `ar` for this hook. What lies under the key is null or a count that outlives Lua. Nothing
    // here is to be dropped when `lua_error` leaves by the way that errors of Lua go.
    unsafe {
        ffi::lua_rawgetp(state, ffi::LUA_REGISTRYINDEX, key());
        let inner: *const Inner = ffi::lua_touserdata(state, -1).cast_const().cast();
        ffi::lua_settop(state, -2);
        let Some(inner) = inner.as_ref() else { return };
        let was_spent = inner.is_spent.load(Ordering::Relaxed);
        if !inner.add() {
            return;
        }
        if !was_spent {
            let mut level = 0;
            // What is at work may be of the prelude: then who has called it.
            while level < DEEPEST && ffi::lua_getstack(state, level, ar) != 0 {
                ffi::lua_getinfo(state, c"Sl".as_ptr(), ar);
                let source = CStr::from_ptr((&raw const (*ar).short_src).cast());
                if source.to_bytes() == inner.chunk.as_bytes() {
                    inner.line.store((*ar).currentline, Ordering::Relaxed);
                    break;
                }
                level += 1;
            }
        }
        // Not one more: what is run while the error goes up, as `__close` is, ends at once.
        ffi::lua_sethook(state, Some(count), ffi::LUA_MASKCOUNT, 1);
        // Nothing that takes memory or has a metatable: this may be all there is.
        ffi::lua_pushlightuserdata(state, ptr::null_mut());
        ffi::lua_error(state)
    }
}
