-- What a script finds instead of parts of Lua's own library: what would let it out of its
-- sandbox, hold it past its steps, or keep the agent busy in one call of C. The agent runs this
-- before the script; what is captured here as a local the script can't reach.

local agent = ...
local error, rawget, select, tostring, type =
  error, rawget, select, tostring, type
local concat, len = table.concat, string.len
local raw = {
  close = coroutine.close,
  collectgarbage = collectgarbage,
  create = coroutine.create,
  insert = table.insert,
  load = load,
  move = table.move,
  pcall = pcall,
  remove = table.remove,
  rep = string.rep,
  resume = coroutine.resume,
  setmetatable = setmetatable,
  wrap = coroutine.wrap,
}

-- What catches errors does not catch that a call has taken too many steps; and errors of the
-- agent are text, as others are.
local check, plain = agent.check, agent.plain

local function outcome(ok, ...)
  check()
  if ok then
    return true, ...
  end
  return false, plain((...))
end

function pcall(...)
  return outcome(raw.pcall(...))
end

-- The handler is called when the error is over: amid it nothing would count its steps.
local function handled(handler, ok, ...)
  check()
  if ok then
    return true, ...
  end
  return false, handler(plain((...)))
end

function xpcall(f, handler, ...)
  return handled(handler, raw.pcall(f, ...))
end

-- A coroutine has a count of its own until the agent looks at it, so that each one costs something.
local charge = agent.charge
function coroutine.create(f)
  charge()
  return raw.create(f)
end
function coroutine.wrap(f)
  charge()
  return raw.wrap(f)
end
function coroutine.resume(...)
  return outcome(raw.resume(...))
end
function coroutine.close(...)
  return outcome(raw.close(...))
end

-- Text alone: bytecode is not checked by Lua, and can do anything.
local function loaded(...)
  check()
  return ...
end
function load(chunk, name, mode, ...)
  if mode ~= nil and mode ~= "t" and mode ~= "bt" then
    return nil, "only text can be loaded"
  end
  if select("#", ...) > 0 then
    return loaded(raw.load(chunk, name, "t", (...)))
  end
  return loaded(raw.load(chunk, name, "t"))
end

-- Nobody counts the steps of a finalizer.
function setmetatable(value, metatable)
  if type(metatable) == "table" and rawget(metatable, "__gc") ~= nil then
    error("a script can't have __gc", 2)
  end
  return raw.setmetatable(value, metatable)
end

-- What a text is to Lua itself a script can't change.
getmetatable("").__metatable = false

-- Memory bounds how long a text is; where it takes none, nothing would bound how often it is written.
function string.rep(text, n, separator)
  if (type(text) == "string" and len(text) == 0) and (separator == nil or separator == "") then
    return ""
  end
  return raw.rep(text, n, separator)
end

-- Neither would anything bound how much of nothing is moved.
local most_moved = 1 << 24
function table.move(from, first, last, ...)
  if type(first) == "number" and type(last) == "number" and last - first >= most_moved then
    error("too many elements to move", 2)
  end
  return raw.move(from, first, last, ...)
end

-- Nor how far these go, where a table says itself how long it is.
for name in pairs { insert = true, remove = true } do
  table[name] = function(list, ...)
    if type(list) == "table" and #list >= most_moved then
      error("too many elements to move", 2)
    end
    return raw[name](list, ...)
  end
end

-- The agent sees to the garbage.
function collectgarbage(what)
  if what == "count" then
    return raw.collectgarbage("count")
  end
  return 0
end

local write = agent.write
function print(...)
  local texts = { ... }
  for n = 1, select("#", ...) do
    texts[n] = tostring(texts[n])
  end
  write(concat(texts, "\t"), "\n")
end

io = { open = agent.open, lines = agent.lines, write = write }
os = { time = os.time, clock = os.clock, date = os.date, difftime = os.difftime }
stop = agent.stop

dofile, loadfile, warn, string.dump = nil, nil, nil, nil
