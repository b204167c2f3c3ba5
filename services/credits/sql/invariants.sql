-- What must hold in the ledger at any moment. Each query returns no row when it does; `scrip verify` runs them all.

-- name: I2 every account's balance is the sum of its entries
SELECT c.id AS account, c.available, e.available AS by_entries, c.debt, e.debt AS debt_by_entries
FROM account AS c
LEFT JOIN (
    SELECT
        account_id,
        sum(CASE 'available' WHEN to_bucket THEN amount WHEN from_bucket THEN -amount ELSE 0 END) AS available,
        sum(CASE 'held' WHEN to_bucket THEN amount WHEN from_bucket THEN -amount ELSE 0 END) AS held,
        sum(CASE 'debt' WHEN from_bucket THEN amount WHEN to_bucket THEN -amount ELSE 0 END) AS debt
    FROM entry
    GROUP BY account_id
) AS e ON e.account_id = c.id
WHERE
    (c.available, c.held, c.debt) IS DISTINCT FROM (coalesce(e.available, 0), coalesce(e.held, 0), coalesce(e.debt, 0));

-- name: I2 every lot's remainder is the sum of its entries
SELECT l.id AS lot, l.remaining, e.remaining AS by_entries
FROM lot AS l
LEFT JOIN (
    SELECT
        lot_id, sum(CASE 'available' WHEN to_bucket THEN amount WHEN from_bucket THEN -amount ELSE 0 END) AS remaining
    FROM entry
    WHERE lot_id IS NOT NULL
    GROUP BY lot_id
) AS e ON e.lot_id = l.id
WHERE l.remaining <> coalesce(e.remaining, 0);

-- name: I2 what is available is what remains in open lots less the overdraft
SELECT c.id AS account, c.available, coalesce(l.remaining, 0) AS in_lots
FROM account AS c
LEFT JOIN (SELECT account_id, sum(remaining) AS remaining FROM lot GROUP BY account_id) AS l ON l.account_id = c.id
WHERE greatest(c.available, 0) <> coalesce(l.remaining, 0);

-- name: I4 no prefix of an account's entries leaves less than nothing without an overdraft to cover it
SELECT e.account_id AS account, e.sequence, e.available_after
FROM entry AS e
INNER JOIN account AS c ON c.id = e.account_id
WHERE e.available_after < 0 AND c.overdraft_limit = 0;

-- name: I2 each entry's balance follows from the one before
SELECT account_id AS account, sequence, leg, available_after, expected
FROM (
    SELECT
        account_id, sequence, leg, available_after,
        sum(CASE 'available' WHEN to_bucket THEN amount WHEN from_bucket THEN -amount ELSE 0 END)
            OVER (PARTITION BY account_id ORDER BY sequence, leg) AS expected
    FROM entry
) AS chained
WHERE available_after <> expected;

-- name: every account's sequence counts its postings without a gap
SELECT c.id AS account, c.sequence, count(p.sequence) AS postings, max(p.sequence) AS last
FROM account AS c
LEFT JOIN posting AS p ON p.account_id = c.id
GROUP BY c.id
HAVING c.sequence <> count(p.sequence) OR c.sequence <> coalesce(max(p.sequence), 0);

-- name: every posting moves in its entries what it says
SELECT p.account_id AS account, p.sequence, p.type, p.credits, e.moved
FROM posting AS p
LEFT JOIN (
    SELECT
        account_id, sequence,
        sum(CASE
            WHEN from_bucket = 'overdraft' OR to_bucket = 'overdraft' THEN 0
            WHEN from_bucket = 'available' AND to_bucket = 'debt' THEN 0
            WHEN to_bucket = 'available' THEN amount
            ELSE -amount
        END) AS moved
    FROM entry
    GROUP BY account_id, sequence
) AS e ON e.account_id = p.account_id AND e.sequence = p.sequence
WHERE p.credits <> coalesce(e.moved, 0);

-- name: every entry belongs to a posting
SELECT e.account_id AS account, e.sequence
FROM entry AS e
LEFT JOIN posting AS p ON p.account_id = e.account_id AND p.sequence = e.sequence
WHERE p.account_id IS NULL;

-- name: I13 nothing was spent from a lot at or after its expiry
SELECT e.account_id AS account, e.lot_id AS lot, e.at, l.expires_at
FROM entry AS e
INNER JOIN lot AS l ON l.id = e.lot_id
WHERE e.to_bucket = 'revenue' AND e.at >= l.expires_at;

-- name: I13 every lot's grant is spent, expired, taken back, or remains
SELECT l.id AS lot, l.granted, l.remaining, e.gone
FROM lot AS l
LEFT JOIN (
    SELECT
        lot_id,
        sum(CASE WHEN from_bucket = 'available' THEN amount ELSE 0 END)
        - sum(CASE WHEN to_bucket = 'available' THEN amount ELSE 0 END)
        + min(CASE WHEN leg = 0 AND to_bucket = 'available' THEN amount END) AS gone
    FROM entry
    WHERE lot_id IS NOT NULL
    GROUP BY lot_id
) AS e ON e.lot_id = l.id
WHERE l.granted <> l.remaining + coalesce(e.gone, 0);

-- name: I3 one purchase funds at most one lot of a kind
SELECT kind, reference_type, reference_id, count(*) AS lots
FROM lot
GROUP BY kind, reference_type, reference_id
HAVING count(*) > 1;

-- name: a usage is either charged or rejected
SELECT r.account_id AS account, r.source, r.event_id
FROM rejected_usage AS r
INNER JOIN posting AS p ON p.account_id = r.account_id AND p.key = r.key AND p.fingerprint = r.fingerprint
