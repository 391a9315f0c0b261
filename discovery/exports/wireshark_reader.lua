-- The reader of the tables above. Everything works on the message as a Lua string `m` (bytes 1..#m); offsets in the
-- tables and in errors count from 0. It mirrors the engine's own parser: the same widths, limits and errors.
local MAX_DEPTH, MAX_LEAVES = 128, 65536

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

function WIDTH.Rest(width, _, cursor, stop, after)
  return math.min(stop - cursor - after, width.at_most or math.huge)
end

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
