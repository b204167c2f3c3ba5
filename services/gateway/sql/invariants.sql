-- What must hold in the gateway's books at any moment. Each query returns no row when it does; `scrip verify` runs them.

-- name: every account was opened by somebody
SELECT a.id AS account
FROM account AS a
LEFT JOIN app_user AS u ON a.id = u.account_id
WHERE u.id IS NULL;

-- name: a webhook that was kept says what it is filed under
-- Sought as bytes: what Stripe quotes from people may contain \u0000, which PostgreSQL's JSON functions refuse.
SELECT e.id
FROM stripe_event AS e
WHERE
    position(convert_to('"' || e.id || '"', 'UTF8') IN e.body) = 0
    OR position(convert_to('"' || e.type || '"', 'UTF8') IN e.body) = 0;

-- name: I10 a webhook that was kept is in the outbox, for as long as the outbox remembers
SELECT e.id
FROM stripe_event AS e
WHERE
    e.received_at > (SELECT min(o.recorded_at) FROM outbox AS o WHERE o.topic = 'scrip.stripe.events.v1')
    AND NOT EXISTS (
        SELECT FROM outbox AS o CROSS JOIN LATERAL unnest(o.payloads) AS t (payload)
        WHERE
            o.topic = 'scrip.stripe.events.v1'
            AND o.recorded_at = e.received_at
            AND position(convert_to('"' || e.id || '"', 'UTF8') IN t.payload) > 0
    );
