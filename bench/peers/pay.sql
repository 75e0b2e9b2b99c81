-- The authorization as PL/pgSQL, in the order of docs/reference/decisions.md. Money is fen, times are
-- microseconds UTC. One account row is locked; one account and one journal row are written.

CREATE TABLE category (
    id INT PRIMARY KEY, spend BOOL NOT NULL, day BOOL NOT NULL, meal BOOL NOT NULL,
    subsidy BOOL NOT NULL
);
CREATE TABLE merchant (
    id INT PRIMARY KEY, category INT NOT NULL REFERENCES category, status INT NOT NULL
);
CREATE TABLE terminal (
    id INT PRIMARY KEY, merchant INT NOT NULL, status INT NOT NULL, keypad BOOL NOT NULL,
    max_amount BIGINT NOT NULL, batch_no INT NOT NULL
);
CREATE TABLE account (
    id INT PRIMARY KEY, online BIGINT NOT NULL, subsidy BIGINT NOT NULL, held BIGINT NOT NULL,
    status INT NOT NULL, day_limit BIGINT NOT NULL, meal_limit BIGINT NOT NULL,
    pin BYTEA, pin_fails INT NOT NULL DEFAULT 0,
    day INT NOT NULL DEFAULT 0, day_used BIGINT NOT NULL DEFAULT 0,
    meal_day INT NOT NULL DEFAULT 0, meal INT NOT NULL DEFAULT 0, meal_used BIGINT NOT NULL DEFAULT 0
) WITH (fillfactor = 70);
CREATE TABLE medium (
    token BIGINT PRIMARY KEY, account INT NOT NULL, state INT NOT NULL, lost BOOL NOT NULL,
    frozen BOOL NOT NULL, expires_day INT NOT NULL
);
CREATE TABLE journal (
    terminal INT, batch_no INT, seq INT,
    number BIGINT GENERATED ALWAYS AS IDENTITY,
    at_us BIGINT NOT NULL, token BIGINT NOT NULL, account INT, merchant INT, asked BIGINT NOT NULL,
    reason TEXT NOT NULL, pending BOOL NOT NULL,
    approved BIGINT NOT NULL, from_subsidy BIGINT NOT NULL, online_after BIGINT,
    day_used BIGINT, meal_used BIGINT,
    PRIMARY KEY (terminal, batch_no, seq)
);

-- The meal at a minute of the day: its index, and the day it began. 0: none.
CREATE FUNCTION meal_at(minute INT, today INT, OUT meal INT, OUT began INT) LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN minute >= 1260 OR minute < 300 THEN 4 WHEN minute < 600 THEN 1
                WHEN minute < 870 THEN 2 ELSE 3 END,
           CASE WHEN minute < 300 THEN today - 1 ELSE today END
$$;

CREATE FUNCTION pay(
    p_terminal INT, p_batch INT, p_seq INT, p_token BIGINT, p_amount BIGINT, p_pin TEXT, p_now BIGINT,
    OUT reason TEXT, OUT approved BIGINT, OUT replayed BOOL
) LANGUAGE plpgsql AS $$
DECLARE
    t RECORD;
    j RECORD;
    a RECORD;
    local_s BIGINT := p_now / 1000000 + 28800;
    today INT := local_s / 86400;
    meal_now INT;
    meal_began INT;
    day_before BIGINT := 0;
    meal_before BIGINT := 0;
    wants_pin BOOL := FALSE;
    pending BOOL := FALSE;
    fails INT;
    who INT;
    online_now BIGINT;
    part BIGINT := 0;
BEGIN
    approved := 0;
    replayed := FALSE;
    SELECT e.status, e.keypad, e.max_amount, e.batch_no, e.merchant, m.status AS merchant_status,
           c.spend, c.day, c.meal, c.subsidy
        INTO t FROM terminal e LEFT JOIN merchant m ON m.id = e.merchant
        LEFT JOIN category c ON c.id = m.category WHERE e.id = p_terminal;
    IF NOT FOUND OR p_batch < 1 OR p_batch > t.batch_no THEN
        reason := 'TERMINAL_NOT_SIGNED_IN';
        RETURN;
    END IF;
    SELECT k.token, k.asked, k.pending, k.reason, k.approved
        INTO j FROM journal k WHERE terminal = p_terminal AND batch_no = p_batch AND seq = p_seq;
    IF FOUND THEN
        IF j.token <> p_token OR j.asked <> p_amount THEN
            reason := 'DUPLICATE_MISMATCH';
            RETURN;
        ELSIF NOT j.pending THEN
            reason := j.reason;
            approved := j.approved;
            replayed := TRUE;
            RETURN;
        END IF;
    END IF;

    reason := 'OK';
    <<checks>>
    BEGIN
        IF t.status <> 1 THEN reason := 'TERMINAL_SUSPENDED'; EXIT checks; END IF;
        IF t.merchant_status IS DISTINCT FROM 1 THEN reason := 'MERCHANT_INVALID'; EXIT checks; END IF;
        SELECT m.state, m.lost, m.frozen, m.expires_day, h.*
            INTO a FROM medium m JOIN account h ON h.id = m.account
            WHERE m.token = p_token FOR UPDATE OF h;
        IF NOT FOUND OR a.state = 6 THEN reason := 'CARD_UNKNOWN'; EXIT checks; END IF;
        who := a.id;
        online_now := a.online;
        fails := a.pin_fails;
        IF a.state IN (4, 5) THEN reason := 'CARD_VOID'; EXIT checks; END IF;
        IF a.lost THEN reason := 'CARD_LOST'; EXIT checks; END IF;
        IF a.frozen THEN reason := 'CARD_FROZEN'; EXIT checks; END IF;
        IF a.expires_day <> 0 AND today >= a.expires_day THEN
            reason := 'CARD_EXPIRED';
            EXIT checks;
        END IF;
        IF a.state IN (1, 2) THEN reason := 'CARD_NOT_ACTIVE'; EXIT checks; END IF;
        IF a.status IN (3, 4) THEN reason := 'ACCOUNT_CLOSED'; EXIT checks; END IF;
        IF a.status = 2 THEN reason := 'ACCOUNT_SUSPENDED'; EXIT checks; END IF;
        IF a.online < 0 THEN reason := 'ACCOUNT_DEBT'; EXIT checks; END IF;
        IF NOT t.spend THEN reason := 'CATEGORY_NOT_ALLOWED'; EXIT checks; END IF;
        IF p_amount < 1 OR p_amount > 100000000
                OR (t.max_amount <> 0 AND p_amount > t.max_amount) THEN
            reason := 'AMOUNT_INVALID';
            EXIT checks;
        END IF;
        IF (a.online - a.held + CASE WHEN t.subsidy THEN a.subsidy ELSE 0 END < p_amount) THEN
            reason := 'INSUFFICIENT';
            EXIT checks;
        END IF;
        SELECT f.meal, f.began INTO meal_now, meal_began
            FROM meal_at((local_s % 86400 / 60)::INT, today) f;
        IF a.day = today THEN day_before := a.day_used; END IF;
        IF a.meal_day = meal_began AND a.meal = meal_now THEN meal_before := a.meal_used; END IF;
        wants_pin := (t.day AND day_before + p_amount > a.day_limit)
            OR (t.meal AND meal_before + p_amount > a.meal_limit);
        IF wants_pin AND p_pin = '' THEN
            reason := 'PIN_REQUIRED';
            pending := t.keypad;
            EXIT checks;
        END IF;
        IF wants_pin THEN
            IF a.pin_fails >= 3 THEN reason := 'PIN_LOCKED'; EXIT checks; END IF;
            IF a.pin IS NULL THEN reason := 'PIN_NOT_SET'; EXIT checks; END IF;
            IF sha256(convert_to('campus' || a.id || ':' || p_pin, 'UTF8')) <> a.pin THEN
                fails := a.pin_fails + 1;
                reason := 'PIN_WRONG';
                UPDATE account SET pin_fails = fails WHERE id = a.id;
                EXIT checks;
            END IF;
            fails := 0;
        END IF;
        approved := p_amount;
        IF t.subsidy THEN part := LEAST(a.subsidy, p_amount); END IF;
        IF t.day THEN day_before := day_before + p_amount; END IF;
        IF t.meal THEN meal_before := meal_before + p_amount; END IF;
        UPDATE account SET online = a.online - (p_amount - part), subsidy = a.subsidy - part,
            pin_fails = fails,
            day = CASE WHEN t.day THEN today ELSE a.day END,
            day_used = CASE WHEN t.day THEN day_before ELSE a.day_used END,
            meal_day = CASE WHEN t.meal THEN meal_began ELSE a.meal_day END,
            meal = CASE WHEN t.meal THEN meal_now ELSE a.meal END,
            meal_used = CASE WHEN t.meal THEN meal_before ELSE a.meal_used END
            WHERE id = a.id;
    END checks;
    INSERT INTO journal (terminal, batch_no, seq, at_us, token, account, merchant, asked, reason,
                         pending, approved, from_subsidy, online_after, day_used, meal_used)
        VALUES (p_terminal, p_batch, p_seq, p_now, p_token, who, t.merchant, p_amount, pay.reason,
                pending, pay.approved, part, online_now - (pay.approved - part), day_before,
                meal_before)
        ON CONFLICT (terminal, batch_no, seq) DO UPDATE SET
            at_us = EXCLUDED.at_us, reason = EXCLUDED.reason, pending = EXCLUDED.pending,
            approved = EXCLUDED.approved, from_subsidy = EXCLUDED.from_subsidy,
            online_after = EXCLUDED.online_after, day_used = EXCLUDED.day_used,
            meal_used = EXCLUDED.meal_used;
END $$;
