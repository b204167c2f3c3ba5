-- Everything that is money. Amounts are integers in minor units of the currency, credits in micro-credits.

-- One customer at Stripe per account. The row is the intent; `stripe_customer` is the answer.
CREATE TABLE customer (
    account uuid NOT NULL,
    livemode boolean NOT NULL,
    user_id uuid NOT NULL,
    email text NOT NULL,
    name text NOT NULL,
    stripe_customer text,
    created_at timestamptz NOT NULL,
    CONSTRAINT an_account_has_one_customer PRIMARY KEY (account, livemode),
    CONSTRAINT a_customer_belongs_to_one_account UNIQUE (stripe_customer)
);
GRANT SELECT, INSERT, UPDATE ON customer TO app_role;

CREATE TABLE purchase (
    id uuid PRIMARY KEY,
    account uuid NOT NULL,
    livemode boolean NOT NULL,
    user_id uuid NOT NULL,
    method text NOT NULL,
    pack text,
    description text NOT NULL,
    amount_minor bigint NOT NULL,
    currency text NOT NULL,
    credits bigint NOT NULL,
    bonus bigint NOT NULL,
    bonus_kind text NOT NULL,
    return_url text,
    cancel_url text,
    state text NOT NULL,
    -- rises with every event we tell of the purchase
    revision int NOT NULL DEFAULT 0,
    -- rises with every view of Stripe's that was applied, so that an older view never overwrites a newer one
    looks int NOT NULL DEFAULT 0,
    payment_intent text,
    checkout_session text,
    client_secret text,
    checkout_url text,
    failure text,
    refunded_minor bigint NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL,
    -- until when it is waited for; its payment page can be paid as long
    expires_at timestamptz NOT NULL,
    paid_at timestamptz,
    -- when the janitor last took it up
    resolved_at timestamptz NOT NULL,
    CONSTRAINT a_purchase_has_a_customer FOREIGN KEY (account, livemode) REFERENCES customer (account, livemode),
    CONSTRAINT method_is_known CHECK (method IN ('payment_intent', 'checkout')),
    CONSTRAINT state_is_known CHECK (
        state IN (
            'created', 'processing', 'requires_action', 'succeeded', 'failed', 'canceled', 'unknown',
            'partially_refunded', 'refunded', 'disputed'
        )
    ),
    CONSTRAINT price_is_positive CHECK (amount_minor > 0),
    CONSTRAINT credits_are_positive CHECK (credits > 0),
    CONSTRAINT bonus_is_not_negative CHECK (bonus >= 0),
    CONSTRAINT refunded_is_part_of_the_price CHECK (refunded_minor BETWEEN 0 AND amount_minor),
    CONSTRAINT only_what_was_paid_is_refunded CHECK (refunded_minor = 0 OR paid_at IS NOT NULL),
    CONSTRAINT state_tells_whether_it_is_paid CHECK (
        (state IN ('succeeded', 'partially_refunded', 'refunded', 'disputed')) = (paid_at IS NOT NULL)
    ),
    CONSTRAINT state_tells_what_is_refunded CHECK (
        CASE state
            WHEN 'succeeded' THEN refunded_minor = 0
            WHEN 'partially_refunded' THEN refunded_minor > 0 AND refunded_minor < amount_minor
            WHEN 'refunded' THEN refunded_minor = amount_minor
            ELSE true
        END
    ),
    CONSTRAINT a_paid_purchase_names_its_payment CHECK (paid_at IS NULL OR payment_intent IS NOT NULL),
    CONSTRAINT a_paid_purchase_was_told CHECK (paid_at IS NULL OR revision > 0),
    CONSTRAINT a_secret_is_kept_only_to_pay CHECK (
        client_secret IS NULL OR (paid_at IS NULL AND state <> 'canceled')
    ),
    CONSTRAINT a_payment_pays_one_purchase UNIQUE (payment_intent),
    CONSTRAINT a_payment_page_is_for_one_purchase UNIQUE (checkout_session)
);
CREATE INDEX purchase_of_account ON purchase (account, id);
CREATE INDEX purchase_unresolved ON purchase (resolved_at)
WHERE state IN ('created', 'unknown') AND payment_intent IS NULL AND checkout_session IS NULL;
GRANT SELECT, INSERT, UPDATE ON purchase TO app_role;

-- Tries to pay that failed, so that each is told once.
CREATE TABLE failed_attempt (
    purchase uuid NOT NULL REFERENCES purchase,
    attempt text NOT NULL,
    reason text NOT NULL,
    recorded_at timestamptz NOT NULL,
    CONSTRAINT an_attempt_fails_once PRIMARY KEY (purchase, attempt)
);
GRANT SELECT, INSERT ON failed_attempt TO app_role;

CREATE TABLE refund (
    id uuid PRIMARY KEY,
    purchase uuid NOT NULL REFERENCES purchase,
    amount_minor bigint NOT NULL,
    reason text,
    requested_by text NOT NULL,
    state text NOT NULL,
    stripe_refund text,
    failure text,
    created_at timestamptz NOT NULL,
    resolved_at timestamptz NOT NULL,
    CONSTRAINT state_is_known CHECK (state IN ('created', 'unknown', 'pending', 'succeeded', 'failed')),
    CONSTRAINT refund_is_positive CHECK (amount_minor > 0),
    CONSTRAINT money_went_back_through_stripe CHECK (
        state NOT IN ('pending', 'succeeded') OR stripe_refund IS NOT NULL
    ),
    CONSTRAINT a_refund_is_recorded_once UNIQUE (stripe_refund)
);
CREATE INDEX refund_of_purchase ON refund (purchase);
CREATE INDEX refund_unresolved ON refund (resolved_at) WHERE state IN ('created', 'unknown');
GRANT SELECT, INSERT, UPDATE ON refund TO app_role;

-- What Stripe told us that does not agree with our record. It credited nothing; people look into it.
CREATE TABLE quarantine (
    id uuid PRIMARY KEY,
    reason text NOT NULL,
    object_id text NOT NULL,
    event_id text,
    purchase uuid,
    body jsonb NOT NULL,
    recorded_at timestamptz NOT NULL,
    CONSTRAINT a_finding_is_recorded_once UNIQUE NULLS NOT DISTINCT (object_id, reason, event_id)
);
GRANT SELECT, INSERT ON quarantine TO app_role;
