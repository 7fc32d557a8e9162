-- The endpoints that took longest to answer, at the end of the capture.
--
--   capture-agent run --iface eth0 --script examples/slowest_endpoints.lua
--   capture-agent read capture.pcap --script examples/slowest_endpoints.lua
--
-- An endpoint is a method, a host, and a path without its query. What is measured is how long it
-- took from the end of the request to the first byte of the response.

local SHOWN = 10 -- endpoints that are shown
local KEPT = 10000 -- endpoints that are told apart: there may be no end of paths

local endpoints, number, others = {}, 0, 0

function exchange(e)
  local request, wait = e.request, e.timing.wait_us
  if not request or not wait then
    return -- one of the two was not seen
  end
  local path = request.target:match("^[^?#]*")
  local name = ("%s %s%s"):format(request.method, request.host or "?", path)
  local endpoint = endpoints[name]
  if not endpoint then
    if number == KEPT then
      others = others + 1
      return
    end
    number = number + 1
    endpoint = { name = name, count = 0, sum = 0, most = 0 }
    endpoints[name] = endpoint
  end
  endpoint.count = endpoint.count + 1
  endpoint.sum = endpoint.sum + wait
  endpoint.most = math.max(endpoint.most, wait)
end

function finished()
  local sorted = {}
  for _, endpoint in pairs(endpoints) do
    sorted[#sorted + 1] = endpoint
  end
  table.sort(sorted, function(one, other)
    if one.most ~= other.most then
      return one.most > other.most
    end
    return one.name < other.name
  end)
  print("   longest       mean   times  endpoint")
  for n = 1, math.min(SHOWN, #sorted) do
    local it = sorted[n]
    local mean = it.sum / it.count
    print(("%7.2f ms %7.2f ms %7d  %s"):format(it.most / 1000, mean / 1000, it.count, it.name))
  end
  if others > 0 then
    print(others .. " exchanges of further endpoints are left out")
  end
end
