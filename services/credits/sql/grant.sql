-- Grants: at most one for each account in a call. Overdraft is repaid first, then debt; what is left remains in the lot.
WITH asked AS MATERIALIZED (
    SELECT a.*
    FROM unnest(
        $1::uuid [], $2::bytea [], $3::bytea [], $4::uuid [], $5::bigint [], $6::text [], $7::text [], $8::text [],
        $9::text [], $10::uuid [], $11::text [], $12::smallint [], $13::timestamptz [], $14::bigint [], $15::text []
    ) WITH ORDINALITY AS a (
        account_id, key, fingerprint, id, amount, type, reference_type, reference_id, description, lot_id, kind,
        priority, expires_at, cost_minor, currency, ord
    )
),
known AS MATERIALIZED (
    SELECT a.ord, p.fingerprint = a.fingerprint AS same
    FROM asked AS a INNER JOIN posting AS p ON p.account_id = a.account_id AND p.key = a.key
    UNION
    SELECT a.ord, false
    FROM asked AS a
    INNER JOIN lot AS l ON l.kind = a.kind AND l.reference_type = a.reference_type AND l.reference_id = a.reference_id
    WHERE l.account_id <> a.account_id
),
fresh AS MATERIALIZED (
    SELECT
        a.*,
        c.available,
        c.held,
        c.debt,
        c.sequence + 1 AS sequence,
        least(a.amount, greatest(-c.available, 0)) AS overdraft_repaid,
        least(a.amount - least(a.amount, greatest(-c.available, 0)), c.debt) AS debt_repaid
    FROM asked AS a
    INNER JOIN account AS c ON c.id = a.account_id
    WHERE NOT EXISTS (SELECT FROM known AS k WHERE k.ord = a.ord)
),
lots AS (
    INSERT INTO lot (
        id, account_id, kind, priority, granted, remaining, open, cost_minor, currency, reference_type, reference_id,
        granted_at, expires_at
    )
    SELECT
        lot_id, account_id, kind, priority, amount, amount - overdraft_repaid - debt_repaid,
        amount > overdraft_repaid + debt_repaid, cost_minor, currency, reference_type, reference_id, $16, expires_at
    FROM fresh
),
posted AS (
    INSERT INTO posting (
        account_id, key, fingerprint, id, sequence, type, credits, available_after, reference_type, reference_id,
        description, details, at
    )
    SELECT
        account_id, key, fingerprint, id, sequence, type, amount, available + amount - debt_repaid, reference_type,
        reference_id, description, '{}', $16
    FROM fresh
),
journalled AS (
    INSERT INTO entry (
        account_id, sequence, leg, lot_id, from_bucket, to_bucket, amount, available_after, held_after, debt_after, at
    )
    SELECT
        f.account_id, f.sequence, leg.number, leg.lot_id, leg.from_bucket, leg.to_bucket, leg.amount,
        leg.available_after, f.held, leg.debt_after, $16
    FROM fresh AS f
    CROSS JOIN LATERAL (
        VALUES
        (
            0::smallint, f.lot_id, CASE WHEN f.kind IN ('purchased', 'membership') THEN 'stripe' ELSE 'promotion' END,
            'available', f.amount, f.available + f.amount, f.debt
        ),
        (
            1::smallint, f.lot_id, 'available', 'overdraft', f.overdraft_repaid,
            f.available + f.amount - f.overdraft_repaid, f.debt
        ),
        (2::smallint, null, 'overdraft', 'available', f.overdraft_repaid, f.available + f.amount, f.debt),
        (
            3::smallint, f.lot_id, 'available', 'debt', f.debt_repaid, f.available + f.amount - f.debt_repaid,
            f.debt - f.debt_repaid
        )
    ) AS leg (number, lot_id, from_bucket, to_bucket, amount, available_after, debt_after)
    WHERE leg.amount > 0
),
settled AS (
    UPDATE account AS c
    SET
        available = f.available + f.amount - f.debt_repaid,
        debt = f.debt - f.debt_repaid,
        purchased = c.purchased + CASE WHEN f.kind IN ('purchased', 'membership') THEN f.amount ELSE 0 END,
        earned = c.earned + CASE WHEN f.kind IN ('purchased', 'membership') THEN 0 ELSE f.amount END,
        sequence = f.sequence,
        changed_at = $16
    FROM fresh AS f
    WHERE c.id = f.account_id
)
SELECT
    a.ord,
    CASE WHEN k.same THEN 'duplicate' WHEN NOT k.same THEN 'conflict' ELSE 'accepted' END AS outcome,
    f.sequence,
    f.available + f.amount - f.debt_repaid AS available
FROM asked AS a
LEFT JOIN (SELECT ord, bool_and(same) AS same FROM known GROUP BY ord) AS k ON k.ord = a.ord
LEFT JOIN fresh AS f ON f.ord = a.ord
ORDER BY a.ord
