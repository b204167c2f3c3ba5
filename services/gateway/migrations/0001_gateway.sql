-- Who may come in, and what Stripe told us.

-- An account owns credits. Its ledger is in the credits service: opened right after sign-up, or by a job that repeats it.
CREATE TABLE account (
    id uuid PRIMARY KEY,
    opened_at timestamptz NOT NULL,
    ledger_opened_at timestamptz
);
CREATE INDEX account_without_ledger ON account (opened_at) WHERE ledger_opened_at IS NULL;
GRANT SELECT, INSERT, UPDATE ON account TO app_role;

CREATE TABLE app_user (
    id uuid PRIMARY KEY,
    account_id uuid NOT NULL REFERENCES account (id),
    email text NOT NULL,
    name text NOT NULL,
    password_hash text NOT NULL,
    registered_at timestamptz NOT NULL,
    CONSTRAINT an_email_registers_once UNIQUE (email)
);
GRANT SELECT, INSERT, UPDATE ON app_user TO app_role;

-- A session lives from a log-in to a log-out; its refresh tokens replace one another, and only the last one is unused.
CREATE TABLE session (
    id uuid PRIMARY KEY,
    user_id uuid NOT NULL REFERENCES app_user (id),
    started_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    ended_at timestamptz
);
CREATE INDEX session_by_user ON session (user_id);
CREATE INDEX session_by_expiry ON session (expires_at);
GRANT SELECT, INSERT, UPDATE, DELETE ON session TO app_role;

CREATE TABLE refresh_token (
    hash bytea PRIMARY KEY,
    session_id uuid NOT NULL REFERENCES session (id) ON DELETE CASCADE,
    issued_at timestamptz NOT NULL,
    used_at timestamptz,
    CONSTRAINT a_token_is_stored_as_its_hash CHECK (length(hash) = 32)
);
CREATE UNIQUE INDEX a_session_has_one_unused_token ON refresh_token (session_id) WHERE used_at IS NULL;
CREATE INDEX refresh_token_by_session ON refresh_token (session_id);
CREATE INDEX refresh_token_by_time ON refresh_token USING brin (issued_at);
GRANT SELECT, INSERT, UPDATE, DELETE ON refresh_token TO app_role;

CREATE TABLE api_key (
    id uuid PRIMARY KEY,
    account_id uuid NOT NULL REFERENCES account (id),
    name text NOT NULL,
    scopes text[] NOT NULL,
    secret_hash bytea NOT NULL,
    created_at timestamptz NOT NULL,
    last_used_at timestamptz,
    revoked_at timestamptz,
    CONSTRAINT a_secret_is_stored_as_its_hash CHECK (length(secret_hash) = 32),
    CONSTRAINT a_key_may_do_something CHECK (cardinality(scopes) > 0)
);
CREATE INDEX api_key_by_account ON api_key (account_id, id) WHERE revoked_at IS NULL;
GRANT SELECT, INSERT, UPDATE ON api_key TO app_role;

-- Webhooks of Stripe, word for word; never changed, never deleted.
CREATE TABLE stripe_event (
    id text PRIMARY KEY,
    type text NOT NULL,
    object_id text NOT NULL,
    livemode boolean NOT NULL,
    api_version text,
    created timestamptz NOT NULL,
    body bytea NOT NULL,
    received_at timestamptz NOT NULL
);
CREATE INDEX stripe_event_by_time ON stripe_event USING brin (received_at);
CREATE INDEX stripe_event_by_object ON stripe_event (object_id);
GRANT SELECT, INSERT ON stripe_event TO app_role;
REVOKE UPDATE, DELETE, TRUNCATE ON stripe_event FROM app_role;
