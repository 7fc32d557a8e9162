-- Requests that do not say what sent them: a line for each, as it comes.
--
--   capture-agent run --iface eth0 --script examples/no_user_agent.lua
--   capture-agent read capture.pcap --script examples/no_user_agent.lua

local function value(headers, wanted)
  for _, header in ipairs(headers) do
    if header.name:lower() == wanted then
      return header.value
    end
  end
end

function exchange(e)
  local request = e.request
  if not request or request.state == "midstream" then
    return -- its head was not seen: it may have said so there
  end
  local agent = value(request.headers, "user-agent")
  if agent and agent:match("%S") then
    return
  end
  local status = e.response and e.response.status or "no answer"
  print(e.time, e.client.ip, request.method, request.url or request.target, status)
end
