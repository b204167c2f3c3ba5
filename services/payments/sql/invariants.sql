-- What holds for ever in the payments database, beyond what its constraints say: each query returns no row.

-- name: what went back of a purchase is the sum of its refunds that Stripe has made
SELECT p.id, p.refunded_minor, coalesce(sum(r.amount_minor), 0) AS refunds_minor
FROM purchase AS p
LEFT JOIN refund AS r ON p.id = r.purchase AND r.state IN ('pending', 'succeeded')
GROUP BY p.id
HAVING p.refunded_minor <> coalesce(sum(r.amount_minor), 0);

-- name: refunds never exceed the payment
SELECT p.id, p.amount_minor, sum(r.amount_minor) AS refunds_minor
FROM purchase AS p
INNER JOIN refund AS r ON p.id = r.purchase AND r.state IN ('pending', 'succeeded')
GROUP BY p.id
HAVING sum(r.amount_minor) > p.amount_minor;

-- name: only what was paid is refunded
SELECT r.id, p.id AS purchase, p.state
FROM refund AS r
INNER JOIN purchase AS p ON r.purchase = p.id
WHERE p.paid_at IS NULL;

-- name: every payment at Stripe belongs to a customer whom Stripe knows as the purchase's account
SELECT p.id, p.payment_intent, p.checkout_session
FROM purchase AS p
INNER JOIN customer AS c ON p.account = c.account AND p.livemode = c.livemode
WHERE (p.payment_intent IS NOT NULL OR p.checkout_session IS NOT NULL) AND c.stripe_customer IS NULL;

-- name: every failed attempt, every payment and what went back was told under a revision of its own
SELECT p.id, p.revision, count(f.attempt) AS failed_attempts
FROM purchase AS p
LEFT JOIN failed_attempt AS f ON p.id = f.purchase
GROUP BY p.id
HAVING p.revision < count(f.attempt) + (p.paid_at IS NOT NULL)::int + (p.refunded_minor > 0)::int;

-- name: every answer that was given is about a purchase or a refund that is there
SELECT k.caller, k.key, k.subject
FROM idempotency_key AS k
WHERE k.status IS NOT NULL
AND NOT EXISTS (SELECT FROM purchase AS p WHERE p.id = k.subject)
AND NOT EXISTS (SELECT FROM refund AS r WHERE r.id = k.subject);
