-- The reader of the tables above. Everything works on the message as a Lua string `m` (bytes 1..#m); offsets in the
-- tables and in errors count from 0. It mirrors the engine's own parser: the same widths, limits and errors.
local MAX_DEPTH, MAX_LEAVES = 32, 65536

local CLASSES = {
  space = "[ \t]", digit = "%d", letter = "[A-Za-z]", alnum = "[A-Za-z0-9]",
  printable = "[\032-\126]", zero = "\000", ff = "\255",
}

local function band(a, b)
  local result, place = 0, 1
  while a > 0 and b > 0 do
    if a % 2 == 1 and b % 2 == 1 then result = result + place end
    a, b, place = math.floor(a / 2), math.floor(b / 2), place * 2
  end
  return result
end

local function unsigned(m, start, size, little)
  local value = 0
  for i = 1, size do
    value = value * 256 + m:byte(start + (little and size - i + 1 or i))
  end
  return value
end

local function signed(value, size)
  return value >= 2 ^ (8 * size - 1) and value - 2 ^ (8 * size) or value
end

local function contains(values, value)
  for _, candidate in ipairs(values) do
    if candidate == value then return true end
  end
  return false
end

-- Guards ------------------------------------------------------------------------------------------------------------
local GUARD = {}

function GUARD.Value(guard, m)
  local start = guard.offset >= 0 and guard.offset or #m + guard.offset
  if start < 0 or start + guard.width > #m then return false end
  local part = m:sub(start + 1, start + guard.width)
  if guard.mask then
    local masked = {}
    for i = 1, #part do masked[i] = string.char(band(part:byte(i), guard.mask:byte(i))) end
    part = table.concat(masked)
  end
  return contains(guard.values, part)
end

function GUARD.Length(guard, m)
  return #m >= guard.minimum and (guard.maximum == nil or #m <= guard.maximum)
end

function GUARD.Text(guard, m)
  for i = 1, math.min(guard.bytes, #m) do
    local byte = m:byte(i)
    if not ((byte >= 32 and byte < 127) or byte == 9 or byte == 10 or byte == 13) then return false end
  end
  return true
end

function GUARD.Token(guard, m)
  local index, start = 0, nil
  for i = 1, #m + 1 do
    local separator = i > #m or guard.separators:find(m:sub(i, i), 1, true) ~= nil
    if not separator then
      start = start or i
    elseif start then
      if index == guard.index then
        local token = m:sub(start, i - 1)
        if guard.fold_case then token = token:upper() end
        return contains(guard.values, token)
      end
      index, start = index + 1, nil
    end
  end
  return false
end

-- Widths: each returns the number of bytes, or nil and a reason -------------------------------------------------------
local function fixed_width(element)
  return element.is == "Field" and element.width.is == "Fixed" and element.width.size or 0
end

local function reserved(elements, from)
  local total = 0
  for i = from, #elements do total = total + fixed_width(elements[i]) end
  return total
end

local WIDTH = {}

function WIDTH.Fixed(width) return width.size end

function WIDTH.FromLength(width, state, cursor)
  local value = state.numbers[width.field]
  if not value then return nil, width.field .. " was not read" end
  local amount = value * width.scale + width.bias
  if width.origin == "message" then return amount - cursor end
  return width.origin == "self" and amount or state.ends[width.field] + amount - cursor
end

function WIDTH.Rest(_, _, cursor, stop, after) return stop - cursor - after end

function WIDTH.Delimited(width, state, cursor, stop)
  local best, size
  for _, delimiter in ipairs(width.delimiters) do
    local at = state.m:find(delimiter, cursor + 1, true)
    if at and at - 1 + #delimiter <= stop and (not best or at < best or (at == best and #delimiter > size)) then
      best, size = at, #delimiter
    end
  end
  if best then return best - 1 - cursor + (width.include and size or 0) end
  if width.required then return nil, "no delimiter" end
  return stop - cursor
end

function WIDTH.Run(width, state, cursor, stop)
  local at = cursor
  while at < stop and state.m:sub(at + 1, at + 1):find(CLASSES[width.of]) do at = at + 1 end
  if at == cursor and width.required then return nil, "no " .. width.of end
  return at - cursor
end

function WIDTH.SelfDelimiting(width, state, cursor, stop)
  local m, at = state.m, cursor
  local function byte() return at < stop and m:byte(at + 1) or nil end
  if width.form == "ber_length" then
    local first = byte()
    if first and first >= 128 then at = at + first - 128 end
    return at + 1 - cursor
  end
  if width.form == "labels" then
    while byte() and byte() > 0 and byte() < 192 do at = at + byte() + 1 end
    return at + ((byte() or 0) >= 192 and 2 or 1) - cursor
  end
  if width.form == "ber_tag" then
    local first = byte()
    if first and first % 32 ~= 31 then return 1 end
    at = at + 1
  end
  while byte() and byte() >= 128 and at - cursor < 9 do at = at + 1 end
  return at + 1 - cursor
end

-- Reading -------------------------------------------------------------------------------------------------------------
local function malformed(cursor, reason) error({ offset = cursor, reason = reason }, 0) end

local function decode(field, m, start, size)
  if field.encoding == "uint" or field.encoding == "int" then
    if size == 0 then return 0 end
    if size > 8 then return nil end
    local value = unsigned(m, start, size, field.endianness == "little")
    return field.encoding == "int" and signed(value, size) or value
  elseif field.encoding == "ber_length" then
    local first = m:byte(start + 1)
    return first < 128 and first or unsigned(m, start + 1, size - 1, false)
  elseif field.encoding == "leb128" then
    local value = 0
    for i = size, 1, -1 do value = value * 128 + m:byte(start + i) % 128 end
    return value
  end
end

local read, read_field, read_repeat

local function enter(state, holder, cursor, stop, path, tree)
  if state.depth >= MAX_DEPTH then malformed(cursor, "nested too deeply") end
  state.depth = state.depth + 1
  cursor = read(state, holder.group and GROUPS[holder.group] or holder.elements or {}, cursor, stop, path, tree)
  state.depth = state.depth - 1
  return cursor
end

local function leaf(state, tree, path, field, start, stop)
  if state.count >= MAX_LEAVES then malformed(start, "too many fields") end
  if stop > start then
    state.count = state.count + 1
    state.add(tree, path, field, start, stop - start)
  end
end

function read(state, elements, cursor, stop, path, tree)
  for i, element in ipairs(elements) do
    if element.is == "Field" then
      cursor = read_field(state, element, reserved(elements, i + 1), cursor, stop, path, tree)
    elseif element.is == "Repeat" then
      cursor = read_repeat(state, element, reserved(elements, i + 1), cursor, stop, path, tree)
    else
      local value = state.numbers[element.field]
      if not value then malformed(cursor, element.field .. " was not read") end
      if element.mask ~= -1 then value = band(value, element.mask) end
      local chosen = { elements = element.default }
      for _, case in ipairs(element.cases) do
        if contains(case.values, value) then chosen = case break end
      end
      cursor = enter(state, chosen, cursor, stop, path, tree)
    end
  end
  return cursor
end

function read_field(state, field, after, cursor, stop, path, tree)
  local size, reason = WIDTH[field.width.is](field.width, state, cursor, stop, after)
  if not size then malformed(cursor, reason) end
  if size < 0 or cursor + size > stop then malformed(cursor, field.name .. " does not fit") end
  local finish = cursor + size
  local value = decode(field, state.m, cursor, size)
  if value then state.numbers[field.name], state.ends[field.name] = value, finish end
  local name = path .. "." .. field.name
  if field.group or field.elements and #field.elements > 0 then
    local inner = state.open(tree, field.name, cursor, size)
    local rest = enter(state, field, cursor, finish, name, inner)
    leaf(state, inner, name, nil, rest, finish)
  else
    leaf(state, tree, name, field, cursor, finish)
  end
  return finish
end

function read_repeat(state, item, after, cursor, stop, path, tree)
  local limit, items, wanted = stop - after, 0, item.maximum or 65536
  local by_count = item.stop.is == "Times"
  if by_count then
    local value = state.numbers[item.stop.field]
    if not value then malformed(cursor, item.stop.field .. " was not read") end
    local count = value + item.stop.bias
    if count < 0 or count > wanted then malformed(cursor, "too many items of " .. item.name) end
    wanted = count
  end
  while items < wanted do
    if not by_count and cursor >= limit then break end
    local mark = item.stop.is == "Until" and item.stop.bytes
    if mark and state.m:sub(cursor + 1, cursor + #mark) == mark then break end
    local before = cursor
    cursor = enter(state, item, cursor, limit, path .. "." .. item.name, tree)
    items = items + 1
    if cursor == before and not by_count then malformed(cursor, item.name .. " reads nothing") end
  end
  return cursor
end

local function type_of(m)
  for _, kind in ipairs(TYPES) do
    local holds = true
    for _, guard in ipairs(kind.guards) do
      if not GUARD[guard.is](guard, m) then holds = false break end
    end
    if holds then return kind end
  end
end

-- Wireshark ------------------------------------------------------------------------------------------------------------
-- A name that Wireshark already uses (`dns`, `modbus`) is kept apart by a suffix.
local made, proto = pcall(Proto, PROTOCOL, PROTOCOL)
local ABBREVIATION = made and PROTOCOL or PROTOCOL .. "_qbitel"
if not made then proto = Proto(ABBREVIATION, ABBREVIATION) end

local NUMBERS = { [1] = "uint8", [2] = "uint16", [3] = "uint24", [4] = "uint32", [8] = "uint64" }
local fields = {
  type = ProtoField.string(ABBREVIATION .. ".type", "type"),
  unparsed = ProtoField.bytes(ABBREVIATION .. ".unparsed", "unparsed"),
  payload = ProtoField.bytes(ABBREVIATION .. ".payload", "payload"),
  region = ProtoField.none(ABBREVIATION .. ".region", "region"),
}

local function constructor(field)
  local size = field.width.is == "Fixed" and field.width.size
  if field.encoding == "uint" and NUMBERS[size] then return ProtoField[NUMBERS[size]] end
  if field.encoding == "ascii" or field.encoding == "utf8" then return ProtoField.string end
  return ProtoField.bytes
end

local function declare(elements, path)
  for _, element in ipairs(elements or {}) do
    local name = element.is == "Switch" and path or path .. "." .. element.name
    if element.is == "Field" and not element.group and not (element.elements and #element.elements > 0) then
      if not fields[name] then fields[name] = constructor(element)(ABBREVIATION .. "." .. name, element.name) end
    elseif element.is == "Switch" then
      for _, case in ipairs(element.cases) do declare(case.elements, name) end
      declare(element.default, name)
    else
      declare(element.elements, name)
    end
  end
end

for _, kind in ipairs(TYPES) do declare(kind.elements, kind.name) end
-- Fields inside a group may stand at any depth of any type: they are declared once, under the group's name.
local group_of = {}
for name, elements in pairs(GROUPS) do
  declare(elements, name)
end
proto.fields = fields

local function field_for(path, field)
  if not field then return fields.payload end
  if fields[path] then return fields[path] end
  if not group_of[field] then
    for name, elements in pairs(GROUPS) do
      local suffix = name .. "." .. field.name
      if fields[suffix] then
        for _, element in ipairs(elements) do
          if element == field then group_of[field] = fields[suffix] end
        end
      end
    end
    group_of[field] = group_of[field] or fields.payload
  end
  return group_of[field]
end

local function dissect(tvb, pinfo, root)
  local m = tvb:raw()
  local kind = type_of(m)
  local name = kind and kind.name or "unknown"
  local tree = root:add(proto, tvb(), PROTOCOL .. ", " .. (kind and kind.label and kind.label or name))
  tree:add(fields.type, name):set_generated()
  pinfo.cols.protocol = ABBREVIATION
  pinfo.cols.info:append(" " .. name)
  if not kind then
    tree:add(fields.unparsed, tvb())
    return #m
  end
  local state = { m = m, numbers = {}, ends = {}, depth = 0, count = 0 }
  function state.add(node, path, field, start, size)
    local target = field_for(path, field)
    if field and field.encoding == "uint" and field.endianness == "little" and NUMBERS[size] then
      node:add_le(target, tvb(start, size))
    else
      node:add(target, tvb(start, size))
    end
  end
  function state.open(node, title, start, size)
    if size == 0 then return node end
    local inner = node:add(fields.region, tvb(start, size))
    inner:set_text(title)
    return inner
  end
  local good, result = pcall(read, state, kind.elements or {}, 0, #m, kind.name, tree)
  local cursor, reason = 0, nil
  if good then
    cursor, reason = result, result < #m and "bytes left over" or nil
  elseif type(result) == "table" then
    cursor, reason = result.offset, result.reason
  else
    error(result, 0)
  end
  if cursor < #m then tree:add(fields.unparsed, tvb(cursor)) end
  if reason then tree:add_expert_info(PI_MALFORMED, PI_WARN, "byte " .. cursor .. ": " .. reason) end
  return #m
end

local function whole(tvb, pinfo, root)
  if tvb:captured_len() == 0 then return 0 end
  return dissect(tvb, pinfo, root)
end

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

local function masked(value, mask)
  if not mask then return value end
  local kept, bit = 0, 1
  while value > 0 and mask > 0 do
    if value % 2 == 1 and mask % 2 == 1 then kept = kept + bit end
    value, mask, bit = math.floor(value / 2), math.floor(mask / 2), bit * 2
  end
  return kept
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
      value = masked(unsigned(m, at, framing.width, framing.little), framing.mask)
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
