-- Takes or renews the lease of the leading beat, and tells the revision of the configuration on the way.
-- KEYS: leader, epoch, revision of the configuration
-- ARGV: own name, lease in milliseconds
-- Returns {epoch, revision}: 0 for the epoch while another one holds the lease, '' for a revision never set.
local revision = redis.call('GET', KEYS[3]) or ''
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then
  return {0, revision}
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
if holder then
  return {tonumber(redis.call('GET', KEYS[2]) or '1'), revision}
end
return {redis.call('INCR', KEYS[2]), revision}
