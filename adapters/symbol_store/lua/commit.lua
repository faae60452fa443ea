-- Ends a batch: window, journal, cursor and events move together or not at all.
-- KEYS: state hash, window list, journal stream, events stream (its name is the pub/sub channel too), hash of latest prices
-- ARGV: window limit, journal limit, events limit, wall ms, timeframe, exposure ('1', '0', or '' to keep),
--       candle count, cursor that the batch was fetched after, what its answer showed
--       (market ms, newest closed candle, is over; '' to keep what is known), what was wanted of the symbol (desired
--       state, quarantine), digest of the configuration, symbol, then for each candle open_ms, packed candle, decisions as JSON,
--       whether they say something ('1' or '0'), regime, close, then the events as JSON
local window_limit, journal_limit, events_limit = ARGV[1], ARGV[2], ARGV[3]
local wall_ms, timeframe, exposure, count = ARGV[4], ARGV[5], ARGV[6], tonumber(ARGV[7])
local cursor = tonumber(redis.call('HGET', KEYS[1], 'cursor_ms') or '0')
local is_joined = cursor >= tonumber(ARGV[8])  -- else the store lost what lies between
local market_ms, newest_ms, is_over = ARGV[9], ARGV[10], ARGV[11]
local desired, quarantine, config = ARGV[12], ARGV[13], ARGV[14]
local symbol = ARGV[15]
local fresh, at, last_close = 0, 16, nil
for _ = 1, count do
  local open_ms, packed, decisions, has_news, regime, close = unpack(ARGV, at, at + 5)
  at = at + 6
  if is_joined and tonumber(open_ms) > cursor then
    redis.call('RPUSH', KEYS[2], packed)
    -- refused only where a journal outlived its cursor: then it holds this candle already
    redis.pcall('XADD', KEYS[3], 'MAXLEN', '~', journal_limit, open_ms .. '-0', 'decisions', decisions,
      'regime', regime, 'candle', packed, 'as_of_ms', market_ms, 'at_ms', wall_ms, 'timeframe', timeframe,
      'desired', desired, 'quarantine', quarantine, 'config', config)
    redis.call('HSET', KEYS[1], 'cursor_ms', open_ms, 'decisions', decisions, 'regime', regime, 'close', close,
      'decided_at_ms', wall_ms)
    if has_news == '1' then
      redis.call('HSET', KEYS[1], 'said_decisions', decisions, 'said_ms', open_ms)
    end
    cursor = tonumber(open_ms)
    fresh = fresh + 1
    last_close = close
  end
end
if fresh > 0 then
  redis.call('LTRIM', KEYS[2], -window_limit, -1)
  redis.call('HINCRBY', KEYS[1], 'candles', fresh)
  redis.call('HSET', KEYS[5], symbol, last_close)
  if exposure ~= '' then
    redis.call('HSET', KEYS[1], 'exposure', exposure)
  end
end
local known_ms = redis.call('HGET', KEYS[1], 'market_ms')
-- without a new candle it may be an old message that comes again: then it knows less than what is known
if fresh > 0 or (market_ms ~= '' and tonumber(market_ms) >= tonumber(known_ms or '0')) then
  redis.call('HSET', KEYS[1], 'fetched_at_ms', wall_ms)
  if market_ms ~= '' then
    redis.call('HSET', KEYS[1], 'market_ms', market_ms, 'newest_ms', newest_ms, 'is_over', is_over)
    if market_ms ~= known_ms then
      redis.call('HSET', KEYS[1], 'moved_at_ms', wall_ms)
    end
  end
end
for i = at, #ARGV do
  redis.call('XADD', KEYS[4], 'MAXLEN', '~', events_limit, '*', 'event', ARGV[i], 'at_ms', wall_ms)
  redis.call('PUBLISH', KEYS[4], ARGV[i])
end
return fresh
