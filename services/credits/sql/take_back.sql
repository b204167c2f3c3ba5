-- Credits that go back with a refunded payment, by the total refunded so far: at most one for each account in a call.
-- What is left in the lot is taken; what was spent already becomes debt. A total that fell (a refund failed after all)
-- gives back: overdraft is repaid first, then debt, and the rest returns to the lot. Older revisions change nothing.
WITH asked AS MATERIALIZED (
    SELECT a.*
    FROM unnest(
        $1::uuid [], $2::bytea [], $3::bytea [], $4::uuid [], $5::bigint [], $6::text [], $7::text [], $8::text [],
        $9::text [], $10::int []
    ) WITH ORDINALITY AS a (
        account_id, key, fingerprint, id, total, kind, reference_type, reference_id, description, revision, ord
    )
),
target AS MATERIALIZED (
    SELECT
        a.*,
        l.id AS lot_id,
        l.remaining,
        l.revision AS seen_revision,
        c.available,
        c.held,
        c.debt,
        c.sequence + 1 AS sequence,
        a.total - l.taken_back AS change
    FROM asked AS a
    INNER JOIN lot AS l
        ON l.kind = a.kind AND l.reference_type = a.reference_type AND l.reference_id = a.reference_id
    INNER JOIN account AS c ON c.id = a.account_id AND l.account_id = c.id
),
fresh AS MATERIALIZED (
    SELECT
        t.*,
        least(greatest(t.change, 0), t.remaining) AS taken,
        greatest(t.change, 0) - least(greatest(t.change, 0), t.remaining) AS debt_made,
        greatest(-t.change, 0) AS given,
        least(greatest(-t.change, 0), greatest(-t.available, 0)) AS overdraft_repaid,
        least(greatest(-t.change, 0) - least(greatest(-t.change, 0), greatest(-t.available, 0)), t.debt) AS debt_repaid
    FROM target AS t
    WHERE t.revision > t.seen_revision AND t.change <> 0
),
noted AS (
    UPDATE lot AS l
    SET
        revision = t.revision,
        taken_back = t.total,
        remaining = l.remaining + coalesce(f.given - f.overdraft_repaid - f.debt_repaid - f.taken, 0),
        open = l.remaining + coalesce(f.given - f.overdraft_repaid - f.debt_repaid - f.taken, 0) > 0
    FROM target AS t LEFT JOIN fresh AS f ON f.ord = t.ord
    WHERE l.id = t.lot_id AND t.revision > t.seen_revision
),
posted AS (
    INSERT INTO posting (
        account_id, key, fingerprint, id, sequence, type, credits, available_after, reference_type, reference_id,
        description, details, at
    )
    SELECT
        account_id, key, fingerprint, id, sequence, 'payment_refund', -change,
        available - taken + given - debt_repaid, reference_type, reference_id, description, '{}', $11
    FROM fresh
),
journalled AS (
    INSERT INTO entry (
        account_id, sequence, leg, lot_id, from_bucket, to_bucket, amount, available_after, held_after, debt_after, at
    )
    SELECT
        f.account_id, f.sequence, leg.number, leg.lot_id, leg.from_bucket, leg.to_bucket, leg.amount,
        leg.available_after, f.held, leg.debt_after, $11
    FROM fresh AS f
    CROSS JOIN LATERAL (
        VALUES
        (0::smallint, f.lot_id, 'available', 'stripe', f.taken, f.available - f.taken, f.debt),
        (1::smallint, f.lot_id, 'debt', 'stripe', f.debt_made, f.available - f.taken, f.debt + f.debt_made),
        (2::smallint, f.lot_id, 'stripe', 'available', f.given, f.available + f.given, f.debt),
        (
            3::smallint, f.lot_id, 'available', 'overdraft', f.overdraft_repaid,
            f.available + f.given - f.overdraft_repaid, f.debt
        ),
        (4::smallint, null, 'overdraft', 'available', f.overdraft_repaid, f.available + f.given, f.debt),
        (
            5::smallint, f.lot_id, 'available', 'debt', f.debt_repaid, f.available + f.given - f.debt_repaid,
            f.debt - f.debt_repaid
        )
    ) AS leg (number, lot_id, from_bucket, to_bucket, amount, available_after, debt_after)
    WHERE leg.amount > 0
),
settled AS (
    UPDATE account AS c
    SET
        available = c.available - f.taken + f.given - f.debt_repaid,
        debt = c.debt + f.debt_made - f.debt_repaid,
        refunded = c.refunded + f.change,
        sequence = f.sequence,
        changed_at = $11
    FROM fresh AS f
    WHERE c.id = f.account_id
)
SELECT
    a.ord,
    CASE
        WHEN t.ord IS NULL THEN 'no_lot'
        WHEN t.revision <= t.seen_revision THEN 'duplicate'
        WHEN f.ord IS NULL THEN 'unchanged'
        ELSE 'accepted'
    END AS outcome,
    f.sequence,
    f.available - f.taken + f.given - f.debt_repaid AS available,
    f.change AS credits,
    f.debt_made AS debt
FROM asked AS a
LEFT JOIN target AS t ON t.ord = a.ord
LEFT JOIN fresh AS f ON f.ord = a.ord
ORDER BY a.ord
