-- Send the requests of an order to an HTTP server as fast as answers come; end with one line of JSON.
--
-- wrk calls these functions: wrk -t1 -c CLIENTS -d SECONDS -s api.lua URL -- ORDER FIRST_NUMBER [LINES]
-- ORDER is a file: method, path, headers, an empty line, the body. In path and body, {number} is a number that no
-- other request of this run has, {line} the next line of the file LINES. There is one thread, so there is one counter.

local template, lines, number

local function read(path)
  local file = assert(io.open(path, "rb"))
  local text = file:read("*a")
  file:close()
  return text
end

function init(args)
  local head, body = read(args[1]):match("^(.-)\n\n(.*)$")
  local method, path, headers = head:match("^([^\n]+)\n([^\n]+)\n?(.*)$")
  template = { method = method, path = path, body = body ~= "" and body or nil }
  for name, value in headers:gmatch("([^:\n]+): ([^\n]+)") do
    wrk.headers[name] = value
  end
  number = tonumber(args[2])
  if args[3] then
    lines = {}
    for line in read(args[3]):gmatch("[^\n]+") do
      lines[#lines + 1] = line
    end
  end
  varies = lines ~= nil or path:find("{number}", 1, true) or body:find("{number}", 1, true)
  fixed = wrk.format(template.method, template.path, nil, template.body)
  used = 0
end

local function filled(text)
  return (text:gsub("{(%l+)}", { number = tostring(number), line = lines and lines[used] }))
end

function request()
  if not varies then
    return fixed
  end
  number = number + 1
  used = used + 1
  if lines and used > #lines then
    used = #lines
    wrk.thread:stop()
  end
  return wrk.format(template.method, filled(template.path), nil, template.body and filled(template.body))
end

function done(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format(
    '\n{"requests": %d, "seconds": %.6f, "p50_ms": %.6f, "p99_ms": %.6f, "refused": %d, "lost": %d}\n',
    summary.requests, summary.duration / 1e6, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
    errors.status, errors.connect + errors.read + errors.write + errors.timeout
  ))
end
