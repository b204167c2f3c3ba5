-- The books are compared: Stripe's, ours, the ledger's.

-- Under which revision it was told to be paid, so that it can be told again as it was.
ALTER TABLE purchase ADD COLUMN paid_revision int;

-- When a purchase that waits is next looked at; never, if it was looked at in vain for long enough.
ALTER TABLE purchase ADD COLUMN look_at timestamptz;
CREATE INDEX purchase_to_look_at ON purchase (look_at)
WHERE paid_at IS NULL AND state <> 'canceled' AND (payment_intent IS NOT NULL OR checkout_session IS NOT NULL);
CREATE INDEX purchase_by_payment ON purchase (paid_at, id) WHERE paid_at IS NOT NULL;

-- How far books are compared: `continuous` follows what is new, `full` goes through the last weeks again.
CREATE TABLE reconciliation (
    what text NOT NULL,
    scope text NOT NULL,
    -- the time that is being gone through, and how far that is: `cursor` is where to go on, none at either end
    since timestamptz NOT NULL,
    until timestamptz NOT NULL,
    cursor text,
    reached timestamptz NOT NULL,
    compared bigint NOT NULL DEFAULT 0,
    steps bigint NOT NULL DEFAULT 0,
    ended_at timestamptz,
    CONSTRAINT a_walk_has_one_place PRIMARY KEY (what, scope),
    CONSTRAINT what_is_known CHECK (what IN ('movements', 'purchases', 'lots')),
    CONSTRAINT scope_is_known CHECK (scope IN ('continuous', 'full')),
    CONSTRAINT time_goes_on CHECK (since <= until),
    CONSTRAINT what_has_ended_has_no_place CHECK (ended_at IS NULL OR cursor IS NULL)
);
GRANT SELECT, INSERT, UPDATE ON reconciliation TO app_role;

-- Money that moved at Stripe, by its balance transactions: into our balance above zero, out of it below.
CREATE TABLE movement (
    id text PRIMARY KEY,
    kind text NOT NULL,
    source text NOT NULL,
    payment_intent text NOT NULL,
    amount_minor bigint NOT NULL,
    currency text NOT NULL,
    -- what Stripe kept and what was left, in the currency that Stripe pays out
    fee_minor bigint NOT NULL,
    net_minor bigint NOT NULL,
    settled_in text NOT NULL,
    moved_at timestamptz NOT NULL,
    CONSTRAINT kind_is_known CHECK (kind IN ('charge', 'refund', 'refund_failure', 'dispute', 'dispute_reversal')),
    CONSTRAINT money_moves_one_way CHECK (
        (kind IN ('charge', 'refund_failure', 'dispute_reversal')) = (amount_minor > 0)
    )
);
CREATE INDEX movement_of_payment ON movement (payment_intent);
CREATE INDEX movement_in_time ON movement (moved_at);
GRANT SELECT, INSERT ON movement TO app_role;

-- What did not agree: mended by us, or open until it agrees or somebody of the staff says why it may stay.
CREATE TABLE finding (
    id uuid PRIMARY KEY,
    kind text NOT NULL,
    object text NOT NULL,
    purchase uuid,
    detail text NOT NULL,
    found_at timestamptz NOT NULL,
    -- when the ledger was told again
    told_again_at timestamptz,
    repaired_at timestamptz,
    resolved_at timestamptz,
    resolved_by text,
    reason text,
    CONSTRAINT an_object_has_a_finding_of_a_kind_once UNIQUE (kind, object),
    CONSTRAINT who_resolves_says_why CHECK (
        (resolved_at IS NULL) = (resolved_by IS NULL) AND (resolved_at IS NULL) = (reason IS NULL)
    )
);
CREATE INDEX finding_open ON finding (kind, id) WHERE repaired_at IS NULL AND resolved_at IS NULL;
CREATE INDEX finding_repaired ON finding (repaired_at) WHERE repaired_at IS NOT NULL;
GRANT SELECT, INSERT, UPDATE ON finding TO app_role;
