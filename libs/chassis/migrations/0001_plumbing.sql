-- What every service keeps beside its own tables. Grants name the application's role.

CREATE TABLE outbox (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    topic text NOT NULL,
    keys text[] NOT NULL,
    payloads bytea[] NOT NULL,
    headers text,
    recorded_at timestamptz NOT NULL,
    published_at timestamptz,
    -- how often it was asked to be published again: a relay that was at it meanwhile does not mark it
    asked_again int NOT NULL DEFAULT 0,
    CONSTRAINT every_message_has_a_key CHECK (cardinality(keys) = cardinality(payloads)),
    CONSTRAINT there_is_a_message CHECK (cardinality(keys) > 0)
);
CREATE INDEX outbox_unpublished ON outbox (id) WHERE published_at IS NULL;
CREATE INDEX outbox_by_time ON outbox USING brin (recorded_at);
GRANT SELECT, INSERT, UPDATE, DELETE ON outbox TO app_role;

-- Which Kafka cluster we publish to: another one knows nothing of what we told the one before.
CREATE TABLE broker (
    single boolean PRIMARY KEY DEFAULT true,
    cluster text NOT NULL,
    met_at timestamptz NOT NULL,
    CONSTRAINT there_is_one CHECK (single)
);
GRANT SELECT, INSERT, UPDATE ON broker TO app_role;

CREATE TABLE inbox (
    consumer text NOT NULL,
    message_id text NOT NULL,
    received_at timestamptz NOT NULL,
    PRIMARY KEY (consumer, message_id)
);
CREATE INDEX inbox_by_time ON inbox USING brin (received_at);
GRANT SELECT, INSERT, DELETE ON inbox TO app_role;

CREATE TABLE idempotency_key (
    caller text NOT NULL,
    key text NOT NULL,
    fingerprint bytea NOT NULL,
    subject uuid,
    status int,
    -- as it was written: who asks again is answered to the letter
    body json,
    claimed_at timestamptz NOT NULL,
    PRIMARY KEY (caller, key),
    CONSTRAINT an_answer_is_whole CHECK ((status IS NULL) = (body IS NULL))
);
CREATE INDEX idempotency_key_by_time ON idempotency_key USING brin (claimed_at);
GRANT SELECT, INSERT, UPDATE, DELETE ON idempotency_key TO app_role;

CREATE TABLE dead_letter (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    consumer text NOT NULL,
    topic text NOT NULL,
    key text NOT NULL,
    payload bytea NOT NULL,
    headers jsonb NOT NULL,
    origin text NOT NULL,
    error text NOT NULL,
    attempts int NOT NULL,
    state text NOT NULL,
    recorded_at timestamptz NOT NULL,
    settled_at timestamptz,
    CONSTRAINT state_is_known CHECK (state IN ('waiting', 'redriving', 'redriven', 'discarded')),
    CONSTRAINT a_letter_is_recorded_once UNIQUE (consumer, origin)
);
CREATE INDEX dead_letter_open ON dead_letter (consumer, key, id) WHERE state IN ('waiting', 'redriving');
GRANT SELECT, INSERT, UPDATE ON dead_letter TO app_role
