-- Begins a symbol, or begins it anew: the window is replaced, the journal kept.
-- KEYS: state hash, window list, hash of latest prices
-- ARGV: cursor ms, desired state, timeframe, symbol, close of the last candle ('' for none), then packed candles
redis.call('DEL', KEYS[2])
redis.call('HSET', KEYS[1], 'cursor_ms', ARGV[1], 'desired', ARGV[2], 'exposure', '1', 'regime', 'unknown',
  'timeframe', ARGV[3], 'candles', '0')
redis.call('HDEL', KEYS[1], 'market_ms', 'newest_ms', 'is_over', 'moved_at_ms')
if ARGV[5] ~= '' then
  redis.call('HSET', KEYS[3], ARGV[4], ARGV[5])
end
for i = 6, #ARGV do
  redis.call('RPUSH', KEYS[2], ARGV[i])
end
return #ARGV - 5
