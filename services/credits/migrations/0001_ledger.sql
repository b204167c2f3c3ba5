-- The ledger. Micro-credits everywhere: 1 credit = 1 000 000. Names are unqualified: a ledger cell is a schema.

CREATE TYPE bucket AS ENUM (
    'available', 'held', 'overdraft', 'debt', 'revenue', 'breakage', 'transit', 'stripe', 'promotion'
);
CREATE TYPE posting_type AS ENUM (
    'purchase', 'membership', 'bonus', 'earned', 'granted', 'usage', 'charge', 'charge_refund', 'payment_refund',
    'hold', 'capture', 'release', 'transfer', 'expiry', 'adjustment'
);

CREATE TABLE account (
    id uuid PRIMARY KEY,
    state text NOT NULL DEFAULT 'open',
    -- below zero it is the overdraft; the remaining credits of open lots, less the overdraft, are what is available
    available bigint NOT NULL DEFAULT 0,
    held bigint NOT NULL DEFAULT 0,
    debt bigint NOT NULL DEFAULT 0,
    -- its own, if not the deployment's; and the furthest under which it ever spent more than it had
    overdraft_limit bigint,
    overdraft_ever bigint NOT NULL DEFAULT 0,
    sequence bigint NOT NULL DEFAULT 0,
    -- the lot that burns next, and what remains of it: its own row lags behind (see the view lot_now)
    head_lot uuid,
    head_remaining bigint NOT NULL DEFAULT 0,
    -- nothing of the account expires before this
    next_due timestamptz,
    earned bigint NOT NULL DEFAULT 0,
    purchased bigint NOT NULL DEFAULT 0,
    spent bigint NOT NULL DEFAULT 0,
    expired bigint NOT NULL DEFAULT 0,
    refunded bigint NOT NULL DEFAULT 0,
    -- its own threshold, if not the deployment's; whether it is below, null until it has been above
    low_below bigint,
    low boolean,
    -- when a runaway's stop ends by itself
    resumes_at timestamptz,
    -- whether any of those who spend of it has limits of his own
    limits_actors boolean NOT NULL DEFAULT false,
    -- what was spent in this hour and the one before, and how often on its day; kept where that is limited
    hour timestamptz,
    hour_spent bigint NOT NULL DEFAULT 0,
    hour_before_spent bigint NOT NULL DEFAULT 0,
    day_spends int NOT NULL DEFAULT 0,
    opened_at timestamptz NOT NULL,
    changed_at timestamptz NOT NULL,
    CONSTRAINT state_is_known CHECK (state IN ('open', 'stopped', 'frozen', 'closed')),
    CONSTRAINT only_what_is_stopped_resumes CHECK (resumes_at IS NULL OR state = 'stopped'),
    CONSTRAINT low_below_is_not_negative CHECK (low_below >= 0),
    CONSTRAINT held_is_not_negative CHECK (held >= 0),
    CONSTRAINT debt_is_not_negative CHECK (debt >= 0),
    CONSTRAINT overdraft_limit_is_not_negative CHECK (overdraft_limit >= 0),
    CONSTRAINT a_head_has_something CHECK ((head_lot IS NULL) = (head_remaining = 0) AND head_remaining >= 0)
) WITH (fillfactor = 60);
CREATE INDEX account_due ON account (next_due) WHERE next_due IS NOT NULL;
GRANT SELECT, INSERT, UPDATE ON account TO app_role;

-- Who froze an account, let it go on or closed it, when, and why. Only ever added to.
CREATE TABLE state_change (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account_id uuid NOT NULL,
    state text NOT NULL,
    changed_by text NOT NULL,
    reason text NOT NULL,
    at timestamptz NOT NULL,
    CONSTRAINT state_is_known CHECK (state IN ('open', 'frozen', 'closed'))
);
CREATE INDEX state_change_of_account ON state_change (account_id, id);
GRANT SELECT, INSERT ON state_change TO app_role;

CREATE TABLE lot (
    id uuid PRIMARY KEY,
    account_id uuid NOT NULL,
    kind text NOT NULL,
    priority smallint NOT NULL,
    granted bigint NOT NULL,
    remaining bigint NOT NULL,
    -- flips when nothing remains: keeps `remaining` out of every index, so that a burn updates in place
    open boolean NOT NULL,
    taken_back bigint NOT NULL DEFAULT 0,
    revision int NOT NULL DEFAULT 0,
    cost_minor bigint,
    currency text,
    reference_type text NOT NULL,
    reference_id text NOT NULL,
    granted_at timestamptz NOT NULL,
    expires_at timestamptz,
    -- when its owner was told that it will expire
    warned_at timestamptz,
    CONSTRAINT kind_is_known
    CHECK (kind IN ('purchased', 'membership', 'promotional', 'refunded', 'granted', 'transferred')),
    CONSTRAINT remaining_is_part_of_granted CHECK (remaining BETWEEN 0 AND granted),
    CONSTRAINT taken_back_is_part_of_granted CHECK (taken_back BETWEEN 0 AND granted),
    CONSTRAINT an_open_lot_has_something CHECK (open = (remaining > 0)),
    CONSTRAINT cost_is_money CHECK ((cost_minor IS NULL) = (currency IS NULL)),
    CONSTRAINT a_reference_funds_one_lot_of_a_kind UNIQUE (kind, reference_type, reference_id)
) WITH (fillfactor = 80);
CREATE INDEX lot_open ON lot (account_id) WHERE open;
CREATE INDEX lot_of_account ON lot (account_id, id);
CREATE INDEX lot_to_warn_of ON lot (expires_at) WHERE open AND expires_at IS NOT NULL AND warned_at IS NULL;
GRANT SELECT, INSERT, UPDATE ON lot TO app_role;

-- Lots as they are: what remains of a head stands with its account.
CREATE VIEW lot_now AS
SELECT
    l.id, l.account_id, l.kind, l.priority, l.granted,
    CASE WHEN l.id = a.head_lot THEN a.head_remaining ELSE l.remaining END AS remaining,
    l.open, l.taken_back, l.revision, l.cost_minor, l.currency, l.reference_type, l.reference_id, l.granted_at,
    l.expires_at
FROM lot AS l INNER JOIN account AS a ON a.id = l.account_id;
GRANT SELECT ON lot_now TO app_role;

CREATE TABLE hold (
    id uuid PRIMARY KEY,
    account_id uuid NOT NULL,
    state text NOT NULL,
    reserved bigint NOT NULL,
    captured bigint NOT NULL,
    placed_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    ends_by timestamptz NOT NULL,
    reference_type text,
    reference_id text,
    description text,
    details json,
    -- [{lot, reserved, left}]: what was burnt into it, in order
    parts jsonb NOT NULL,
    actor text,
    settled_at timestamptz,
    CONSTRAINT state_is_known CHECK (state IN ('pending', 'captured', 'released', 'expired')),
    CONSTRAINT reserved_is_positive CHECK (reserved > 0),
    CONSTRAINT captured_is_not_negative CHECK (captured >= 0),
    CONSTRAINT a_hold_is_settled_once CHECK ((state = 'pending') = (settled_at IS NULL)),
    CONSTRAINT a_hold_ends_in_time CHECK (expires_at <= ends_by)
) WITH (fillfactor = 70);
CREATE INDEX hold_of_account ON hold (account_id, id);
CREATE INDEX hold_pending ON hold (account_id, expires_at) WHERE state = 'pending';
GRANT SELECT, INSERT, UPDATE ON hold TO app_role;

CREATE TABLE charge (
    id uuid PRIMARY KEY,
    account_id uuid NOT NULL,
    amount bigint NOT NULL,
    refunded bigint NOT NULL,
    reference_type text,
    reference_id text,
    description text,
    details json,
    charged_at timestamptz NOT NULL,
    CONSTRAINT amount_is_not_negative CHECK (amount >= 0),
    CONSTRAINT refunded_is_part_of_amount CHECK (refunded BETWEEN 0 AND amount),
    CONSTRAINT a_reference_is_charged_once UNIQUE (account_id, reference_type, reference_id)
) WITH (fillfactor = 90);
GRANT SELECT, INSERT, UPDATE ON charge TO app_role;

-- One row for each application of a batch; its entries carry its id. Who inserts one has locked an account before, and
-- so has a transaction id that is older than the batch's: by that the sealing job knows when no lower id can follow.
CREATE TABLE batch (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    entries int NOT NULL,
    at timestamptz NOT NULL
);
GRANT SELECT, INSERT ON batch TO app_role;

-- The chain: a block seals the batches above those of the block before it, up to `last_batch`. Only ever added to.
CREATE TABLE block (
    number bigint PRIMARY KEY,
    last_batch bigint NOT NULL,
    batches bigint [] NOT NULL,
    -- beside the batches: the hash over each one's entries, and two bytes of every entry's own to find a changed one by
    hashes bytea [] NOT NULL,
    marks bytea [] NOT NULL,
    entries bigint NOT NULL,
    -- over the hash of the block before and all of this one
    hash bytea NOT NULL,
    sealed_at timestamptz NOT NULL,
    CONSTRAINT a_batch_ends_one_block UNIQUE (last_batch),
    CONSTRAINT blocks_are_counted_from_one CHECK (number > 0),
    CONSTRAINT a_hash_for_every_batch CHECK (cardinality(batches) = cardinality(hashes)),
    CONSTRAINT marks_for_every_batch CHECK (cardinality(batches) = cardinality(marks))
);
GRANT SELECT, INSERT ON block TO app_role;

-- The journal: each row moves an amount from one bucket to another. Only ever added to. A posting's first row also
-- says what the posting was for, and by its key deduplicates: checked under the account's lock, since an index over
-- partitions by time cannot be unique in anything but time.
CREATE TABLE entry (
    account_id uuid NOT NULL,
    key uuid NOT NULL,
    lot_id uuid,
    fingerprint uuid,
    at timestamptz NOT NULL,
    sequence bigint NOT NULL,
    batch_id bigint NOT NULL,
    amount bigint NOT NULL,
    available_after bigint NOT NULL,
    held_after bigint NOT NULL,
    debt_after bigint NOT NULL,
    type posting_type NOT NULL,
    from_bucket bucket NOT NULL,
    to_bucket bucket NOT NULL,
    leg smallint NOT NULL,
    reference_type text,
    reference_id text,
    description text,
    price_version text,
    details json,
    PRIMARY KEY (account_id, at, sequence, leg),
    CONSTRAINT amount_is_not_negative CHECK (amount >= 0),
    CONSTRAINT buckets_differ CHECK (from_bucket <> to_bucket),
    CONSTRAINT the_first_leg_says_what_for CHECK ((leg = 0) = (fingerprint IS NOT NULL))
) PARTITION BY RANGE (at);
CREATE INDEX entry_key ON entry (key);
-- What users ask of their transactions; usage, by far the most of them, is in neither of the two.
CREATE INDEX entry_type ON entry (account_id, type, at, sequence) WHERE leg = 0 AND type <> 'usage';
CREATE INDEX entry_reference ON entry (account_id, reference_id, at, sequence) WHERE reference_type IS NOT NULL;
CREATE INDEX entry_batch ON entry USING brin (batch_id) WITH (pages_per_range = 32, autosummarize = on);
-- the months are made by always/journal_months.sql
CREATE TABLE entry_otherwise PARTITION OF entry DEFAULT;
GRANT SELECT, INSERT ON entry TO app_role;

-- Each entry's own hash, over its canonical bytes: buckets of which no name begins another, then the type, which the
-- zeros that follow end, then the rest with types and lengths. What is sealed so cannot be hashed otherwise later.
CREATE VIEW entry_hash AS
SELECT
    account_id, at, sequence, leg, batch_id,
    sha256(
        enum_send(from_bucket) || enum_send(to_bucket) || enum_send(type)
        || record_send(row(
            account_id, sequence, leg, key, at, amount, available_after, held_after, debt_after, lot_id, fingerprint,
            reference_type, reference_id, description, price_version, details
        ))
    ) AS hash
FROM entry;
GRANT SELECT ON entry_hash TO app_role;

-- Tells the index of batches of the journal's newest pages, which autovacuum does too late for the sealing job, and the
-- tables' owner alone may do. Vacuum has precedence.
CREATE FUNCTION summarise_newest_entries(at timestamptz) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT SET lock_timeout = '20ms' AS $$
DECLARE
    month regclass := coalesce(to_regclass(to_char(at AT TIME ZONE 'UTC', '"entry_"YYYY"_"MM')), 'entry_otherwise');
    pages bigint := pg_relation_size(month) / current_setting('block_size')::int;
    index regclass;
BEGIN
    SELECT i.indexrelid INTO index FROM pg_index AS i INNER JOIN pg_inherits AS h ON h.inhrelid = i.indexrelid
     WHERE i.indrelid = month AND h.inhparent = 'entry_batch'::regclass;
    FOR page IN greatest(pages - 4096, 0) / 32 .. pages / 32 LOOP
        PERFORM brin_summarize_range(index, page * 32);
    END LOOP;
EXCEPTION WHEN lock_not_available THEN NULL;
END $$;
REVOKE ALL ON FUNCTION summarise_newest_entries (timestamptz) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION summarise_newest_entries (timestamptz) TO app_role;

-- Usage that was refused: kept apart, no sequence taken, so that the decision stays what it was.
CREATE TABLE rejected_usage (
    key uuid NOT NULL,
    fingerprint uuid NOT NULL,
    account_id uuid NOT NULL,
    source text NOT NULL,
    event_id text NOT NULL,
    meter text NOT NULL,
    -- as it came: a JSON document may hold what jsonb does not (a NUL, a number beyond all bounds)
    event text NOT NULL,
    code text NOT NULL,
    detail text NOT NULL,
    required bigint,
    available bigint,
    at timestamptz NOT NULL,
    PRIMARY KEY (key, fingerprint)
);
CREATE INDEX rejected_usage_of_account ON rejected_usage (account_id, at);
GRANT SELECT, INSERT ON rejected_usage TO app_role;

-- Accounts whose balance changed and has not been announced; a row per batch, deleted once told.
CREATE TABLE balance_change (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account_ids uuid [] NOT NULL
);
GRANT SELECT, INSERT, DELETE ON balance_change TO app_role;

-- Who spends of an account, such as `user:usr_...`: kept where he has limits, or all who spend have.
CREATE TABLE actor (
    account_id uuid NOT NULL,
    name text NOT NULL,
    day_limit bigint,
    month_limit bigint,
    stopped boolean NOT NULL DEFAULT false,
    resumes_at timestamptz,
    -- what he spent in this hour and the one before, on its day, in its month
    hour timestamptz,
    hour_spent bigint NOT NULL DEFAULT 0,
    hour_before_spent bigint NOT NULL DEFAULT 0,
    day_spent bigint NOT NULL DEFAULT 0,
    month_spent bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (account_id, name),
    CONSTRAINT a_days_limit_is_not_negative CHECK (day_limit >= 0),
    CONSTRAINT a_months_limit_is_not_negative CHECK (month_limit >= 0),
    CONSTRAINT only_who_is_stopped_resumes CHECK (resumes_at IS NULL OR stopped)
) WITH (fillfactor = 80);
GRANT SELECT, INSERT, UPDATE ON actor TO app_role;

-- What staff give, to one or to many; rows are worked off in batches, each in one transaction with its lots.
CREATE TABLE staff_grant (
    id uuid PRIMARY KEY,
    state text NOT NULL,
    kind text NOT NULL,
    note text NOT NULL,
    expires_at timestamptz,
    rows int NOT NULL,
    credits bigint NOT NULL,
    granted int NOT NULL DEFAULT 0,
    failed int NOT NULL DEFAULT 0,
    requested_by text NOT NULL,
    requested_at timestamptz NOT NULL,
    decided_by text,
    decided_at timestamptz,
    completed_at timestamptz,
    CONSTRAINT state_is_known CHECK (state IN ('waiting_for_approval', 'running', 'completed', 'rejected')),
    CONSTRAINT there_is_a_row CHECK (rows > 0 AND credits > 0),
    CONSTRAINT no_row_is_done_twice CHECK (granted >= 0 AND failed >= 0 AND granted + failed <= rows),
    CONSTRAINT a_completed_grant_has_done_every_row CHECK ((state = 'completed') = (granted + failed = rows)),
    CONSTRAINT a_grant_completes_once CHECK ((state = 'completed') = (completed_at IS NOT NULL)),
    CONSTRAINT two_people_decide CHECK (decided_by <> requested_by)
);
CREATE INDEX staff_grant_running ON staff_grant (requested_at) WHERE state = 'running';
GRANT SELECT, INSERT, UPDATE ON staff_grant TO app_role;

CREATE TABLE staff_grant_row (
    grant_id uuid NOT NULL REFERENCES staff_grant (id),
    number int NOT NULL,
    account_id uuid,
    email text,
    credits bigint NOT NULL,
    note text,
    state text NOT NULL DEFAULT 'waiting',
    lot_id uuid,
    code text,
    detail text,
    PRIMARY KEY (grant_id, number),
    CONSTRAINT state_is_known CHECK (state IN ('waiting', 'granted', 'failed')),
    CONSTRAINT credits_are_positive CHECK (credits > 0),
    CONSTRAINT what_is_granted_is_a_lot CHECK ((state = 'granted') = (lot_id IS NOT NULL)),
    CONSTRAINT what_failed_says_why CHECK ((state = 'failed') = (code IS NOT NULL AND detail IS NOT NULL))
);
CREATE INDEX staff_grant_row_waiting ON staff_grant_row (grant_id, number) WHERE state = 'waiting';
GRANT SELECT, INSERT, UPDATE ON staff_grant_row TO app_role;

-- What accounts earned by activities. Only ever added to.
CREATE TABLE activity_award (
    account_id uuid NOT NULL,
    activity text NOT NULL,
    reference text NOT NULL,
    credits bigint NOT NULL,
    lot_id uuid NOT NULL,
    earned_at timestamptz NOT NULL,
    PRIMARY KEY (account_id, activity, reference)
);
CREATE INDEX activity_award_by_time ON activity_award (account_id, activity, earned_at);
GRANT SELECT, INSERT ON activity_award TO app_role;
