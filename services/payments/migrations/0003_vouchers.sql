-- Vouchers: codes that bring credits, once. A gift card is a voucher that somebody has paid for.
-- No code is stored: it is made of a secret and the voucher's id, and found again by a hash that needs the secret.

CREATE TABLE voucher_batch (
    id uuid PRIMARY KEY,
    count int NOT NULL,
    credits bigint NOT NULL,
    kind text NOT NULL,
    expires_at timestamptz,
    credits_expire_after_days int,
    note text NOT NULL,
    reference text,
    issued_by text NOT NULL,
    issued_at timestamptz NOT NULL,
    CONSTRAINT a_batch_has_vouchers CHECK (count > 0),
    CONSTRAINT credits_are_positive CHECK (credits > 0)
);
GRANT SELECT, INSERT ON voucher_batch TO app_role;

-- What was ordered for whom. The voucher of the same id comes to be when the purchase is paid.
CREATE TABLE gift_card (
    id uuid PRIMARY KEY,
    purchase uuid NOT NULL REFERENCES purchase,
    product text NOT NULL,
    sender_name text NOT NULL,
    recipient_email text NOT NULL,
    recipient_name text NOT NULL,
    message text,
    deliver_at timestamptz NOT NULL,
    -- from when on its code is to be told; unknown until it is paid
    due_at timestamptz,
    told_at timestamptz,
    CONSTRAINT a_purchase_is_of_one_gift_card UNIQUE (purchase),
    CONSTRAINT only_what_is_due_is_told CHECK (told_at IS NULL OR (due_at IS NOT NULL AND told_at >= due_at))
);
CREATE INDEX gift_card_due ON gift_card (due_at) WHERE due_at IS NOT NULL AND told_at IS NULL;
GRANT SELECT, INSERT, UPDATE ON gift_card TO app_role;

CREATE TABLE voucher (
    id uuid PRIMARY KEY,
    -- a gift card has none until its code is told: nobody can redeem it before
    code_hash bytea,
    batch uuid REFERENCES voucher_batch,
    purchase uuid REFERENCES purchase,
    description text NOT NULL,
    credits bigint NOT NULL,
    kind text NOT NULL,
    cost_minor bigint,
    currency text,
    expires_at timestamptz,
    credits_expire_after_days int,
    issued_at timestamptz NOT NULL,
    account uuid,
    user_id uuid,
    redeemed_at timestamptz,
    voided_at timestamptz,
    voided_by text,
    CONSTRAINT what_can_be_redeemed_has_a_code CHECK (
        code_hash IS NOT NULL OR (batch IS NULL AND redeemed_at IS NULL)
    ),
    CONSTRAINT a_code_is_of_one_voucher UNIQUE (code_hash),
    CONSTRAINT a_purchase_pays_one_voucher UNIQUE (purchase),
    CONSTRAINT a_voucher_is_of_a_batch_or_paid_for CHECK ((batch IS NULL) <> (purchase IS NULL)),
    CONSTRAINT what_is_paid_for_has_cost_something CHECK (
        (purchase IS NULL) = (cost_minor IS NULL) AND (cost_minor IS NULL) = (currency IS NULL)
    ),
    CONSTRAINT credits_are_positive CHECK (credits > 0),
    CONSTRAINT what_is_void_was_not_redeemed CHECK (voided_at IS NULL OR redeemed_at IS NULL),
    CONSTRAINT who_redeemed_it_is_known CHECK (
        (redeemed_at IS NULL) = (account IS NULL) AND (account IS NULL) = (user_id IS NULL)
    ),
    CONSTRAINT who_voided_it_is_known CHECK ((voided_at IS NULL) = (voided_by IS NULL)),
    CONSTRAINT it_is_redeemed_before_it_expires CHECK (redeemed_at IS NULL OR expires_at IS NULL OR redeemed_at < expires_at)
);
CREATE INDEX voucher_of_batch ON voucher (batch, id) WHERE batch IS NOT NULL;
GRANT SELECT, INSERT, UPDATE ON voucher TO app_role;
