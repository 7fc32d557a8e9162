-- Saves the first audio that is answered, and ends.
--
--   capture-agent run --iface eth0 --bodies=100MiB --script-dir . --script examples/save_audio.lua
--   capture-agent read capture.pcap --bodies=100MiB --script-dir . --script examples/save_audio.lua
--
-- --bodies says how much of a body is kept, --script-dir where the file goes. Its name is the
-- exchange's own, so nothing is ever written over: read a second time, the same capture ends with
-- an error that says that the file exists.

local extensions = {
  ["audio/aac"] = "aac",
  ["audio/flac"] = "flac",
  ["audio/mp4"] = "m4a",
  ["audio/mpeg"] = "mp3",
  ["audio/ogg"] = "ogg",
  ["audio/wav"] = "wav",
  ["audio/webm"] = "weba",
}

function exchange(e)
  local response = e.response
  if not response or response.status ~= 200 then
    return
  end
  local kind = (response.body.content_type or ""):lower():match("^audio/[%w.+-]+")
  if not kind then
    return
  end
  local name = ("audio-%s-%d.%s"):format(e.flow, e.index, extensions[kind] or "bin")
  local path, is_whole = e:save(name)
  local from = e.request and e.request.url or "a request that was not seen"
  print(("%s: %s from %s%s"):format(path, kind, from, is_whole and "" or ", a part of it"))
  stop()
end
