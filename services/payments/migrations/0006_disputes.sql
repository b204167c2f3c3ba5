-- What banks have taken from us by disputes, less what they gave back; with the refunds it says which credits go back.
ALTER TABLE purchase
ADD COLUMN withdrawn_minor bigint NOT NULL DEFAULT 0,
ADD CONSTRAINT withdrawn_is_part_of_the_price CHECK (withdrawn_minor BETWEEN 0 AND amount_minor) NOT VALID,
ADD CONSTRAINT only_what_was_paid_is_withdrawn CHECK (withdrawn_minor = 0 OR paid_at IS NOT NULL) NOT VALID;

-- A buyer's bank wants money back, or asks (an inquiry), under Stripe's id.
CREATE TABLE dispute (
    id text PRIMARY KEY,
    purchase uuid NOT NULL REFERENCES purchase,
    amount_minor bigint NOT NULL,
    reason text NOT NULL,
    state text NOT NULL,
    -- whether the bank has the money just now
    withdrawn boolean NOT NULL,
    opened_at timestamptz NOT NULL,
    changed_at timestamptz NOT NULL,
    CONSTRAINT state_is_known CHECK (state IN ('open', 'won', 'lost', 'closed')),
    CONSTRAINT dispute_is_positive CHECK (amount_minor > 0)
);
CREATE INDEX dispute_of_purchase ON dispute (purchase);
GRANT SELECT, INSERT, UPDATE ON dispute TO app_role;

-- An issuer suspects a payment, before anybody disputes it. Only ever added to.
CREATE TABLE fraud_warning (
    id text PRIMARY KEY,
    purchase uuid NOT NULL REFERENCES purchase,
    fraud_type text NOT NULL,
    refund uuid REFERENCES refund,
    recorded_at timestamptz NOT NULL
);
GRANT SELECT, INSERT ON fraud_warning TO app_role;
