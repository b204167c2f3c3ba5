-- What each posting that spends, or gives back what was spent, did: one row for it, whatever lots it touched.
CREATE VIEW spending AS
SELECT
    account_id, at, sequence, batch_id, min(type) AS type,
    sum(CASE 'revenue'::bucket WHEN to_bucket THEN amount WHEN from_bucket THEN -amount ELSE 0 END) AS credits,
    min(reference_id) FILTER (WHERE leg = 0) AS reference_id,
    min(details::text) FILTER (WHERE leg = 0) AS details
FROM entry
WHERE type IN ('usage', 'charge', 'capture', 'charge_refund')
GROUP BY account_id, at, sequence, batch_id;
GRANT SELECT ON spending TO app_role;

-- The same, by what was used: its day (UTC, of its own time), its meter (none where an amount was named), who used it.
-- A capture says nothing of that itself, its hold does, and the first one counts the usage; but a lease's settlements do.
-- A charge's refund is of what was charged.
CREATE VIEW usage_spending AS
SELECT
    s.account_id, s.at, s.batch_id, s.credits, d.properties, n.usages, coalesce(h.actor, d.actor) AS actor,
    (coalesce(to_timestamp(d."time"), s.at) AT TIME ZONE 'UTC')::date AS day,
    CASE s.type WHEN 'usage' THEN s.reference_id ELSE coalesce(d.meter, '') END AS meter,
    CASE WHEN s.type = 'capture' AND s.details IS NOT NULL THEN 1 ELSE n.usages END
    * coalesce(d.quantity, 0) AS quantity
FROM spending AS s
LEFT JOIN hold AS h ON h.id = CASE s.type WHEN 'capture' THEN substr(s.reference_id, 5)::uuid END
LEFT JOIN charge AS c ON c.id = CASE s.type WHEN 'charge_refund' THEN substr(s.reference_id, 5)::uuid END
LEFT JOIN LATERAL json_to_record(coalesce(s.details::json, h.details, c.details))
    AS d ("time" bigint, meter text, actor text, quantity numeric, properties json) ON true
CROSS JOIN LATERAL (
    SELECT CASE s.type
        WHEN 'charge_refund' THEN 0
        WHEN 'capture' THEN (NOT EXISTS (
            SELECT FROM entry AS before
            WHERE
                before.account_id = s.account_id AND before.reference_id = s.reference_id
                AND before.reference_type IS NOT NULL AND before.type = 'capture'
                AND before.at BETWEEN h.placed_at AND s.at AND before.sequence < s.sequence
        ))::int
        ELSE 1
    END AS usages
) AS n;
GRANT SELECT ON usage_spending TO app_role;

-- Its sums, day by day: of a meter (`dimension` is empty), and of that by who used it and by a property's values. Follows
-- the sealed blocks: `usage_summed` says up to which.
CREATE TABLE usage_day (
    account_id uuid NOT NULL,
    day date NOT NULL,
    meter text NOT NULL,
    dimension text NOT NULL,
    value text NOT NULL,
    usages bigint NOT NULL,
    quantity numeric NOT NULL,
    credits bigint NOT NULL,
    PRIMARY KEY (account_id, day, meter, dimension, value)
) WITH (fillfactor = 80);
GRANT SELECT, INSERT, UPDATE, DELETE ON usage_day TO app_role;

CREATE TABLE usage_summed (
    only_row boolean PRIMARY KEY DEFAULT true,
    block bigint NOT NULL,
    last_batch bigint NOT NULL,
    CONSTRAINT there_is_one_row CHECK (only_row)
);
INSERT INTO usage_summed (block, last_batch) VALUES (0, 0);
GRANT SELECT, UPDATE ON usage_summed TO app_role;
