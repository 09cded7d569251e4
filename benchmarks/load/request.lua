-- Requests for wrk. Arguments after "--": what, key, seed, file of object ids, pause between the
-- requests of a connection in milliseconds
local ids, counter = {}, 0
local what, seed, headers, padding, pause

local threads = 0
function setup(thread)
  threads = threads + 1
  thread:set("number", threads)
end

function init(args)
  what, seed = args[1], args[3]
  headers = { ["X-API-Key"] = args[2], ["Content-Type"] = "application/octet-stream" }
  padding = string.rep("x", 4096)
  if what == "unchanged" then headers["If-None-Match"] = "*" end
  for line in io.lines(args[4]) do ids[#ids + 1] = line end
  pause = tonumber(args[5])
  if pause == 0 then delay = nil end
end

-- Without it, wrk does not stop to think.
function delay()
  return pause
end

local target = "/v1/objects?namespace=bench&tenant_id=bench"

function request()
  counter = counter + 1
  if what == "get" or what == "unchanged" then
    local id = ids[(counter * 7919 + number) % #ids + 1]
    return wrk.format("GET", "/v1/objects/" .. id .. "?tenant_id=bench", headers)
  elseif what == "ranges" then
    -- A mebibyte of one large object, anywhere in its 256.
    local first = (counter * 7919 + number) % 255 * 1048576 + 12345
    headers["Range"] = string.format("bytes=%d-%d", first, first + 1048575)
    return wrk.format("GET", "/v1/objects/" .. ids[1] .. "?tenant_id=bench", headers)
  elseif what == "new" then
    local mark = string.format("%s-%d-%d-", seed, number, counter)
    return wrk.format("POST", target, headers, mark .. padding:sub(#mark + 1))
  elseif what == "stored" then
    return wrk.format("POST", target, headers, padding)
  elseif what == "list" then
    return wrk.format("GET", "/v1/objects?namespace=bench&tenant_id=bench&limit=100", headers)
  elseif what == "pages" then
    -- Pages that no two clients share, and of all but the same size.
    local limit = 93 + counter % 8
    return wrk.format("GET", "/v1/objects?namespace=bench&tenant_id=bench&limit=" .. limit, headers)
  elseif what == "delete" then
    local id = ids[counter]
    if id then
      return wrk.format("DELETE", "/v1/objects/" .. id .. "?tenant_id=bench", headers)
    end
    return wrk.format("GET", "/none-left") -- an error, which makes the run void
  end
end

dofile(debug.getinfo(1, "S").source:match("@(.*/)") .. "result.lua")
