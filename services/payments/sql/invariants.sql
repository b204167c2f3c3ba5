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

-- name: every card that Stripe keeps belongs to a customer whom Stripe knows as the card's account
SELECT s.id, s.account
FROM saved_card AS s
INNER JOIN customer AS c ON s.account = c.account AND s.livemode = c.livemode
WHERE c.stripe_customer IS NULL;

-- name: every failed attempt, every payment and what went back was told under a revision of its own
SELECT p.id, p.revision, count(f.attempt) AS failed_attempts
FROM purchase AS p
LEFT JOIN failed_attempt AS f ON p.id = f.purchase
GROUP BY p.id
HAVING p.revision < count(f.attempt) + (p.paid_at IS NOT NULL)::int + (p.refunded_minor > 0)::int;

-- name: every answer that was given is about something that is there
SELECT k.caller, k.key, k.subject
FROM idempotency_key AS k
WHERE k.status IS NOT NULL
AND NOT EXISTS (SELECT FROM purchase AS p WHERE p.id = k.subject)
AND NOT EXISTS (SELECT FROM refund AS r WHERE r.id = k.subject)
AND NOT EXISTS (SELECT FROM card_setup AS s WHERE s.id = k.subject);

-- name: a promo code counts its redemptions that are not freed
SELECT p.code, p.redeemed, count(r.purchase) AS redemptions
FROM promo_code AS p
LEFT JOIN promo_redemption AS r ON p.code = r.code AND r.state <> 'freed'
GROUP BY p.code
HAVING p.redeemed <> count(r.purchase);

-- name: a promo code counts the redemptions of each account that are not freed
SELECT c.code, c.account, c.redeemed, r.redemptions
FROM promo_code_account AS c
FULL JOIN (
    SELECT p.code, p.account, count(*) AS redemptions
    FROM promo_redemption AS p
    WHERE p.state <> 'freed'
    GROUP BY p.code, p.account
) AS r ON c.code = r.code AND c.account = r.account
WHERE coalesce(c.redeemed, 0) <> coalesce(r.redemptions, 0);

-- name: a promo code is reserved while its purchase may be paid, redeemed once it is, else freed
SELECT r.purchase, r.code, r.state, p.state AS purchase_state
FROM promo_redemption AS r
INNER JOIN purchase AS p ON r.purchase = p.id
WHERE r.account <> p.account OR r.state <> CASE
    WHEN p.paid_at IS NOT NULL THEN 'redeemed'
    WHEN p.state = 'canceled' THEN 'freed'
    WHEN p.state = 'failed' AND p.payment_intent IS NULL AND p.checkout_session IS NULL THEN 'freed'
    ELSE 'reserved'
END;

-- name: no promo code is redeemed beyond its limit, but by payments of purchases that had ended
SELECT r.code, count(*) AS redemptions, max(r.total_limit) AS total_limit
FROM promo_redemption AS r
WHERE r.state <> 'freed' AND NOT r.after_end
GROUP BY r.code
HAVING bool_and(r.total_limit IS NOT NULL) AND count(*) > max(r.total_limit);

-- name: no account redeems a promo code beyond its limit, but by payments of purchases that had ended
SELECT r.code, r.account, count(*) AS redemptions, max(r.per_account) AS per_account
FROM promo_redemption AS r
WHERE r.state <> 'freed' AND NOT r.after_end
GROUP BY r.code, r.account
HAVING count(*) > max(r.per_account);

-- name: every gift card that is paid for is one voucher, of its worth and its price
SELECT g.id, p.id AS purchase, v.credits, v.cost_minor
FROM gift_card AS g
INNER JOIN purchase AS p ON g.purchase = p.id
LEFT JOIN voucher AS v ON g.id = v.id AND p.id = v.purchase
WHERE
    p.paid_at IS NOT NULL
    AND (v.credits, v.cost_minor, v.currency, v.kind) IS DISTINCT FROM (p.credits, p.amount_minor, p.currency, 'purchased');

-- name: no voucher is of a purchase that is not paid, or that is none of a gift card
SELECT v.id, v.purchase, p.state
FROM voucher AS v
INNER JOIN purchase AS p ON v.purchase = p.id
LEFT JOIN gift_card AS g ON v.id = g.id AND v.purchase = g.purchase
WHERE p.paid_at IS NULL OR g.id IS NULL;

-- name: only a gift card that is paid for is due
SELECT g.id, g.purchase, g.due_at
FROM gift_card AS g
INNER JOIN purchase AS p ON g.purchase = p.id
WHERE (g.due_at IS NULL) <> (p.paid_at IS NULL);

-- name: a gift card has a code once that is told
SELECT g.id, g.told_at
FROM gift_card AS g
INNER JOIN voucher AS v ON g.id = v.id
WHERE (g.told_at IS NULL) <> (v.code_hash IS NULL);

-- name: nobody can redeem a gift card whose price went back, or is disputed
SELECT v.id, v.purchase
FROM voucher AS v
INNER JOIN purchase AS p ON v.purchase = p.id
WHERE
    (p.refunded_minor = p.amount_minor OR p.state = 'disputed')
    AND v.redeemed_at IS NULL AND v.voided_at IS NULL;

-- name: a batch has as many vouchers as it says
SELECT b.id, b.count, count(v.id) AS vouchers
FROM voucher_batch AS b
LEFT JOIN voucher AS v ON b.id = v.batch
GROUP BY b.id
HAVING b.count <> count(v.id);

-- name: what was redeemed was told, again in the same words if at all, and nothing else was
WITH told AS (
    SELECT DISTINCT convert_from(t.payload, 'UTF8')::jsonb -> 'data' AS data
    FROM outbox AS o CROSS JOIN LATERAL unnest(o.payloads) AS t (payload)
    WHERE position('"scrip.voucher.redeemed.v1"'::bytea IN t.payload) > 0
),

redeemed AS (
    SELECT
        'vch_' || replace(v.id::text, '-', '') AS voucher,
        v.redeemed_at >= (SELECT min(o.recorded_at) FROM outbox AS o) AS lately
    FROM voucher AS v
    WHERE v.redeemed_at IS NOT NULL
)

SELECT coalesce(r.voucher, t.data ->> 'voucher') AS voucher, count(t.data) AS wordings
FROM told AS t FULL JOIN redeemed AS r ON t.data ->> 'voucher' = r.voucher
GROUP BY 1
HAVING count(r.voucher) = 0 OR count(t.data) > 1 OR (count(t.data) = 0 AND bool_or(r.lately));

-- name: what was told to be gone of a gift card is noted with it, so that it can be told again
WITH told AS (
    SELECT convert_from(t.payload, 'UTF8')::jsonb -> 'data' AS data
    FROM outbox AS o CROSS JOIN LATERAL unnest(o.payloads) AS t (payload)
    WHERE position('"scrip.gift_card.taken_back.v1"'::bytea IN t.payload) > 0
)

SELECT t.data ->> 'voucher' AS voucher, t.data ->> 'revision' AS told, v.taken_back_revision AS noted
FROM told AS t
LEFT JOIN voucher AS v ON t.data ->> 'voucher' = 'vch_' || replace(v.id::text, '-', '')
WHERE
    coalesce(v.taken_back_revision, 0) < (t.data ->> 'revision')::int
    OR (
        v.taken_back_revision = (t.data ->> 'revision')::int
        AND v.taken_back <> (t.data ->> 'credits')::numeric * 1000000
    );

-- name: a gift card whose code is told was told once
WITH told AS (
    SELECT convert_from(t.payload, 'UTF8')::jsonb -> 'data' ->> 'gift_card' AS gift_card
    FROM outbox AS o CROSS JOIN LATERAL unnest(o.payloads) AS t (payload)
    WHERE position('"scrip.gift_card.issued.v1"'::bytea IN t.payload) > 0
),

due AS (
    SELECT 'gft_' || replace(g.id::text, '-', '') AS gift_card
    FROM gift_card AS g
    WHERE g.told_at >= (SELECT min(o.recorded_at) FROM outbox AS o)
)

SELECT coalesce(t.gift_card, d.gift_card) AS gift_card, count(t.gift_card) AS times
FROM told AS t FULL JOIN due AS d ON t.gift_card = d.gift_card
GROUP BY 1
HAVING count(t.gift_card) <> 1 OR count(d.gift_card) <> 1;

-- name: what banks have of a purchase is the sum of the disputes by which they took it, at most all of it
SELECT p.id, p.withdrawn_minor, d.withdrawn_minor AS by_disputes
FROM purchase AS p
LEFT JOIN (
    SELECT purchase, sum(amount_minor) FILTER (WHERE withdrawn) AS withdrawn_minor FROM dispute GROUP BY purchase
) AS d ON p.id = d.purchase
WHERE p.withdrawn_minor <> least(coalesce(d.withdrawn_minor, 0), p.amount_minor);

-- name: a purchase is disputed while a dispute of it is open, and once one is lost
SELECT p.id, p.state
FROM purchase AS p
WHERE (p.state = 'disputed') <> EXISTS (SELECT FROM dispute AS d WHERE d.purchase = p.id AND d.state IN ('open', 'lost'));

-- name: of what is sold at most one price in a currency is active at Stripe
SELECT livemode, name, fixed ->> 'currency' AS currency, count(*) AS prices
FROM counterpart
WHERE kind = 'price' AND (said ->> 'active')::boolean
GROUP BY livemode, name, fixed ->> 'currency'
HAVING count(*) > 1;

-- name: what is active at Stripe has Stripe's id once Stripe has answered
SELECT id, kind, name
FROM counterpart
WHERE told = revision AND stripe_id IS NULL AND (said ->> 'active')::boolean IS NOT FALSE;
