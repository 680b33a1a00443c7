package redisstore

import (
	"context"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"
)

// script is a Lua script and its digest.
type script struct {
	source string
	sha    string
}

func newScript(source string) *script { return &script{source, redis.NewScript(source).Hash()} }

// scriptOp runs a script whose first key is the mark of the bucket.
type scriptOp struct {
	script *script
	keys   []string
	args   []any
	cmd    *redis.Cmd
	reply  any
}

func (o *scriptOp) key() string { return o.keys[0] }

func (o *scriptOp) add(ctx context.Context, p redis.Pipeliner, sendScript bool) {
	if sendScript {
		o.cmd = p.Eval(ctx, o.script.source, o.keys, o.args...)
		return
	}
	o.cmd = p.EvalSha(ctx, o.script.sha, o.keys, o.args...)
}

func (o *scriptOp) readReply() (err error) {
	o.reply, err = o.cmd.Result()
	return err
}

// code returns the reply of a script that returns one number.
func (o *scriptOp) code() (int64, error) {
	code, ok := o.reply.(int64)
	if !ok {
		return 0, errReplyFormat
	}
	return code, nil
}

// The scripts of sessions take the keys of sessionKeys in this order: 1 the mark, 2 the rows and the
// record, 3 the index by beginning, 4 the index by deadline. They work with Redis 6.2.

// readScript reads rows of a subject.
//
//	ARGV  ids
//
// It returns the time of the server in seconds and microseconds, the mark, the record, and the value
// of each id.
var readScript = newScript(`
local t = redis.call('TIME')
local out = {t[1], t[2], redis.call('GET', KEYS[1]), redis.call('HGET', KEYS[2], '')}
for i = 1, #ARGV do out[i + 4] = redis.call('HGET', KEYS[2], ARGV[i]) end
return out
`)

// pageScript reads the rows of a subject in the order of their beginning.
//
//	ARGV  1 "new" for the newest first, "old" for the oldest first, 2 beginning or "", and 3 id, of
//	      the row before the page, 4 number of rows
//
// It returns what readScript returns first, 1 if there are more rows or 0, and then the id, the
// beginning and the value of each row. The position is found by binary search, because the row
// before the page may be gone.
var pageScript = newScript(`
local function less(a, b) -- in bytes; the operator of Lua depends on the locale
  for i = 1, math.min(#a, #b) do
    local x, y = string.byte(a, i), string.byte(b, i)
    if x ~= y then return x < y end
  end
  return #a < #b
end

local index, began, id, n = KEYS[3], ARGV[2], ARGV[3], tonumber(ARGV[4])
local newest = ARGV[1] == 'new'
local range = newest and 'ZREVRANGE' or 'ZRANGE'
local start = 0
if began ~= '' then
  local past
  if newest then
    start, past = redis.call('ZCOUNT', index, '(' .. began, '+inf'), redis.call('ZCOUNT', index, began, '+inf')
  else
    start, past = redis.call('ZCOUNT', index, '-inf', '(' .. began), redis.call('ZCOUNT', index, '-inf', began)
  end
  while start < past do
    local middle = math.floor((start + past) / 2)
    local found = redis.call(range, index, middle, middle)[1]
    if (newest and less(found, id)) or (not newest and less(id, found)) then past = middle else start = middle + 1 end
  end
end

local members = redis.call(range, index, start, start + n, 'WITHSCORES')
local t = redis.call('TIME')
local out = {t[1], t[2], redis.call('GET', KEYS[1]), redis.call('HGET', KEYS[2], ''), #members > 2 * n and 1 or 0}
for i = 1, math.min(#members, 2 * n), 2 do
  out[#out + 1] = members[i]
  out[#out + 1] = members[i + 1]
  out[#out + 1] = redis.call('HGET', KEYS[2], members[i])
end
return out
`)

// pruneSource defines a function that examines at most limit rows whose deadline in the index is
// over. It takes a row out of the index by beginning when the session is over, and deletes it when
// nobody needs it any more.
const pruneSource = `
local function prune(rows, began, deadline, now, limit)
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', deadline, '-inf', now, 'LIMIT', 0, limit)) do
    redis.call('ZREM', began, id)
    local row = redis.call('HGET', rows, id)
    local keep = row and string.match(row, '^(%d+):')
    if keep and tonumber(keep) > now then
      redis.call('ZADD', deadline, keep, id)
    else
      redis.call('HDEL', rows, id)
      redis.call('ZREM', deadline, id)
    end
  end
end

local function milliseconds()
  local t = redis.call('TIME')
  return t[1] * 1000 + math.floor(t[2] / 1000)
end

-- extend makes Redis keep the key for at least so many milliseconds.
local function extend(key, keep)
  local left = redis.call('PTTL', key)
  if left == -1 or (left >= 0 and left < keep) then redis.call('PEXPIRE', key, keep) end
end
`

// pruneScript prunes.
//
//	ARGV  1 limit
var pruneScript = newScript(pruneSource + `
prune(KEYS[2], KEYS[3], KEYS[4], milliseconds(), tonumber(ARGV[1]))
return 0
`)

// commitScript makes the writes of a transaction if nothing that it has read was changed. It checks
// everything before it writes.
//
//	KEYS  5 the owed rows of the bucket, 6 and more: the entries of the blacklist, and then on a
//	      single server the stream
//	ARGV  1 the mark, 2 the epoch or "", 3 the version or "", 4 the life, as they were read
//	      5 the new epoch or "", 6 the digest of the subject, 7 how long the record stays at least
//	      8 the length of the stream, or "" on a Cluster
//	      9 number of rows that were read, and the id and the value of each, "" for an absent row
//	      then the number of rows to write, and of each the id, the value, the beginning or "" if
//	        the session is over, the deadline, the time until which it is kept, and "1" if it is owed
//	      then of each entry the arguments 1 to 5 of revokeSource
//
// It returns a code. A commit that changes nothing writes the record, so that WAIT covers it. A
// command that needs memory comes first: the server refuses it if it is out of memory, and nothing
// was written.
var commitScript = newScript(mergeSource + recordSource + pruneSource + `
local rows, began, deadline, owed = KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local mark = redis.call('GET', KEYS[1])
if not mark then return -1 end
local epoch, version, life = string.match(redis.call('HGET', rows, '') or '0:0:0', '^(%d+):(%d+):(%d+)$')
if not epoch then return -3 end
if mark ~= ARGV[1] or life ~= ARGV[4] or (ARGV[2] ~= '' and epoch ~= ARGV[2]) or (ARGV[3] ~= '' and version ~= ARGV[3]) then
  return -6
end
local at = 10
for _ = 1, tonumber(ARGV[9]) do
  if (redis.call('HGET', rows, ARGV[at]) or '') ~= ARGV[at + 1] then return -6 end
  at = at + 2
end
local puts, first = tonumber(ARGV[at]), at + 1
local entries = first + 6 * puts
local last = ARGV[8] == '' and #KEYS or #KEYS - 1
local function entry(k) return merge(KEYS[k], unpack(ARGV, entries + 5 * (k - 6), entries + 5 * (k - 6) + 4)) end
for k = 6, last do
  if not entry(k) then return -3 end
end

local now, longest = milliseconds(), tonumber(ARGV[7])
for i = first, entries - 1, 6 do
  local id, keep = ARGV[i], ARGV[i + 4]
  redis.call('ZADD', deadline, ARGV[i + 3], id)
  if ARGV[i + 2] == '' then
    redis.call('ZREM', began, id)
  else
    redis.call('ZADD', began, ARGV[i + 2], id)
  end
  if ARGV[i + 5] == '1' then
    redis.call('SADD', owed, ARGV[6] .. ':' .. id)
  else
    redis.call('SREM', owed, ARGV[6] .. ':' .. id)
  end
  redis.call('HSET', rows, id, ARGV[i + 1])
  longest = math.max(longest, keep - now + ARGV[7])
end
redis.call('HSET', rows, '', (ARGV[5] ~= '' and ARGV[5] or epoch) .. ':' .. string.format('%.0f', version + 1) .. ':' .. life)
for k = 6, last do
  local value, keep = entry(k)
  record(KEYS[k], value, keep)
  if last < #KEYS then appendEntry(KEYS[#KEYS], ARGV[8], KEYS[k], value) end
end
if puts > 0 then
  prune(rows, began, deadline, now, math.min(4 * puts, 100))
  extend(began, longest)
  extend(deadline, longest)
  extend(owed, longest)
end
extend(rows, longest)
return 0
`)

// forgetScript deletes the rows of a subject. The new life of the record makes transactions fail
// that have read the rows before.
//
//	ARGV  1 the mark as it was read, 2 how long the record stays at least
//
// It returns a code.
var forgetScript = newScript(pruneSource + `
local mark = redis.call('GET', KEYS[1])
if not mark then return -1 end
if mark ~= ARGV[1] then return -6 end
local epoch, version, life = string.match(redis.call('HGET', KEYS[2], '') or '0:0:0', '^(%d+):(%d+):(%d+)$')
if not epoch then return -3 end
local left = redis.call('PTTL', KEYS[2])
redis.call('UNLINK', KEYS[2], KEYS[3], KEYS[4])
redis.call('HSET', KEYS[2], '', epoch .. ':' .. string.format('%.0f', version + 1) .. ':' .. string.format('%.0f', life + 1))
extend(KEYS[2], math.max(left, tonumber(ARGV[2])))
return 0
`)

// owedScript returns the mark and at most ARGV[1] owed rows of a bucket, in any order.
//
//	KEYS  1 the mark, 2 the owed rows
var owedScript = newScript(`
local mark = redis.call('GET', KEYS[1])
return {mark, redis.call('SRANDMEMBER', KEYS[2], ARGV[1])}
`)

// paidScript takes a row out of the owed rows if it is gone.
//
//	KEYS  1 the mark, 2 the owed rows, 3 the rows
//	ARGV  1 the member, 2 the id
var paidScript = newScript(`
if not redis.call('HGET', KEYS[3], ARGV[2]) then redis.call('SREM', KEYS[2], ARGV[1]) end
return 0
`)

// codeChanged is the code of commitScript if something that was read has changed.
const codeChanged = -6

// recordStays is how long the record of a subject stays without a row, and after the last one.
const recordStays = time.Hour

var recordStaysArg = strconv.FormatInt(recordStays.Milliseconds(), 10)
