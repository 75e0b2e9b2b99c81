#!lua name=campus
-- The authorization as a Redis function, in the order of docs/reference/decisions.md. Money is fen,
-- times are microseconds UTC. Hashes: t:TERMINAL, m:MERCHANT, g:CATEGORY, c:TOKEN, a:ACCOUNT, and
-- j:TERMINAL:BATCH with a field for each key. One account and one field of the journal are written.

local function number(text) return tonumber(text) or 0 end

local function meal_at(minute, today)
    if minute < 300 then return 4, today - 1 end
    if minute >= 1260 then return 4, today end
    if minute < 600 then return 1, today end
    if minute < 870 then return 2, today end
    return 3, today
end

local function checks(terminal, merchant, category, tap, found)
    if terminal[1] ~= '1' then return 'TERMINAL_SUSPENDED' end
    if merchant[1] ~= '1' then return 'MERCHANT_INVALID' end
    local card = redis.call('HMGET', 'c:' .. tap.token, 'account', 'state', 'lost', 'frozen', 'expires')
    if not card[1] or card[2] == '6' then return 'CARD_UNKNOWN' end
    found.id = card[1]
    local a = redis.call('HMGET', 'a:' .. found.id, 'status', 'online', 'subsidy', 'held', 'day_limit',
        'meal_limit', 'pin', 'fails', 'day', 'day_used', 'meal_day', 'meal', 'meal_used')
    found.online, found.subsidy, found.fails = number(a[2]), number(a[3]), number(a[8])
    local local_s = math.floor(tap.now / 1000000) + 28800
    local today = math.floor(local_s / 86400)
    if card[2] == '4' or card[2] == '5' then return 'CARD_VOID' end
    if card[3] == '1' then return 'CARD_LOST' end
    if card[4] == '1' then return 'CARD_FROZEN' end
    if card[5] ~= '0' and today >= number(card[5]) then return 'CARD_EXPIRED' end
    if card[2] == '1' or card[2] == '2' then return 'CARD_NOT_ACTIVE' end
    if a[1] == '3' or a[1] == '4' then return 'ACCOUNT_CLOSED' end
    if a[1] == '2' then return 'ACCOUNT_SUSPENDED' end
    if found.online < 0 then return 'ACCOUNT_DEBT' end
    if category[1] ~= '1' then return 'CATEGORY_NOT_ALLOWED' end
    local most = number(terminal[3])
    if tap.amount < 1 or tap.amount > 100000000 or (most ~= 0 and tap.amount > most) then
        return 'AMOUNT_INVALID'
    end
    local counts_day, counts_meal, subsidized = category[2] == '1', category[3] == '1', category[4] == '1'
    if found.online - number(a[4]) + (subsidized and found.subsidy or 0) < tap.amount then
        return 'INSUFFICIENT'
    end
    local meal, began = meal_at(math.floor(local_s % 86400 / 60), today)
    local day_used = number(a[9]) == today and number(a[10]) or 0
    local meal_used = number(a[11]) == began and number(a[12]) == meal and number(a[13]) or 0
    found.day_used, found.meal_used = day_used, meal_used
    if (counts_day and day_used + tap.amount > number(a[5]))
            or (counts_meal and meal_used + tap.amount > number(a[6])) then
        if tap.pin == '' then
            found.pending = terminal[2] == '1'
            return 'PIN_REQUIRED'
        end
        if found.fails >= 3 then return 'PIN_LOCKED' end
        if a[7] == '' then return 'PIN_NOT_SET' end
        if redis.sha1hex('campus' .. found.id .. ':' .. tap.pin) ~= a[7] then
            redis.call('HSET', 'a:' .. found.id, 'fails', found.fails + 1)
            return 'PIN_WRONG'
        end
        found.fails = 0
    end
    found.part = subsidized and math.min(found.subsidy, tap.amount) or 0
    found.online = found.online - (tap.amount - found.part)
    local change = {'online', found.online, 'subsidy', found.subsidy - found.part, 'fails', found.fails}
    local function set(name, value)
        change[#change + 1] = name
        change[#change + 1] = value
    end
    if counts_day then
        found.day_used = day_used + tap.amount
        set('day', today)
        set('day_used', found.day_used)
    end
    if counts_meal then
        found.meal_used = meal_used + tap.amount
        set('meal_day', began)
        set('meal', meal)
        set('meal_used', found.meal_used)
    end
    redis.call('HSET', 'a:' .. found.id, unpack(change))
    return 'OK'
end

-- terminal, batch_no, seq, token, amount, pin, now -> reason, fen approved, replayed
local function pay(_, args)
    local tap = {token = args[4], amount = tonumber(args[5]), pin = args[6], now = tonumber(args[7])}
    local terminal = redis.call('HMGET', 't:' .. args[1], 'status', 'keypad', 'max', 'batch', 'merchant')
    local batch = tonumber(args[2])
    if not terminal[1] or batch < 1 or batch > number(terminal[4]) then
        return {'TERMINAL_NOT_SIGNED_IN', 0, 0}
    end
    local journal = 'j:' .. args[1] .. ':' .. args[2]
    local body = args[4] .. ' ' .. args[5] .. ' '
    local known = redis.call('HGET', journal, args[3])
    if known then
        if string.sub(known, 1, #body) ~= body then return {'DUPLICATE_MISMATCH', 0, 0} end
        local pending, reason, approved = string.match(known, '^%S+ %S+ (%d) (%S+) (%d+)')
        if pending == '0' then return {reason, tonumber(approved), 1} end
    end
    local merchant = redis.call('HMGET', 'm:' .. (terminal[5] or ''), 'status', 'category')
    local category = redis.call('HMGET', 'g:' .. (merchant[2] or ''), 'spend', 'day', 'meal', 'subsidy')
    local found = {}
    local reason = checks(terminal, merchant, category, tap, found)
    local approved = reason == 'OK' and tap.amount or 0
    redis.call('HSET', journal, args[3], body .. (found.pending and 1 or 0) .. ' ' .. reason .. ' '
        .. approved .. ' ' .. (found.part or 0) .. ' ' .. (found.id or 0) .. ' '
        .. (terminal[5] or 0) .. ' ' .. (found.online or 0) .. ' ' .. (found.day_used or 0) .. ' '
        .. (found.meal_used or 0) .. ' ' .. args[7])
    return {reason, approved, 0}
end

-- For redis-benchmark, whose only arguments are random numbers below 2^31: a key, and who pays what.
local function tap(_, args)
    local key, who, accounts, first = tonumber(args[1]), tonumber(args[2]), tonumber(args[3]), tonumber(args[4])
    local now = redis.call('TIME')
    local rest = math.floor(key / 400)
    return pay(nil, {
        tostring(key % 400 + 1), tostring(first + math.floor(rest / 65535)), tostring(rest % 65535 + 1),
        tostring(who % accounts + 1), tostring(50 + math.floor(who / accounts) % 3951), '',
        now[1] .. string.format('%06d', now[2])})
end

redis.register_function('pay', pay)
redis.register_function('tap', tap)
