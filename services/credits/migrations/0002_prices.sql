-- What accounts used of the meters whose prices depend on it (tiers, allowances), by period: `2026-11`, `2026-11-22`.
-- In millionths of the meter's own unit; whoever writes one has locked the account.
CREATE TABLE meter_count (
    account_id uuid NOT NULL,
    meter text NOT NULL,
    period text NOT NULL,
    used numeric(60, 0) NOT NULL,
    PRIMARY KEY (account_id, meter, period),
    CONSTRAINT used_is_not_negative CHECK (used >= 0)
) WITH (fillfactor = 80);
GRANT SELECT, INSERT, UPDATE ON meter_count TO app_role;
