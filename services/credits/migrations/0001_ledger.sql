-- The ledger. Micro-credits everywhere: 1 credit = 1 000 000. Names are unqualified: a ledger cell is a schema.

CREATE TABLE account (
    id uuid PRIMARY KEY,
    state text NOT NULL DEFAULT 'open',
    -- below zero it is the overdraft; the remaining credits of open lots, less the overdraft, are what is available
    available bigint NOT NULL DEFAULT 0,
    held bigint NOT NULL DEFAULT 0,
    debt bigint NOT NULL DEFAULT 0,
    overdraft_limit bigint NOT NULL DEFAULT 0,
    sequence bigint NOT NULL DEFAULT 0,
    earned bigint NOT NULL DEFAULT 0,
    purchased bigint NOT NULL DEFAULT 0,
    spent bigint NOT NULL DEFAULT 0,
    expired bigint NOT NULL DEFAULT 0,
    refunded bigint NOT NULL DEFAULT 0,
    opened_at timestamptz NOT NULL,
    changed_at timestamptz NOT NULL,
    CONSTRAINT state_is_known CHECK (state IN ('open', 'frozen', 'closed')),
    CONSTRAINT held_is_not_negative CHECK (held >= 0),
    CONSTRAINT debt_is_not_negative CHECK (debt >= 0),
    CONSTRAINT overdraft_limit_is_not_negative CHECK (overdraft_limit >= 0)
) WITH (fillfactor = 60);
GRANT SELECT, INSERT, UPDATE ON account TO app_role;

CREATE TABLE lot (
    id uuid PRIMARY KEY,
    account_id uuid NOT NULL,
    kind text NOT NULL,
    priority smallint NOT NULL,
    granted bigint NOT NULL,
    remaining bigint NOT NULL,
    -- flips once, when nothing remains: keeps `remaining` out of every index, so that a burn updates in place
    open boolean NOT NULL,
    taken_back bigint NOT NULL DEFAULT 0,
    revision int NOT NULL DEFAULT 0,
    cost_minor bigint,
    currency text,
    reference_type text NOT NULL,
    reference_id text NOT NULL,
    granted_at timestamptz NOT NULL,
    expires_at timestamptz,
    CONSTRAINT kind_is_known
    CHECK (kind IN ('purchased', 'membership', 'promotional', 'refunded', 'granted', 'transferred')),
    CONSTRAINT remaining_is_part_of_granted CHECK (remaining BETWEEN 0 AND granted),
    CONSTRAINT taken_back_is_part_of_granted CHECK (taken_back BETWEEN 0 AND granted),
    CONSTRAINT an_open_lot_has_something CHECK (open = (remaining > 0)),
    CONSTRAINT cost_is_money CHECK ((cost_minor IS NULL) = (currency IS NULL)),
    CONSTRAINT a_reference_funds_one_lot_of_a_kind UNIQUE (kind, reference_type, reference_id)
) WITH (fillfactor = 80);
CREATE INDEX lot_open ON lot (account_id, priority, expires_at, id) WHERE open;
CREATE INDEX lot_of_account ON lot (account_id, id);
CREATE INDEX lot_expiring ON lot (expires_at) WHERE open AND expires_at IS NOT NULL;
GRANT SELECT, INSERT, UPDATE ON lot TO app_role;

-- One row for each posting that was accepted: what the customer sees as a transaction, and what deduplicates.
CREATE TABLE posting (
    account_id uuid NOT NULL,
    key bytea NOT NULL,
    fingerprint bytea NOT NULL,
    id uuid NOT NULL,
    sequence bigint NOT NULL,
    type text NOT NULL,
    credits bigint NOT NULL,
    available_after bigint NOT NULL,
    reference_type text NOT NULL,
    reference_id text NOT NULL,
    description text NOT NULL,
    details jsonb NOT NULL,
    price_version text,
    at timestamptz NOT NULL,
    PRIMARY KEY (account_id, key),
    CONSTRAINT a_change_has_its_own_sequence UNIQUE (account_id, sequence)
);
GRANT SELECT, INSERT ON posting TO app_role;

-- The journal: each row moves an amount from one bucket to another. Only ever added to.
CREATE TABLE entry (
    account_id uuid NOT NULL,
    sequence bigint NOT NULL,
    leg smallint NOT NULL,
    lot_id uuid,
    from_bucket text NOT NULL,
    to_bucket text NOT NULL,
    amount bigint NOT NULL,
    available_after bigint NOT NULL,
    held_after bigint NOT NULL,
    debt_after bigint NOT NULL,
    at timestamptz NOT NULL,
    PRIMARY KEY (account_id, sequence, leg),
    CONSTRAINT amount_is_positive CHECK (amount > 0),
    CONSTRAINT buckets_differ CHECK (from_bucket <> to_bucket)
);
GRANT SELECT, INSERT ON entry TO app_role;

-- Usage that was refused: kept apart, no sequence taken, so that the decision stays what it was.
CREATE TABLE rejected_usage (
    account_id uuid NOT NULL,
    key bytea NOT NULL,
    fingerprint bytea NOT NULL,
    source text NOT NULL,
    event_id text NOT NULL,
    meter text NOT NULL,
    event jsonb NOT NULL,
    code text NOT NULL,
    detail text NOT NULL,
    required bigint,
    available bigint,
    at timestamptz NOT NULL,
    PRIMARY KEY (account_id, key, fingerprint)
);
GRANT SELECT, INSERT ON rejected_usage TO app_role;

-- Accounts whose balance changed and has not been announced; a row per batch, deleted once told.
CREATE TABLE balance_change (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account_ids uuid[] NOT NULL
);
GRANT SELECT, INSERT, DELETE ON balance_change TO app_role;

-- A running sum that passes over what does not fit: a rejected spend takes nothing, a later smaller one may pass.
-- (PL/pgSQL because an SQL function is not inlined into an aggregate and is planned at each call.)
CREATE FUNCTION take_if_fits(taken bigint, amount bigint, capacity bigint) RETURNS bigint
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
AS $$ BEGIN RETURN CASE WHEN taken + amount <= capacity THEN taken + amount ELSE taken END; END $$;
CREATE AGGREGATE greedy_sum(bigint, bigint) (SFUNC = take_if_fits, STYPE = bigint, INITCOND = '0')
