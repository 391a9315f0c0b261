-- The packet tree -----------------------------------------------------------------------------------------------------
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
