-- Rejected usage that staff had burnt after all, as it came or corrected; once for an event. Only ever added to.
CREATE TABLE usage_replay (
    key uuid PRIMARY KEY,
    fingerprint uuid NOT NULL,
    -- as it was burnt, and the posting's key
    event text NOT NULL,
    posting_key uuid NOT NULL,
    credits bigint NOT NULL,
    replayed_by text NOT NULL,
    replayed_at timestamptz NOT NULL
);
GRANT SELECT, INSERT ON usage_replay TO app_role;

CREATE INDEX rejected_usage_by_time ON rejected_usage (at, key, fingerprint);
