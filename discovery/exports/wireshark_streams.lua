-- Streams: where each message of a segment ends ----------------------------------------------------------------------
-- Hand over messages one after another; size_of returns nil where more has to come before the size is told.
local function one_by_one(tvb, pinfo, root, size_of)
  local m, offset = tvb:raw(), 0
  while offset < #m do
    local size = size_of(m, offset)
    if not size then
      pinfo.desegment_offset, pinfo.desegment_len = offset, DESEGMENT_ONE_MORE_SEGMENT
      return
    end
    if offset + size > #m then
      pinfo.desegment_offset, pinfo.desegment_len = offset, offset + size - #m
      return
    end
    dissect(tvb(offset, size):tvb(), pinfo, root)
    offset = offset + size
  end
end

local function by_delimiter(framing, tvb, pinfo, root)
  one_by_one(tvb, pinfo, root, function(m, offset)
    local from = offset + 1
    local opening = framing.opening
    if opening ~= "" and m:sub(from, from + #opening - 1) == opening then from = from + #opening end
    local _, last = m:find(framing.delimiter, from, true)
    return last and last - offset
  end)
end

-- Each returns the number in a length field and its bytes: nil where more has to come, no number where it is none.
local TOLD = {}

function TOLD.ber(m, at)
  local first = m:byte(at + 1)
  if not first then return nil end
  if first < 128 then return first, 1 end
  local more = first - 128
  if more == 0 or more > 4 then return false, 1 end
  if #m < at + 1 + more then return nil end
  return unsigned(m, at + 1, more, false), 1 + more
end

local function sevens(low_first)
  return function(m, at, framing)
    local value, unit = 0, 1
    for i = 1, framing.width do
      local byte = m:byte(at + i)
      if not byte then return nil end
      if low_first then
        value, unit = value + (byte % 128) * unit, unit * 128
      else
        value = value * 128 + byte % 128
      end
      if byte < 128 then return value, i end
    end
    return false, framing.width
  end
end

TOLD.leb128 = sevens(true)
TOLD.vlq = sevens(false)

function TOLD.digits(m, at, framing)
  local text = m:match("^%d*", at + 1)
  if #text == 0 then return #m > at and false or nil, 1 end
  if #text > framing.width then return false, 1 end
  if #m == at + #text then return nil end
  return tonumber(text), #text
end

local function by_own_length(framing, tvb, pinfo, root)
  one_by_one(tvb, pinfo, root, function(m, offset)
    local value, size = TOLD[framing.encoding](m, offset + framing.offset, framing)
    if value == nil then return nil end
    if not value then return #m - offset end
    local head = framing.offset + size
    return math.max(head + value * framing.scale + framing.bias, head)
  end)
end

local function by_length(framing, tvb, pinfo, root)
  if TOLD[framing.encoding] then return by_own_length(framing, tvb, pinfo, root) end
  local head = framing.offset + framing.width
  local function size_of(buffer, _, offset)
    local m, at, value = buffer:raw(), offset + framing.offset, 0
    if framing.encoding == "uint" then
      value = unsigned(m, at, framing.width, framing.little)
      if framing.mask then value = band(value, framing.mask) end
    else
      value = tonumber(m:sub(at + 1, at + framing.width), framing.encoding == "hex" and 16 or 10) or 0
    end
    return math.max(value * framing.scale + framing.bias, head)
  end
  dissect_tcp_pdus(tvb, root, head, size_of, whole)
end

local function by_header(framing, tvb, pinfo, root)
  one_by_one(tvb, pinfo, root, function(m, offset)
    local _, last = m:find(framing.stop, offset + 1, true)
    if not last then return nil end
    local body = 0
    for line in m:sub(offset + 1, last):gmatch("[^\n]+") do
      if line:sub(1, #framing.name):lower() == framing.name then
        body = tonumber(line:match("^[ \t:=]*(%d+)", #framing.name + 1)) or body
      end
    end
    return last - offset + body
  end)
end

local function by_size(framing, tvb, pinfo, root)
  dissect_tcp_pdus(tvb, root, framing.size, function() return framing.size end, whole)
end

local FRAMERS = { length = by_length, delimiter = by_delimiter, fixed = by_size, header = by_header }

local function framing_of(pinfo)
  if FRAMING.kind ~= "directed" then return FRAMING end
  return pinfo.dst_port == CARRIER.number and FRAMING.client or FRAMING.server
end

function proto.dissector(tvb, pinfo, root)
  pinfo.cols.info:set(ABBREVIATION)
  local framing = CARRIER and CARRIER.kind == "tcp" and framing_of(pinfo)
  if framing and FRAMERS[framing.kind] then
    return FRAMERS[framing.kind](framing, tvb, pinfo, root)
  end
  return whole(tvb, pinfo, root)
end

local TABLES = { udp = "udp.port", tcp = "tcp.port", ethertype = "ethertype", ip = "ip.proto" }
if CARRIER then
  DissectorTable.get(TABLES[CARRIER.kind]):add(CARRIER.number, proto)
else
  DissectorTable.get("wtap_encap"):add(wtap.USER0, proto)
end
