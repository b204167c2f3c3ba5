-- A lease is a hold that is settled by its heartbeats: how much is to be reserved ahead, how much of what was metered
-- is in the journal, in the meter's unit, and the price book's version by which it costs. All absent for other holds.
ALTER TABLE hold
ADD COLUMN reserve bigint,
ADD COLUMN metered numeric,
ADD COLUMN price_version text,
ADD CONSTRAINT a_lease_has_all_of_it
CHECK ((reserve IS NULL) = (metered IS NULL) AND (reserve IS NULL) = (price_version IS NULL)) NOT VALID;

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

-- What jobs of a meter cost lately: what the next one should reserve is learned from them.
CREATE INDEX hold_captured ON hold ((details ->> 'meter'), settled_at) WHERE state = 'captured';
