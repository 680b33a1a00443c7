package redisstore

import "github.com/redis/go-redis/v9"

// mergeSource defines two functions that all scripts which revoke use.
//
// merge returns what an entry becomes: the value, how long Redis keeps it in milliseconds, "-" for
// ever or "KEEPTTL" as long as before, and 1 if the revocation was in force before, else 0. It
// returns nil if the entry has another format. It writes nothing. record writes the entry.
const mergeSource = `
local function integer(s) return string.match(s, '^-?%d+$') end

local function merge(key, now, cut, till, keep, tail)
  local place, nonce = string.match(tail, '^([^:]+):([^:]+)$')
  local before = 0
  local old = redis.call('GET', key)
  if old then
    local c, u, n = string.match(old, '^([^:]+):([^:]+):[^:]+:([^:]+)$')
    if not c or (c == '*') ~= (cut == '*') then return nil end
    if (c ~= '*' and not integer(c)) or (u ~= '-' and not integer(u)) then return nil end
    if u == '-' or tonumber(u) > tonumber(now) then
      if c == '*' or tonumber(c) >= tonumber(cut) then
        cut = c
        if n ~= nonce then before = 1 end
        nonce = n
      end
      if u == '-' or (till ~= '-' and tonumber(u) >= tonumber(till)) then
        till, keep = u, 'KEEPTTL'
      end
    end
  end
  return cut .. ':' .. till .. ':' .. place .. ':' .. nonce, keep, before
end

local function record(key, value, keep)
  if keep == 'KEEPTTL' then
    redis.call('SET', key, value, 'KEEPTTL')
  elseif keep == '-' then
    redis.call('SET', key, value)
  else
    redis.call('SET', key, value, 'PX', keep)
  end
end
`

// revokeSource is the script that records a revocation. It checks the mark, compares with the old
// entry and writes in one step of the server. So no entry exists without a mark, no entry is
// shortened, no cut-off is lowered, and exactly one of any number of concurrent calls is the first.
//
//	KEYS  1 the mark, 2 the entry, and on a single server 3 the stream
//	ARGV  1 now, 2 cut-off or "*", 3 until or "-", 4 milliseconds to keep it or "-", 5 place
//	      and nonce, 6 what every mark begins with, 7 the time of the mark to write if it is missing,
//	      or "" to refuse, 8 the length of the stream, 9 "1" if a record of the entry is wanted
//
// It returns a code: 0, plus 1 if the revocation was in force before, plus 2 if it wrote the mark;
// -1 if the mark is missing, -2 or -3 if the mark or the entry has another format, -4 if the mark
// has version 1, -5 if it was made with another HMAC key.
//
// The nonce is for a write whose reply was lost. The client sends the write again and finds the
// entry of the first try. The nonce identifies it, so the retry does not report "in force before".
// For this an entry keeps the nonce of the call that put it in force.
//
// The script always writes, even if nothing changes: WAIT covers the writes of its connection, and
// a retry that wrote nothing would be acknowledged while the first write is still on its way to the
// replicas.
//
// The script works with Redis 6.2.
const revokeSource = mergeSource + recordSource + `
local mark, head, made = redis.call('GET', KEYS[1]), ARGV[6], 0
if not mark then
  if ARGV[7] == '' then return -1 end
  redis.call('SET', KEYS[1], head .. ARGV[7])
  if KEYS[3] then append(KEYS[3], ARGV[8], 'g:' .. ARGV[7]) end
  made = 2
elseif string.sub(mark, 1, #head) ~= head then
  if string.sub(mark, 1, 2) == '1:' then return -4 end
  if string.sub(mark, 1, 2) == string.sub(head, 1, 2) and string.sub(mark, #head, #head) == ':' then return -5 end
  return -2
end

local value, keep, before = merge(KEYS[2], ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5])
if not value then return -3 end
record(KEYS[2], value, keep)
if KEYS[3] and ARGV[9] == '1' then appendEntry(KEYS[3], ARGV[8], KEYS[2], value) end
return before + made
`

var revokeScript = redis.NewScript(revokeSource)

// The codes that the script returns.
const (
	codeRecorded    = 0
	codeBefore      = 1
	codeMarkMade    = 2
	codeMarkMissing = -1
	codeMarkFormat  = -2
	codeEntryFormat = -3
	codeVersion1    = -4
	codeOtherKey    = -5
)
