-- Forgets cursor and window of a symbol, and the journal of candles after a time.
-- KEYS: state hash, window list, journal stream
-- ARGV: open time of the last candle whose journal entry stays, milliseconds
redis.call('DEL', KEYS[2])
redis.call('HDEL', KEYS[1], 'cursor_ms', 'market_ms', 'newest_ms', 'is_over', 'moved_at_ms', 'decisions', 'said_decisions',
  'said_ms', 'close', 'decided_at_ms')
local beyond = redis.call('XRANGE', KEYS[3], '(' .. ARGV[1] .. '-18446744073709551615', '+', 'COUNT', 1)
if #beyond == 0 then
  return 0
end
-- a stream takes no id below one that it ever had, so it is made anew
local kept = redis.call('XRANGE', KEYS[3], '-', ARGV[1] .. '-18446744073709551615')
local removed = redis.call('XLEN', KEYS[3]) - #kept
redis.call('DEL', KEYS[3])
for _, entry in ipairs(kept) do
  redis.call('XADD', KEYS[3], entry[1], unpack(entry[2]))
end
return removed
