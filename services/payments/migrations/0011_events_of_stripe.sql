-- Stripe's list of events is gone through, too: the constraint allows one thing more.
-- squawk-ignore ban-drop-constraint
ALTER TABLE reconciliation DROP CONSTRAINT what_is_known;
ALTER TABLE reconciliation
ADD CONSTRAINT what_is_known CHECK (what IN ('movements', 'events', 'purchases', 'lots')) NOT VALID;
ALTER TABLE reconciliation VALIDATE CONSTRAINT what_is_known;

-- Stripe's events that were handled, of the types that are gone through, for as long as Stripe lists them.
CREATE TABLE handled_event (
    id text PRIMARY KEY,
    handled_at timestamptz NOT NULL
);
GRANT SELECT, INSERT, DELETE ON handled_event TO app_role;
