-- Write off what has expired in the (locked) accounts, each lot once, as a posting of its own.
WITH due AS MATERIALIZED (
    SELECT
        l.id AS lot_id,
        l.account_id,
        l.remaining,
        c.held,
        c.debt,
        c.sequence + row_number() OVER w AS sequence,
        c.available - (sum(l.remaining) OVER w)::bigint AS available_after
    FROM lot AS l
    INNER JOIN account AS c ON c.id = l.account_id
    WHERE l.account_id = ANY($1) AND l.open AND l.expires_at <= $2
    WINDOW w AS (PARTITION BY l.account_id ORDER BY l.expires_at, l.id ROWS UNBOUNDED PRECEDING)
),
posted AS (
    INSERT INTO posting (
        account_id, key, fingerprint, id, sequence, type, credits, available_after, reference_type, reference_id,
        description, details, at
    )
    SELECT
        account_id, substring(sha256(('expiry:' || lot_id)::bytea) FOR 16), ''::bytea, lot_id, sequence, 'expiry',
        -remaining, available_after, 'lot', lot_id::text, 'Expired', '{}', $2
    FROM due
),
journalled AS (
    INSERT INTO entry (
        account_id, sequence, leg, lot_id, from_bucket, to_bucket, amount, available_after, held_after, debt_after, at
    )
    SELECT account_id, sequence, 0, lot_id, 'available', 'breakage', remaining, available_after, held, debt, $2
    FROM due
),
closed AS (
    UPDATE lot AS l SET remaining = 0, open = false FROM due AS d WHERE l.id = d.lot_id
)
UPDATE account AS c
SET available = c.available - d.remaining, expired = c.expired + d.remaining, sequence = d.sequence, changed_at = $2
FROM (
    SELECT account_id, sum(remaining)::bigint AS remaining, max(sequence) AS sequence FROM due GROUP BY account_id
) AS d
WHERE c.id = d.account_id
RETURNING c.id
