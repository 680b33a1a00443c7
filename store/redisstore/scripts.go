package redisstore

import "github.com/redis/go-redis/v9"

// revoke puts an entry in force. One script for all kinds, so that the mark, the comparison and the write are one step
// of the server: no revocation lands beside a missing mark, none is shortened, no cut-off falls, and of any number of
// concurrent calls exactly one is told that it was the first.
//
//	KEYS  1 the mark, 2 the entry
//	ARGV  1 now, 2 cut-off or "*", 3 until or "-", 4 milliseconds to keep it or "-", 5 nonce,
//	      6 the mark to write where it is missing, or "" to refuse
//
// It returns 0, or 1 where the revocation was in force before, plus 2 where it wrote the mark; -1 where the mark is
// missing, -2 and -3 where the mark or the entry is of another format.
//
// The nonce is for a write whose reply was lost: the client sends it again, finds the entry that it put there itself,
// knows it by the nonce, and is not told that somebody else was first. So an entry keeps the nonce of whoever put it in
// force. The script always writes, also where nothing changes: WAIT covers the writes of its connection, and a retry that
// wrote nothing would be acknowledged while the first try's write is on its way to the replicas.
//
// It uses nothing beyond Redis 6.0.
const revokeSource = `
local function integer(s) return string.match(s, '^-?%d+$') end

local mark, made = redis.call('GET', KEYS[1]), 0
if not mark then
  if ARGV[6] == '' then return -1 end
  redis.call('SET', KEYS[1], ARGV[6])
  made = 2
elseif string.sub(mark, 1, 2) ~= '1:' then
  return -2
end

local cut, till, px, nonce = ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local keep, before = false, 0
local old = redis.call('GET', KEYS[2])
if old then
  local c, u, n = string.match(old, '^([^:]+):([^:]+):([^:]+)$')
  if not c or (c == '*') ~= (cut == '*') then return -3 end
  if (c ~= '*' and not integer(c)) or (u ~= '-' and not integer(u)) then return -3 end
  if u == '-' or tonumber(u) > tonumber(ARGV[1]) then
    if c == '*' or tonumber(c) >= tonumber(cut) then
      cut = c
      if n ~= nonce then before = 1 end
      nonce = n
    end
    if u == '-' or (till ~= '-' and tonumber(u) >= tonumber(till)) then
      till, keep = u, true
    end
  end
end

local value = cut .. ':' .. till .. ':' .. nonce
if keep then
  redis.call('SET', KEYS[2], value, 'KEEPTTL')
elseif px == '-' then
  redis.call('SET', KEYS[2], value)
else
  redis.call('SET', KEYS[2], value, 'PX', px)
end
return before + made
`

var revokeScript = redis.NewScript(revokeSource)

// What the script answers.
const (
	codeBefore      = 1
	codeMarkMade    = 2
	codeMarkMissing = -1
	codeMarkFormat  = -2
	codeEntryFormat = -3
)
