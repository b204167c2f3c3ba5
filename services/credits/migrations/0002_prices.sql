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

-- Versions of the price book, each active from an instant until the next one is. Only ever added to: what priced an entry
-- stays what it was. Active from the beginning is the first one.
CREATE TABLE price_book (
    version text PRIMARY KEY,
    book json NOT NULL,
    active_from timestamptz NOT NULL,
    activated_by text NOT NULL,
    activated_at timestamptz NOT NULL,
    CONSTRAINT one_book_at_a_time UNIQUE (active_from)
);
GRANT SELECT, INSERT ON price_book TO app_role;

-- Versions that nothing was priced by yet: to be changed at will.
CREATE TABLE price_book_draft (
    version text PRIMARY KEY,
    book json NOT NULL,
    drafted_by text NOT NULL,
    drafted_at timestamptz NOT NULL
);
GRANT SELECT, INSERT, UPDATE, DELETE ON price_book_draft TO app_role;
