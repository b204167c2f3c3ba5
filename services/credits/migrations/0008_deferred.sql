-- What was paid for credits that are not used yet.

-- What was paid for so many of a lot's credits, the first that left it: its whole minor units, so that all that ever left
-- it comes to what was paid for all, whatever the steps.
CREATE FUNCTION paid_for(cost_minor bigint, granted bigint, credits bigint) RETURNS bigint LANGUAGE sql IMMUTABLE
RETURN div(cost_minor::numeric * credits, granted);

-- The same for those that left it on a day in each way, one after the other, after so many had left it before.
CREATE FUNCTION paid_for_day(
    cost_minor bigint, granted bigint, gone_before bigint, taken_back bigint, expired bigint, transferred bigint, burnt bigint
)
RETURNS TABLE (returned_minor bigint, breakage_minor bigint, transferred_minor bigint, recognised_minor bigint)
LANGUAGE sql IMMUTABLE AS $$
SELECT
    upto.returned - upto.nothing, upto.breakage - upto.returned, upto.given - upto.breakage, upto.everything - upto.given
FROM (
    SELECT
        paid_for(cost_minor, granted, gone_before) AS nothing,
        paid_for(cost_minor, granted, gone_before + taken_back) AS returned,
        paid_for(cost_minor, granted, gone_before + taken_back + expired) AS breakage,
        paid_for(cost_minor, granted, gone_before + taken_back + expired + transferred) AS given,
        paid_for(cost_minor, granted, gone_before + taken_back + expired + transferred + burnt) AS everything
) AS upto
$$;

-- Beside what was burnt, expired and was transferred: what refunds and disputes took back, less what came back.
CREATE OR REPLACE VIEW lot_movement AS
SELECT
    account_id, at, batch_id, (at AT TIME ZONE 'UTC')::date AS day, lot_id,
    CASE
        WHEN to_bucket IN ('revenue', 'overdraft', 'debt') THEN amount
        WHEN from_bucket IN ('revenue', 'debt') THEN -amount
        ELSE 0
    END AS burnt,
    CASE to_bucket WHEN 'breakage' THEN amount ELSE 0 END AS expired,
    CASE to_bucket WHEN 'transit' THEN amount ELSE 0 END AS transferred,
    CASE 'stripe'::bucket WHEN to_bucket THEN amount WHEN from_bucket THEN -amount ELSE 0 END AS taken_back
FROM entry
WHERE
    lot_id IS NOT NULL
    AND (
        to_bucket IN ('revenue', 'overdraft', 'debt', 'breakage', 'transit', 'stripe') OR from_bucket IN ('revenue', 'debt')
        OR (from_bucket = 'stripe' AND type = 'payment_refund')
    );

-- Lots that were paid for, when they were granted.
CREATE VIEW lot_sold AS
SELECT e.account_id, e.at, e.batch_id, (e.at AT TIME ZONE 'UTC')::date AS day, l.currency, l.cost_minor
FROM entry AS e INNER JOIN lot AS l ON l.id = e.lot_id
WHERE l.cost_minor IS NOT NULL AND e.from_bucket IN ('stripe', 'promotion') AND e.type <> 'payment_refund';
GRANT SELECT ON lot_sold TO app_role;

-- How many credits had left a lot that was paid for before the day. Days of a lot follow each other: once there is a row
-- of one, none of those before changes.
ALTER TABLE lot_day ADD COLUMN taken_back bigint NOT NULL DEFAULT 0;
ALTER TABLE lot_day ADD COLUMN gone_before bigint NOT NULL DEFAULT 0;

-- The sums of what that comes to, day by day.
CREATE TABLE deferred_day (
    day date NOT NULL,
    currency text NOT NULL,
    sold_minor numeric NOT NULL,
    recognised_minor numeric NOT NULL,
    returned_minor numeric NOT NULL,
    breakage_minor numeric NOT NULL,
    transferred_minor numeric NOT NULL,
    PRIMARY KEY (day, currency)
) WITH (fillfactor = 80);
GRANT SELECT, INSERT, UPDATE, DELETE ON deferred_day TO app_role;

-- What is summed already is not in these: all is summed anew.
TRUNCATE usage_day, cost_day, lot_day;
UPDATE usage_summed SET block = 0, last_batch = 0;
