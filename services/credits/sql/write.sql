-- What a batch did to the journal and to its accounts. All arrays of entries run beside each other, and all of accounts.
WITH applied AS (
    INSERT INTO batch (entries, at) VALUES (cardinality($1::uuid []), $19) RETURNING id
),
journalled AS (
    INSERT INTO entry (
        account_id, sequence, leg, type, from_bucket, to_bucket, lot_id, amount, available_after, held_after,
        debt_after, key, fingerprint, reference_type, reference_id, description, details, price_version, at, batch_id
    )
    SELECT
        e.account_id, e.sequence, e.leg, e.type, e.from_bucket, e.to_bucket, e.lot_id, e.amount, e.available_after,
        e.held_after, e.debt_after, e.key, e.fingerprint, e.reference_type, e.reference_id, e.description,
        e.details::json, e.price_version, $19, applied.id
    FROM applied, unnest(
        $1::uuid [], $2::bigint [], $3::smallint [], $4::posting_type [], $5::bucket [], $6::bucket [], $7::uuid [],
        $8::bigint [], $9::bigint [], $10::bigint [], $11::bigint [], $12::uuid [], $13::uuid [], $14::text [],
        $15::text [], $16::text [], $17::text [], $18::text []
    ) AS e (
        account_id, sequence, leg, type, from_bucket, to_bucket, lot_id, amount, available_after, held_after,
        debt_after, key, fingerprint, reference_type, reference_id, description, details, price_version
    )
),
changed AS (
    INSERT INTO balance_change (account_ids) VALUES ($20)
)
UPDATE account AS a
SET
    available = n.available, held = n.held, debt = n.debt, sequence = n.sequence, head_lot = n.head_lot,
    head_remaining = n.head_remaining, next_due = n.next_due, earned = n.earned, purchased = n.purchased,
    spent = n.spent, expired = n.expired, refunded = n.refunded, changed_at = $19,
    -- no tallies are given where nothing is limited
    hour = coalesce(n.hour, a.hour), hour_spent = coalesce(n.hour_spent, a.hour_spent),
    hour_before_spent = coalesce(n.hour_before_spent, a.hour_before_spent),
    day_spends = coalesce(n.day_spends, a.day_spends)
FROM unnest(
    $20::uuid [], $21::bigint [], $22::bigint [], $23::bigint [], $24::bigint [], $25::uuid [], $26::bigint [],
    $27::timestamptz [], $28::bigint [], $29::bigint [], $30::bigint [], $31::bigint [], $32::bigint [],
    $33::timestamptz [], $34::bigint [], $35::bigint [], $36::int []
) AS n (
    id, available, held, debt, sequence, head_lot, head_remaining, next_due, earned, purchased, spent, expired, refunded,
    hour, hour_spent, hour_before_spent, day_spends
)
WHERE a.id = n.id
