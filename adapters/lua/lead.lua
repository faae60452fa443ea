-- Takes or renews the lease of the leading beat.
-- KEYS: leader, epoch
-- ARGV: own name, lease in milliseconds
-- Returns the epoch while the lease is ours, 0 while another one holds it.
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then
  return 0
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
if holder then
  return tonumber(redis.call('GET', KEYS[2]) or '1')
end
return redis.call('INCR', KEYS[2])
