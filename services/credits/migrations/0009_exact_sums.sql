-- By which properties usage is told apart, from the batches after one on. That is what the price book says when blocks
-- are summed: without this nobody could tell afterwards what the sums of properties should be.
CREATE TABLE usage_told_apart (
    after_batch bigint PRIMARY KEY,
    properties text [] NOT NULL
);
GRANT SELECT, INSERT, UPDATE, DELETE ON usage_told_apart TO app_role;

-- Days that were over when an account's sums of them changed: to be looked at once more for what is unusual.
CREATE TABLE late_day (
    account_id uuid NOT NULL,
    day date NOT NULL,
    PRIMARY KEY (account_id, day)
);
GRANT SELECT, INSERT, UPDATE, DELETE ON late_day TO app_role;

-- Up to which batch sums were there before they began anew: what is summed again is nothing that comes late.
ALTER TABLE usage_summed ADD COLUMN before_anew bigint NOT NULL DEFAULT 0;

-- Of what is summed already it is not known how it was told apart: all is summed anew.
TRUNCATE usage_day, cost_day, lot_day, deferred_day;
UPDATE usage_summed SET block = 0, last_batch = 0, before_anew = last_batch;
