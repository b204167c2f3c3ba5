-- Spends, in arrival order, each accepted or rejected against what is available at that point.
--
-- The accounts are locked (in a statement of its own, before: this one's snapshot must be younger than the locks).
-- A lot is an interval [low, high) on its account's burn axis, in burn order; an accepted spend is an interval too;
-- where they overlap is a leg. What reaches beyond the last lot is overdraft, a leg without a lot.
WITH asked AS MATERIALIZED (
    SELECT a.*
    FROM unnest(
        $1::uuid [], $2::bytea [], $3::bytea [], $4::uuid [], $5::bigint [], $6::text [], $7::text [], $8::text [],
        $9::text [], $10::jsonb [], $11::text []
    ) WITH ORDINALITY AS a (
        account_id, key, fingerprint, id, amount, type, reference_type, reference_id, description, details,
        price_version, ord
    )
),
known AS MATERIALIZED (
    SELECT a.ord, p.fingerprint = a.fingerprint AS same, true AS accepted
    FROM asked AS a INNER JOIN posting AS p ON p.account_id = a.account_id AND p.key = a.key
    UNION ALL
    SELECT a.ord, bool_or(r.fingerprint = a.fingerprint), false
    FROM asked AS a INNER JOIN rejected_usage AS r ON r.account_id = a.account_id AND r.key = a.key
    WHERE NOT EXISTS (SELECT FROM posting AS p WHERE p.account_id = a.account_id AND p.key = a.key)
    GROUP BY a.ord
),
axis AS MATERIALIZED (
    SELECT
        l.id AS lot_id,
        l.account_id,
        (sum(l.remaining) OVER w)::bigint - l.remaining AS low,
        (sum(l.remaining) OVER w)::bigint AS high
    FROM lot AS l
    WHERE l.account_id = ANY($1) AND l.open AND (l.expires_at IS NULL OR l.expires_at > $12)
    WINDOW w AS (
        PARTITION BY l.account_id
        ORDER BY CASE WHEN $13 THEN 0 ELSE l.priority END, CASE WHEN NOT $13 THEN l.expires_at END, l.id
        ROWS UNBOUNDED PRECEDING
    )
),
purse AS MATERIALIZED (
    SELECT
        a.*,
        coalesce(x.burnable, 0) AS burnable,
        CASE
            WHEN a.state <> 'open' OR a.debt > 0 THEN -1
            ELSE coalesce(x.burnable, 0) + a.overdraft_limit + least(a.available, 0)
        END AS capacity
    FROM account AS a
    LEFT JOIN (SELECT account_id, max(high) AS burnable FROM axis GROUP BY account_id) AS x ON x.account_id = a.id
    WHERE a.id = ANY($1)
),
weighed AS MATERIALIZED (
    SELECT
        a.*,
        p.available,
        p.held,
        p.debt,
        p.sequence,
        p.state,
        p.capacity,
        p.burnable,
        p.id IS NULL AS unknown,
        greedy_sum(a.amount, p.capacity) OVER (PARTITION BY a.account_id ORDER BY a.ord ROWS UNBOUNDED PRECEDING) AS used
    FROM asked AS a
    LEFT JOIN purse AS p ON p.id = a.account_id
    WHERE NOT EXISTS (SELECT FROM known AS k WHERE k.ord = a.ord)
),
judged AS MATERIALIZED (
    SELECT
        w.*,
        coalesce(w.capacity >= 0 AND w.used - lag(w.used, 1, 0::bigint) OVER byacc = w.amount, false) AS accepted,
        coalesce(lag(w.used, 1, 0::bigint) OVER byacc, 0) AS used_before
    FROM weighed AS w
    WINDOW byacc AS (PARTITION BY w.account_id ORDER BY w.ord)
),
accepted AS MATERIALIZED (
    SELECT j.*, j.sequence + row_number() OVER (PARTITION BY j.account_id ORDER BY j.ord) AS own_sequence
    FROM judged AS j
    WHERE j.accepted
),
legs AS MATERIALIZED (
    SELECT
        a.account_id,
        a.own_sequence,
        a.held,
        a.debt,
        x.lot_id,
        least(x.high, a.used) - greatest(x.low, a.used_before) AS amount,
        a.available - least(x.high, a.used) AS available_after,
        (row_number() OVER (PARTITION BY a.ord ORDER BY x.low) - 1)::smallint AS leg
    FROM accepted AS a
    INNER JOIN (
        SELECT account_id, lot_id, low, high FROM axis
        UNION ALL
        SELECT id, null, burnable, capacity FROM purse WHERE capacity > burnable
    ) AS x ON x.account_id = a.account_id AND x.low < a.used AND x.high > a.used_before
),
posted AS (
    INSERT INTO posting (
        account_id, key, fingerprint, id, sequence, type, credits, available_after, reference_type, reference_id,
        description, details, price_version, at
    )
    SELECT
        account_id, key, fingerprint, id, own_sequence, type, -amount, available - used, reference_type, reference_id,
        description, details, price_version, $12
    FROM accepted
),
journalled AS (
    INSERT INTO entry (
        account_id, sequence, leg, lot_id, from_bucket, to_bucket, amount, available_after, held_after, debt_after, at
    )
    SELECT account_id, own_sequence, leg, lot_id, 'available', 'revenue', amount, available_after, held, debt, $12
    FROM legs
),
burnt AS (
    UPDATE lot AS l SET remaining = l.remaining - b.amount, open = l.remaining > b.amount
    FROM (SELECT lot_id, sum(amount)::bigint AS amount FROM legs WHERE lot_id IS NOT NULL GROUP BY lot_id) AS b
    WHERE l.id = b.lot_id
),
settled AS (
    UPDATE account AS c
    SET available = c.available - s.used, spent = c.spent + s.used, sequence = c.sequence + s.postings, changed_at = $12
    FROM (SELECT account_id, max(used) AS used, count(*) AS postings FROM accepted GROUP BY account_id) AS s
    WHERE c.id = s.account_id
)
SELECT
    a.ord,
    CASE
        WHEN k.same THEN CASE WHEN k.accepted THEN 'duplicate' ELSE 'duplicate_rejected' END
        WHEN NOT k.same THEN 'conflict'
        WHEN j.accepted THEN 'accepted'
        WHEN j.unknown THEN 'unknown_account'
        WHEN j.state <> 'open' THEN 'not_open'
        WHEN j.debt > 0 THEN 'in_debt'
        ELSE 'insufficient'
    END AS outcome,
    c.own_sequence AS sequence,
    greatest(j.burnable - j.used_before, 0) AS available
FROM asked AS a
LEFT JOIN known AS k ON k.ord = a.ord
LEFT JOIN judged AS j ON j.ord = a.ord
LEFT JOIN accepted AS c ON c.ord = a.ord
ORDER BY a.ord
