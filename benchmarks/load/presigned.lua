-- Requests that were signed beforehand, for wrk. Arguments after "--": method, file of their paths,
-- one a line, each of which is asked for once before the first comes again
local paths, counter = {}, 0
local method, body

function init(args)
  method = args[1]
  for line in io.lines(args[2]) do paths[#paths + 1] = line end
  if method == "PUT" then body = string.rep("x", 4096) end
end

function request()
  counter = counter + 1
  return wrk.format(method, paths[(counter - 1) % #paths + 1], nil, body)
end

dofile(debug.getinfo(1, "S").source:match("@(.*/)") .. "result.lua")
