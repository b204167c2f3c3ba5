-- What must hold in the ledger at any moment. Each query returns no row when it does; `scrip verify` runs them all.
-- Those with $1 and $2 look at the accounts whose ids lie between: a large ledger is checked slice by slice.

-- name: I2 every account's balance is the sum of its entries
SELECT c.id AS account, c.available, e.available AS by_entries, c.held, e.held AS held_by_entries, c.debt, e.debt AS owed
FROM account AS c
LEFT JOIN (
    SELECT
        account_id,
        sum(CASE 'available'::bucket WHEN to_bucket THEN amount WHEN from_bucket THEN -amount ELSE 0 END) AS available,
        sum(CASE 'held'::bucket WHEN to_bucket THEN amount WHEN from_bucket THEN -amount ELSE 0 END) AS held,
        sum(CASE 'debt'::bucket WHEN from_bucket THEN amount WHEN to_bucket THEN -amount ELSE 0 END) AS debt
    FROM entry
    WHERE account_id BETWEEN $1 AND $2
    GROUP BY account_id
) AS e ON e.account_id = c.id
WHERE
    c.id BETWEEN $1 AND $2
    AND (c.available, c.held, c.debt) IS DISTINCT FROM (coalesce(e.available, 0), coalesce(e.held, 0), coalesce(e.debt, 0));

-- name: I2 every lot's remainder is the sum of its entries
SELECT l.id AS lot, l.remaining, e.remaining AS by_entries
FROM lot_now AS l
LEFT JOIN (
    SELECT
        lot_id, sum(CASE 'available'::bucket WHEN to_bucket THEN amount WHEN from_bucket THEN -amount ELSE 0 END) AS remaining
    FROM entry
    WHERE lot_id IS NOT NULL AND account_id BETWEEN $1 AND $2
    GROUP BY lot_id
) AS e ON e.lot_id = l.id
WHERE l.account_id BETWEEN $1 AND $2 AND l.remaining <> coalesce(e.remaining, 0);

-- name: I2 what is available is what remains in open lots less the overdraft
SELECT c.id AS account, c.available, coalesce(l.remaining, 0) AS in_lots
FROM account AS c
LEFT JOIN (
    SELECT account_id, sum(remaining) AS remaining FROM lot_now WHERE account_id BETWEEN $1 AND $2 GROUP BY account_id
) AS l ON l.account_id = c.id
WHERE c.id BETWEEN $1 AND $2 AND greatest(c.available, 0) <> coalesce(l.remaining, 0);

-- name: the head of every account is an open lot of its own, and there is one wherever something remains
SELECT c.id AS account, c.head_lot, c.head_remaining, c.available
FROM account AS c
LEFT JOIN lot AS l ON l.id = c.head_lot AND l.account_id = c.id AND l.open AND l.remaining >= c.head_remaining
WHERE
    c.id BETWEEN $1 AND $2
    AND ((c.head_lot IS NOT NULL AND l.id IS NULL) OR (c.head_lot IS NULL AND c.available > 0));

-- name: what an account holds is what its pending holds still reserve
SELECT c.id AS account, c.held, coalesce(h.left_over, 0) AS in_holds
FROM account AS c
LEFT JOIN (
    SELECT h.account_id, sum((part ->> 'left')::bigint) AS left_over
    FROM hold AS h CROSS JOIN LATERAL jsonb_array_elements(h.parts) AS part
    WHERE h.state = 'pending' AND h.account_id BETWEEN $1 AND $2
    GROUP BY h.account_id
) AS h ON h.account_id = c.id
WHERE c.id BETWEEN $1 AND $2 AND c.held <> coalesce(h.left_over, 0);

-- name: a settled hold reserves nothing, and a hold's parts are what it reserved
SELECT h.id AS hold, h.state, h.reserved, p.reserved AS in_parts, p.left_over
FROM hold AS h
CROSS JOIN LATERAL (
    SELECT sum((part ->> 'reserved')::bigint) AS reserved, sum((part ->> 'left')::bigint) AS left_over
    FROM jsonb_array_elements(h.parts) AS part
) AS p
WHERE h.account_id BETWEEN $1 AND $2 AND (h.reserved <> p.reserved OR (h.state <> 'pending' AND p.left_over <> 0));

-- name: nothing is due before an account expects it
SELECT c.id AS account, c.next_due, d.due
FROM account AS c
INNER JOIN (
    SELECT account_id, min(expires_at) AS due
    FROM (
        SELECT account_id, expires_at FROM lot WHERE open AND expires_at IS NOT NULL AND account_id BETWEEN $1 AND $2
        UNION ALL
        SELECT account_id, expires_at FROM hold WHERE state = 'pending' AND account_id BETWEEN $1 AND $2
    ) AS expiring
    GROUP BY account_id
) AS d ON d.account_id = c.id
WHERE c.next_due IS NULL OR c.next_due > d.due;

-- name: what came in is what is left, is held, or went out
SELECT id AS account, earned, purchased, spent, expired, refunded, available, held, debt
FROM account
WHERE id BETWEEN $1 AND $2 AND earned + purchased - spent - expired - refunded <> available + held - debt;

-- name: I4 no prefix of an account's entries leaves less than nothing without an overdraft to cover it
SELECT e.account_id AS account, e.sequence, e.available_after, c.overdraft_ever
FROM entry AS e
INNER JOIN account AS c ON c.id = e.account_id
WHERE e.account_id BETWEEN $1 AND $2 AND e.available_after < -c.overdraft_ever;

-- name: I2 each entry's balances follow from the ones before
SELECT account_id AS account, sequence, leg, available_after, available, held_after, held, debt_after, debt
FROM (
    SELECT
        account_id, sequence, leg, available_after, held_after, debt_after,
        sum(CASE 'available'::bucket WHEN to_bucket THEN amount WHEN from_bucket THEN -amount ELSE 0 END) OVER w AS available,
        sum(CASE 'held'::bucket WHEN to_bucket THEN amount WHEN from_bucket THEN -amount ELSE 0 END) OVER w AS held,
        sum(CASE 'debt'::bucket WHEN from_bucket THEN amount WHEN to_bucket THEN -amount ELSE 0 END) OVER w AS debt
    FROM entry
    WHERE account_id BETWEEN $1 AND $2
    WINDOW w AS (PARTITION BY account_id ORDER BY sequence, leg)
) AS chained
WHERE (available_after, held_after, debt_after) IS DISTINCT FROM (available, held, debt);

-- name: every account's sequence counts its postings without a gap, in the order of time
SELECT c.id AS account, c.sequence, p.postings, p.last, p.late
FROM account AS c
LEFT JOIN (
    SELECT account_id, count(*) AS postings, max(sequence) AS last, count(*) FILTER (WHERE at < before) AS late
    FROM (
        SELECT account_id, sequence, at, lag(at) OVER (PARTITION BY account_id ORDER BY sequence) AS before
        FROM entry
        WHERE leg = 0 AND account_id BETWEEN $1 AND $2
    ) AS postings
    GROUP BY account_id
) AS p ON p.account_id = c.id
WHERE
    c.id BETWEEN $1 AND $2
    AND (c.sequence, c.sequence, 0)
    IS DISTINCT FROM (coalesce(p.postings, 0), coalesce(p.last, 0), coalesce(p.late, 0));

-- name: every entry follows the one before it in its posting
SELECT account_id AS account, sequence, count(*) AS legs, max(leg) AS last
FROM entry
WHERE account_id BETWEEN $1 AND $2
GROUP BY account_id, sequence
HAVING count(*) <> max(leg) + 1 OR min(leg) <> 0;

-- name: a key is posted once
SELECT account_id AS account, key, count(*) AS postings, max(sequence) AS sequence
FROM entry
WHERE leg = 0 AND account_id BETWEEN $1 AND $2
GROUP BY key, account_id
HAVING count(*) > 1;

-- name: every batch has the entries it says, of its own instant
SELECT coalesce(b.id, e.batch_id) AS batch, b.entries, e.entries AS found, b.at, e.first, e.last
FROM batch AS b
FULL JOIN (
    SELECT batch_id, count(*) AS entries, min(at) AS first, max(at) AS last FROM entry GROUP BY batch_id
) AS e ON e.batch_id = b.id
WHERE b.id IS NULL OR b.entries <> coalesce(e.entries, 0) OR b.at <> e.first OR b.at <> e.last;

-- name: I13 nothing was spent from a lot at or after its expiry, but by who had reserved it
SELECT e.account_id AS account, e.lot_id AS lot, e.at, l.expires_at
FROM entry AS e
INNER JOIN lot AS l ON l.id = e.lot_id
WHERE
    e.account_id BETWEEN $1 AND $2 AND e.from_bucket = 'available' AND e.to_bucket IN ('revenue', 'held', 'transit')
    AND e.at >= l.expires_at;

-- name: I13 every lot's grant is spent, held, expired, taken back, or remains
SELECT l.id AS lot, l.granted, e.brought, l.remaining, e.gone
FROM lot_now AS l
INNER JOIN (
    SELECT
        lot_id,
        min(amount) FILTER (WHERE first) AS brought,
        coalesce(sum(CASE
            WHEN from_bucket = 'available' THEN amount WHEN to_bucket = 'available' AND NOT first THEN -amount ELSE 0
        END), 0) AS gone
    FROM (
        SELECT
            lot_id, from_bucket, to_bucket, amount,
            to_bucket = 'available' AND row_number() OVER (PARTITION BY lot_id ORDER BY sequence, leg) = 1 AS first
        FROM entry
        WHERE lot_id IS NOT NULL AND account_id BETWEEN $1 AND $2
    ) AS moved
    GROUP BY lot_id
) AS e ON e.lot_id = l.id
WHERE l.account_id BETWEEN $1 AND $2 AND (l.granted <> e.brought OR l.granted <> l.remaining + e.gone);

-- name: a charge gave back no more than it burnt, and as much as it says
SELECT c.id AS charge, c.amount, c.refunded, e.burnt
FROM charge AS c
LEFT JOIN (
    SELECT key, sum(amount) AS burnt FROM entry WHERE type = 'charge' AND account_id BETWEEN $1 AND $2 GROUP BY key
) AS e ON e.key = c.id
WHERE c.account_id BETWEEN $1 AND $2 AND (c.amount <> coalesce(e.burnt, 0) OR c.refunded > c.amount);

-- name: I3 one purchase funds at most one lot of a kind
SELECT kind, reference_type, reference_id, count(*) AS lots
FROM lot
GROUP BY kind, reference_type, reference_id
HAVING count(*) > 1;

-- name: what is in transit arrives
SELECT sum(CASE WHEN to_bucket = 'transit' THEN amount ELSE -amount END) AS lost
FROM entry
WHERE from_bucket = 'transit' OR to_bucket = 'transit'
HAVING sum(CASE WHEN to_bucket = 'transit' THEN amount ELSE -amount END) <> 0;

-- name: a usage is either charged or rejected
SELECT r.account_id AS account, r.source, r.event_id
FROM rejected_usage AS r
INNER JOIN entry AS e ON e.key = r.key AND e.fingerprint = r.fingerprint
WHERE r.account_id BETWEEN $1 AND $2;

-- name: every row that staff granted is a lot of its account, and no lot stands for two
SELECT r.grant_id, r.number, r.account_id, r.credits, l.account_id AS lot_of, l.granted
FROM staff_grant_row AS r
LEFT JOIN lot AS l ON l.id = r.lot_id
WHERE r.state = 'granted' AND (l.account_id, l.granted, l.reference_type) IS DISTINCT FROM (r.account_id, r.credits, 'grant');

-- name: a grant has done as many rows as it says
SELECT g.id AS staff_grant, g.granted, g.failed, r.granted AS rows_granted, r.failed AS rows_failed
FROM staff_grant AS g
INNER JOIN (
    SELECT
        grant_id,
        count(*) AS rows,
        count(*) FILTER (WHERE state = 'granted') AS granted,
        count(*) FILTER (WHERE state = 'failed') AS failed
    FROM staff_grant_row
    GROUP BY grant_id
) AS r ON r.grant_id = g.id
WHERE (g.rows, g.granted, g.failed) IS DISTINCT FROM (r.rows, r.granted, r.failed);

-- name: every award of an activity is a lot of its account
SELECT a.account_id, a.activity, a.reference, a.credits, l.granted
FROM activity_award AS a
LEFT JOIN lot AS l ON l.id = a.lot_id
WHERE (l.account_id, l.granted) IS DISTINCT FROM (a.account_id, a.credits);

-- name: the sums of usage are those of the entries that they cover, by all that tells it apart
SELECT
    account_id AS account, day, meter, dimension, value, d.usages, e.usages AS usages_by_entries, d.quantity,
    e.quantity AS quantity_by_entries, d.credits, e.credits AS by_entries
FROM (SELECT * FROM usage_day WHERE account_id BETWEEN $1 AND $2) AS d
FULL JOIN (
    WITH told_apart AS (
        SELECT properties, row_number() OVER (ORDER BY after_batch) AS number FROM usage_told_apart
    ), alike AS MATERIALIZED ( -- entries are read once: what is alike is added up before it is told apart
        SELECT
            account_id, day, meter, actor, properties::text AS properties,
            width_bucket(batch_id - 1, (SELECT array_agg(after_batch ORDER BY after_batch) FROM usage_told_apart)) AS number,
            sum(usages) AS usages, sum(quantity) AS quantity, sum(credits) AS credits
        FROM usage_spending
        WHERE account_id BETWEEN $1 AND $2 AND batch_id <= (SELECT last_batch FROM usage_summed)
        GROUP BY account_id, day, meter, actor, properties::text, number
    )

    SELECT
        u.account_id, u.day, u.meter, said.dimension, said.value, sum(u.usages) AS usages, sum(u.quantity) AS quantity,
        sum(u.credits) AS credits
    FROM alike AS u
    LEFT JOIN told_apart AS t ON t.number = u.number
    CROSS JOIN LATERAL (
        SELECT '' AS dimension, '' AS value
        UNION ALL
        SELECT 'actor', u.actor WHERE u.actor IS NOT NULL
        UNION ALL
        SELECT 'property:' || p.key, p.value FROM json_each_text(u.properties::json) AS p
        WHERE u.meter || '.' || p.key = ANY(t.properties)
    ) AS said
    GROUP BY u.account_id, u.day, u.meter, said.dimension, said.value
) AS e USING (account_id, day, meter, dimension, value)
WHERE (d.usages, d.quantity, d.credits) IS DISTINCT FROM (e.usages, e.quantity, e.credits);

-- name: the sums of costs are those of the entries that they cover
SELECT coalesce(d.account_id, e.account_id) AS account, e.day, e.meter, e.currency, d.amount_micros, e.amount_micros AS by_entries
FROM (SELECT * FROM cost_day WHERE account_id BETWEEN $1 AND $2) AS d
FULL JOIN (
    SELECT account_id, day, meter, currency, sum(amount_micros) AS amount_micros
    FROM usage_cost
    WHERE account_id BETWEEN $1 AND $2 AND batch_id <= (SELECT last_batch FROM usage_summed)
    GROUP BY account_id, day, meter, currency
) AS e ON (e.account_id, e.day, e.meter, e.currency) = (d.account_id, d.day, d.meter, d.currency)
WHERE d.amount_micros IS DISTINCT FROM e.amount_micros;

-- name: the sums of what became of lots are those of the entries that they cover
SELECT
    coalesce(d.lot_id, e.lot_id) AS lot, e.day, d.burnt, e.burnt AS burnt_by_entries, d.expired, d.transferred, d.taken_back
FROM (SELECT * FROM lot_day WHERE account_id BETWEEN $1 AND $2) AS d
FULL JOIN (
    SELECT
        account_id, day, lot_id, sum(burnt) AS burnt, sum(expired) AS expired, sum(transferred) AS transferred,
        sum(taken_back) AS taken_back
    FROM lot_movement
    WHERE account_id BETWEEN $1 AND $2 AND batch_id <= (SELECT last_batch FROM usage_summed)
    GROUP BY account_id, day, lot_id
) AS e ON (e.account_id, e.day, e.lot_id) = (d.account_id, d.day, d.lot_id)
WHERE (d.burnt, d.expired, d.transferred, d.taken_back) IS DISTINCT FROM (e.burnt, e.expired, e.transferred, e.taken_back);

-- name: a lot that was paid for has lost before a day what it lost on the days before
SELECT lot_id AS lot, day, gone_before, by_days
FROM (
    SELECT
        d.lot_id, d.day, d.gone_before,
        coalesce(sum(d.burnt + d.expired + d.transferred + d.taken_back) OVER (
            PARTITION BY d.lot_id ORDER BY d.day ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
        ), 0) AS by_days
    FROM lot_day AS d INNER JOIN lot AS l ON l.id = d.lot_id
    WHERE d.account_id BETWEEN $1 AND $2 AND l.cost_minor IS NOT NULL
) AS followed
WHERE gone_before <> by_days;

-- name: what was paid for credits and became of it is what became of the lots
SELECT day, currency, d.sold_minor, d.recognised_minor, l.sold_minor AS sold_by_lots, l.recognised_minor AS recognised_by_lots
FROM deferred_day AS d
FULL JOIN (
    SELECT
        day, currency, sum(sold_minor) AS sold_minor, sum(recognised_minor) AS recognised_minor,
        sum(returned_minor) AS returned_minor, sum(breakage_minor) AS breakage_minor,
        sum(transferred_minor) AS transferred_minor
    FROM (
        SELECT
            day, currency, cost_minor AS sold_minor, 0 AS recognised_minor, 0 AS returned_minor, 0 AS breakage_minor,
            0 AS transferred_minor
        FROM lot_sold
        WHERE batch_id <= (SELECT last_batch FROM usage_summed)
        UNION ALL
        SELECT m.day, l.currency, 0, w.recognised_minor, w.returned_minor, w.breakage_minor, w.transferred_minor
        FROM lot_day AS m INNER JOIN lot AS l ON l.id = m.lot_id
        CROSS JOIN LATERAL
            paid_for_day(l.cost_minor, l.granted, m.gone_before, m.taken_back, m.expired, m.transferred, m.burnt) AS w
        WHERE l.cost_minor IS NOT NULL
    ) AS each_lot
    GROUP BY day, currency
) AS l USING (day, currency)
WHERE
    (d.sold_minor, d.recognised_minor, d.returned_minor, d.breakage_minor, d.transferred_minor)
    IS DISTINCT FROM (l.sold_minor, l.recognised_minor, l.returned_minor, l.breakage_minor, l.transferred_minor);

-- name: what was granted remains, is held, burnt, expired, transferred or taken back, of lots that are summed
SELECT l.id AS lot, l.granted, l.remaining, e.held, d.burnt, d.expired, d.transferred, l.taken_back
FROM lot_now AS l
INNER JOIN (
    SELECT
        lot_id, max(batch_id) AS last_batch,
        sum(CASE 'held'::bucket WHEN to_bucket THEN amount WHEN from_bucket THEN -amount ELSE 0 END) AS held
    FROM entry
    WHERE lot_id IS NOT NULL AND account_id BETWEEN $1 AND $2
    GROUP BY lot_id
) AS e ON e.lot_id = l.id AND e.last_batch <= (SELECT last_batch FROM usage_summed)
LEFT JOIN (
    SELECT lot_id, sum(burnt) AS burnt, sum(expired) AS expired, sum(transferred) AS transferred
    FROM lot_day
    WHERE account_id BETWEEN $1 AND $2
    GROUP BY lot_id
) AS d ON d.lot_id = l.id
WHERE
    l.account_id BETWEEN $1 AND $2
    -- what a charge's refund made is what was burnt before, and so is what had repaid a full lot's debt
    AND CASE WHEN l.reference_type IN ('charge_refund', 'repaid_debt') THEN 0 ELSE l.granted END
    <> l.remaining + e.held + l.taken_back + coalesce(d.burnt + d.expired + d.transferred, 0);
