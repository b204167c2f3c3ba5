-- What usage cost the operator, where its event says so, on the ledger's own day (UTC): revenue is of that day too.
CREATE VIEW usage_cost AS
SELECT
    e.account_id, e.at, e.batch_id, (e.at AT TIME ZONE 'UTC')::date AS day, e.reference_id AS meter, d.currency,
    d.cost AS amount_micros
FROM entry AS e CROSS JOIN LATERAL json_to_record(e.details) AS d (cost bigint, currency text)
WHERE e.type = 'usage' AND e.leg = 0 AND e.details::text LIKE '%"cost":%' AND d.cost IS NOT NULL;
GRANT SELECT ON usage_cost TO app_role;

-- What became of a lot's credits, entry by entry. Burnt are those that went into revenue, or repaid an overdraft or a debt:
-- what was spent then is paid for now. Less what a charge's refund gave back (the lot that it made, if it made one,
-- begins with all of that less than nothing), and less what a payment's refund took back after it was spent, which is
-- owed by others then. Nothing comes back from breakage, nor to the same lot from transit.
CREATE VIEW lot_movement AS
SELECT
    account_id, at, batch_id, (at AT TIME ZONE 'UTC')::date AS day, lot_id,
    CASE
        WHEN to_bucket IN ('revenue', 'overdraft', 'debt') THEN amount
        WHEN from_bucket IN ('revenue', 'debt') THEN -amount
        ELSE 0
    END AS burnt,
    CASE to_bucket WHEN 'breakage' THEN amount ELSE 0 END AS expired,
    CASE to_bucket WHEN 'transit' THEN amount ELSE 0 END AS transferred
FROM entry
WHERE
    lot_id IS NOT NULL
    AND (to_bucket IN ('revenue', 'overdraft', 'debt', 'breakage', 'transit') OR from_bucket IN ('revenue', 'debt'));
GRANT SELECT ON lot_movement TO app_role;

-- The sums of both, day by day; they follow the sealed blocks as those of usage do.
CREATE TABLE cost_day (
    account_id uuid NOT NULL,
    day date NOT NULL,
    meter text NOT NULL,
    currency text NOT NULL,
    amount_micros numeric NOT NULL,
    PRIMARY KEY (account_id, day, meter, currency)
) WITH (fillfactor = 80);
GRANT SELECT, INSERT, UPDATE, DELETE ON cost_day TO app_role;

CREATE TABLE lot_day (
    account_id uuid NOT NULL,
    day date NOT NULL,
    lot_id uuid NOT NULL,
    burnt bigint NOT NULL,
    expired bigint NOT NULL,
    transferred bigint NOT NULL,
    PRIMARY KEY (account_id, day, lot_id)
) WITH (fillfactor = 80);
GRANT SELECT, INSERT, UPDATE, DELETE ON lot_day TO app_role;

-- What is summed already is not in these two: all is summed anew.
TRUNCATE usage_day;
UPDATE usage_summed SET block = 0, last_batch = 0;

-- Who used something on a day.
CREATE INDEX usage_day_by_day ON usage_day (day, account_id) WHERE dimension = '';

-- Days on which an account burnt far more than it ever did lately: what it had burnt when that was noticed, and what is
-- usual. Only ever added to.
CREATE TABLE unusual_day (
    account_id uuid NOT NULL,
    day date NOT NULL,
    burnt bigint NOT NULL,
    usual bigint NOT NULL,
    noticed_at timestamptz NOT NULL,
    PRIMARY KEY (account_id, day)
);
GRANT SELECT, INSERT ON unusual_day TO app_role;
