-- Notes an answer of a source that brought nothing to decide on.
-- KEYS: state hash
-- ARGV: wall ms, then what the answer showed: market ms, newest closed candle (0 for none), is over ('1' or '0')
if redis.call('HGET', KEYS[1], 'market_ms') ~= ARGV[2] then
  redis.call('HSET', KEYS[1], 'moved_at_ms', ARGV[1])
end
redis.call('HSET', KEYS[1], 'fetched_at_ms', ARGV[1], 'market_ms', ARGV[2], 'newest_ms', ARGV[3], 'is_over', ARGV[4])
