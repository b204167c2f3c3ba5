-- Who can be written to, what each was told, and what came of it.

CREATE TABLE contact (
    account_id uuid NOT NULL,
    user_id uuid NOT NULL,
    email text NOT NULL,
    name text NOT NULL,
    known_since timestamptz NOT NULL,
    PRIMARY KEY (account_id, user_id)
);
GRANT SELECT, INSERT ON contact TO app_role;

CREATE TABLE delivery (
    id uuid PRIMARY KEY,
    template text NOT NULL,
    business_key text NOT NULL,
    account_id uuid NOT NULL,
    user_id uuid NOT NULL,
    -- to whom, if not to that person himself
    recipient_email text,
    recipient_name text,
    -- all that the template says, as it was when the event came
    facts jsonb NOT NULL,
    state text NOT NULL,
    attempts int NOT NULL DEFAULT 0,
    next_attempt_at timestamptz,
    -- whoever tries it has it until then; a try that died is taken up by another afterwards
    claimed_until timestamptz,
    last_error text,
    sent_to text,
    recorded_at timestamptz NOT NULL,
    settled_at timestamptz,
    CONSTRAINT an_event_is_told_once UNIQUE (template, business_key),
    CONSTRAINT a_recipient_has_a_name CHECK ((recipient_email IS NULL) = (recipient_name IS NULL)),
    CONSTRAINT state_is_known CHECK (state IN ('waiting_for_contact', 'pending', 'sent', 'failed')),
    CONSTRAINT pending_means_to_be_tried_again CHECK ((state = 'pending') = (next_attempt_at IS NOT NULL)),
    CONSTRAINT only_what_is_pending_is_claimed CHECK (claimed_until IS NULL OR state = 'pending'),
    CONSTRAINT settled_once_and_for_all CHECK ((state IN ('sent', 'failed')) = (settled_at IS NOT NULL)),
    CONSTRAINT what_was_sent_went_to_somebody CHECK ((state = 'sent') = (sent_to IS NOT NULL))
) WITH (fillfactor = 80);
CREATE INDEX delivery_due ON delivery (next_attempt_at, id) WHERE state = 'pending';
CREATE INDEX delivery_waiting ON delivery (account_id, user_id) WHERE state = 'waiting_for_contact';
CREATE INDEX delivery_of_account ON delivery (account_id, id);
CREATE INDEX delivery_settled ON delivery (settled_at) WHERE settled_at IS NOT NULL;
GRANT SELECT, INSERT, UPDATE, DELETE ON delivery TO app_role;

-- Events tell the total refunded so far; this is the total that people were told, so that a notice names what is new.
CREATE TABLE refund_told (
    purchase_id uuid PRIMARY KEY,
    revision int NOT NULL,
    total_minor bigint NOT NULL,
    latest_minor bigint NOT NULL,
    CONSTRAINT a_total_is_not_negative CHECK (total_minor >= 0)
);
GRANT SELECT, INSERT, UPDATE ON refund_told TO app_role
